"""Devices: each operation's request to the cloud, and its answer."""

import httpx
import pytest
import respx

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_devices",
        "GET /v1/devices?space_id={room}",
        "GET /core/v1/organization/devices?page=1&per_page=25&space_id={room}",
    ),
    Forwarded(
        "list_device_histories",
        "GET /v1/devices/histories?from=1795341600&to=2026-11-22T10:05:00&status=online",
        "GET /core/v1/organization/devices/histories?page=1&per_page=25&from=1795341600&to=1795341900&status=online",
    ),
    Forwarded("get_device", "GET /v1/devices/{device}", "GET /core/v1/organization/devices/{device}"),
    Forwarded(
        "claim_device",
        "POST /v1/devices/claim",
        "POST /core/v1/organization/devices/claim",
        body={"space_id": "{room}", "cloud_id": "{unclaimed_cloud_id}", "name": "New"},
    ),
    Forwarded(
        "update_device",
        "PATCH /v1/devices/{device}",
        "PATCH /core/v1/organization/devices/{device}",
        body={"name": "Left screen"},
    ),
    Forwarded(
        "move_device",
        "POST /v1/devices/{device}/move",
        "POST /core/v1/organization/devices/{device}/move",
        body={"space_id": "{empty_room}"},
    ),
    Forwarded(
        "merge_device",
        "POST /v1/devices/{device}/merge",
        "POST /core/v1/organization/devices/{device}/merge",
        body={"with_device_ids": ["{other_device}"]},
    ),
    Forwarded(
        "split_device",
        "POST /v1/devices/{device}/split",
        "POST /core/v1/organization/devices/{device}/split",
        body={"shadow_device_id": "{shadow}"},
    ),
    Forwarded(
        "suspend_device_incidents",
        "POST /v1/devices/{device}/suspend_incidents",
        "POST /core/v1/organization/devices/{device}/suspend_incidents",
    ),
    Forwarded(
        "resume_device_incidents",
        "POST /v1/devices/{device}/resume_incidents",
        "POST /core/v1/organization/devices/{device}/resume_incidents",
    ),
    Forwarded("delete_device", "DELETE /v1/devices/{device}", "DELETE /core/v1/organization/devices/{device}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_a_partial_update_of_custom_parameters_keeps_the_rest(door: Door) -> None:
    url = f"/v1/devices/{door.ids['edge_device']}"

    answer = await door.client.patch(url, json={"custom_parameters": {"Port": "1161", "Password": "new"}})

    assert answer.status_code == 200
    sent = door.requests[-1].content
    assert b'"custom_parameters":{"SNMP community":"public","Port":"1161","Password":"new"}' in sent


async def test_a_mask_is_never_sent_back_as_a_password(door: Door) -> None:
    url = f"/v1/devices/{door.ids['edge_device']}"

    left_out = await door.client.patch(url, json={"custom_parameters": {"Port": "1161"}})
    given = await door.client.patch(url, json={"custom_parameters": {"Password": "*****"}})

    for answer in (left_out, given):
        assert answer.status_code == 422
        assert [error["path"] for error in answer.json()["errors"]] == ["custom_parameters.Password"]
    assert {request.method for request in door.requests} == {"GET"}


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-01-01&to=2026-02-02",
        "from=2020-01-01",
        "from=2026-02-02&to=2026-01-01",
        "per_page=101",
        "page=0",
        "status=asleep",
        "nmae=Lobby",
    ],
)
async def test_a_wrong_filter_is_refused_before_anything_is_sent(door: Door, query: str) -> None:
    answer = await door.client.get(f"/v1/devices/histories?{query}")

    assert answer.status_code == 422
    assert not door.requests


@pytest.mark.parametrize("claim", [{}, {"cloud_id": "a", "sn": "b", "mac": "c"}, {"sn": "b"}, {"mac": "c"}])
async def test_a_claim_names_one_identity(door: Door, claim: dict[str, str]) -> None:
    answer = await door.client.post("/v1/devices/claim", json={"space_id": 1} | claim)

    assert answer.status_code == 422
    assert not door.requests


async def test_a_slow_cloud_is_a_504_problem(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    cloud.route().mock(side_effect=httpx.ReadTimeout)

    response = await client.get("/v1/devices/d1")

    assert response.status_code == 504
    assert response.json()["type"] == "urn:problem:UpstreamTimeout"
