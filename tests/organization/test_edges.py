"""Edges: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded, filled

CLAIM = {
    "proxy_id": "{edge}",
    "device_ip": "10.20.0.9",
    "device_model_id": "{edge_model}",
    "space_id": "{room}",
    "custom_parameters": {"Port": "161"},
}

FORWARDED = [
    Forwarded("list_edges", "GET /v1/edges", "GET /core/v1/organization/edges?page=1&per_page=25"),
    Forwarded(
        "start_edge_ping",
        "POST /v1/edges/devices/start_ping",
        "POST /core/v1/organization/edges/devices/start_ping",
        body={"proxy_id": "{edge}", "device_ip": "10.20.0.7"},
    ),
    Forwarded(
        "get_edge_ping_status",
        "GET /v1/edges/devices/get_ping_status?proxy_id={edge}&device_ip=10.20.0.9",
        "GET /core/v1/organization/edges/devices/get_ping_status?proxy_id={edge}&device_ip=10.20.0.9",
    ),
    Forwarded(
        "start_edge_claim",
        "POST /v1/edges/devices/start_claim",
        "POST /core/v1/organization/edges/devices/start_claim",
        body=CLAIM,
        sent_body=CLAIM | {"custom_parameters": {"Port": "161"}, "skip_connectivity_check": False},
    ),
    Forwarded(
        "get_edge_claim_status",
        "GET /v1/edges/devices/get_claim_status?proxy_id={edge}&device_ip=10.20.0.9",
        "GET /core/v1/organization/edges/devices/get_claim_status?proxy_id={edge}&device_ip=10.20.0.9",
    ),
    Forwarded(
        "update_edge_hostname",
        "POST /v1/edges/devices/{edge_device}/update_hostname",
        "POST /core/v1/organization/edges/devices/{edge_device}/update_hostname",
        body={"device_ip": "10.20.0.9"},
        sent_body={"device_ip": "10.20.0.9", "skip_connectivity_check": False},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_without_a_space_the_claim_says_so_for_the_field_is_required(door: Door) -> None:
    body = filled({name: value for name, value in CLAIM.items() if name != "space_id"}, door.ids)

    answer = await door.client.post("/v1/edges/devices/start_claim", json=body)

    assert answer.json() == {"success": True}
    assert '"space_id":null' in door.requests[-1].content.decode()


async def test_a_mask_is_never_sent_as_a_password(door: Door) -> None:
    body = filled(CLAIM | {"custom_parameters": {"Password": "*****"}}, door.ids)

    answer = await door.client.post("/v1/edges/devices/start_claim", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"path": "custom_parameters.Password", "message": "Give the password itself."},
    ]
    assert not door.requests


@pytest.mark.parametrize("address", ["10.0.0.1/x", "a b", "", "10.0.0.1?"])
async def test_an_address_has_letters_digits_dots_and_hyphens(door: Door, address: str) -> None:
    body = {"proxy_id": door.ids["edge"], "device_ip": address}

    answer = await door.client.post("/v1/edges/devices/start_ping", json=body)

    assert answer.status_code == 422
    assert not door.requests
