"""Telemetry: each operation's request to the cloud, and its answer."""

from typing import Any

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "device_send_telemetry",
        "POST /v1/device/{me}/telemetry",
        "POST /v1/devices/{me}/telemetry",
        body={"telemetries": {"temp": 41.5, "on": True, "lamp": None}, "timestamp": 1795341600},
        sent_body={
            "status": "online",
            "telemetries": {"temp": 41.5, "on": True, "lamp": None},
            "timestamp": "2026-11-22T10:00:00Z",
            "override": False,
        },
    ),
    Forwarded(
        "device_send_child_telemetry",
        "POST /v1/device/{me}/children/telemetries",
        "POST /v1/devices/{me}/children/telemetries",
        body={"messages": {"{child}": {"telemetries": {"temp": 1}}}},
        sent_body={"{child}": {"status": "online", "telemetries": {"temp": 1}, "override": False}},
    ),
    Forwarded(
        "device_send_mass_telemetry",
        "POST /v1/device/telemetries",
        "POST /v1/devices/telemetries",
        body={"messages": {"{me}": {"status": "error", "telemetries": {"a": "b"}, "access_token": "{access_key}"}}},
        sent_body={
            "{me}": {"status": "error", "telemetries": {"a": "b"}, "override": False, "access_token": "{access_key}"}
        },
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


async def test_mass_telemetry_carries_its_own_tokens(door: Door) -> None:
    await door.rest(FORWARDED[2])

    request = door.requests[-1]
    assert "authorization" not in request.headers
    assert request.url.host == "hub.xyte.io"


async def test_bad_news_of_one_child_is_told_apart(door: Door) -> None:
    messages: dict[str, Any] = {door.ids["child"]: {"telemetries": {"temp": 1}}, "nobody": {"telemetries": {}}}

    answer = await door.client.post(f"/v1/device/{door.ids['me']}/children/telemetries", json={"messages": messages})

    assert answer.status_code == 422
    assert '"nobody":{"error":"Not authorized"}' in answer.json()["xyte_message"]


@pytest.mark.parametrize("message", [{}, {"telemetries": {"a": {"b": 1}}}, {"telemetries": {"a": "x" * 1001}}])
async def test_values_are_flat_and_short(door: Door, message: dict[str, object]) -> None:
    answer = await door.client.post(f"/v1/device/{door.ids['me']}/telemetry", json=message)

    assert answer.status_code == 422
    assert not door.requests
