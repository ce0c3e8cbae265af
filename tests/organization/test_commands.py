"""Commands: each operation's request to the cloud, and its answer."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app.simulator import ORGANIZATION_KEYS
from tests.forwarding import Door, Forwarded
from tests.world import Simulator, living

FORWARDED = [
    Forwarded(
        "get_device_commands",
        "GET /v1/devices/{device}/commands?status=done",
        "GET /core/v1/organization/devices/{device}/commands?page=1&per_page=25&status=done",
    ),
    Forwarded(
        "send_command",
        "POST /v1/devices/{device}/commands",
        "POST /core/v1/organization/devices/{device}/commands",
        body={"name": "set_input", "extra_params": {"input": "hdmi2"}},
        sent_body={"name": "set_input", "command": "set_input", "extra_params": {"input": "hdmi2"}},
    ),
    Forwarded(
        "cancel_command",
        "DELETE /v1/devices/{device}/commands/{command}",
        "DELETE /core/v1/organization/devices/{device}/commands/{command}",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_a_command_the_device_does_not_have_is_refused_with_those_it_has(door: Door) -> None:
    answer = await door.client.post(f"/v1/devices/{door.ids['device']}/commands", json={"name": "power"})

    assert answer.status_code == 422
    problem = answer.json()
    assert "Did you mean power_on" in problem["detail"]
    assert "set_input(input: hdmi1|hdmi2|hdbaset|wireless)" in problem["detail"]
    assert problem["errors"][0]["path"] == "name"
    assert {"power_on", "power_off", "set_input"} <= set(problem["errors"][0]["allowed"])
    assert {request.method for request in door.requests} == {"GET"}


async def test_whoever_knows_better_skips_the_check(door: Door) -> None:
    body = {"name": "power_on", "extra_params": {"whatever": 1}, "skip_validation": True}

    answer = await door.client.post(f"/v1/devices/{door.ids['device']}/commands", json=body)

    assert answer.status_code == 200
    assert [request.method for request in door.requests if "/commands" in request.url.path] == ["POST"]
    assert b"skip_validation" not in door.requests[-1].content


async def test_the_model_is_read_once_in_a_while_and_for_each_key_alone(door: Door) -> None:
    for name in ("power_on", "power_off"):
        await door.client.post(f"/v1/devices/{door.ids['device']}/commands", json={"name": name})
    door.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    foreign = await door.client.post(f"/v1/devices/{door.ids['device']}/commands", json={"name": "power_on"})

    asked = [request.url.path for request in door.requests if request.method == "GET"]
    assert foreign.status_code == 404
    assert sum("/models/" in path for path in asked) == 1
    assert sum(path.endswith(door.ids["device"]) for path in asked) == 2


async def test_a_command_needs_a_name(door: Door) -> None:
    answer = await door.client.post(f"/v1/devices/{door.ids['device']}/commands", json={"extra_params": {}})

    assert answer.status_code == 422
    assert not door.requests


@pytest.fixture
async def alive(simulator: Simulator) -> AsyncIterator[None]:
    """Devices that live on."""
    async with living(simulator):
        yield


@pytest.mark.usefixtures("alive")
async def test_with_wait_seconds_the_answer_is_the_commands_end(door: Door) -> None:
    path = f"/v1/devices/{door.ids['device']}/commands"

    answer = await door.client.post(f"{path}?wait_seconds=50", json={"name": "power_on"})

    assert answer.status_code == 200
    assert answer.json()["status"] == "done"
    assert answer.json()["id"]


async def test_a_command_that_does_not_end_in_time_is_told_as_it_was_last_seen(door: Door) -> None:
    path = f"/v1/devices/{door.ids['device']}/commands"

    answer = await door.client.post(f"{path}?wait_seconds=0.1", json={"name": "power_on"})

    assert answer.status_code == 200
    assert answer.json()["status"] == "pending"


async def test_a_list_that_cannot_be_read_does_not_hide_that_it_was_sent(door: Door, simulator: Simulator) -> None:
    device = door.ids["device"]
    await door.client.get(f"/v1/devices/{device}/commands")
    await simulator.admin("POST", "faults", {"kind": "status", "status": 500, "method": "GET", "path": "*/commands"})

    answer = await door.client.post(f"/v1/devices/{device}/commands?wait_seconds=0.3", json={"name": "power_on"})

    assert answer.status_code == 200
    assert answer.json()["status"] == "pending"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.usefixtures("alive")
async def test_a_caller_who_waits_hears_how_far_it_is(door: Door, mode: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with (
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=door.app), headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
        ) as http,
        Client(streamable_http_client("http://localhost/mcp", http_client=http), mode=mode) as mcp,
    ):
        arguments = {"device_id": door.ids["device"], "name": "power_on", "wait_seconds": 50}
        result = await mcp.call_tool("send_command", arguments, progress_callback=hear)

    assert not result.is_error
    assert result.structured_content["status"] == "done"
    assert [step[0] for step in heard] == sorted({step[0] for step in heard})
    assert heard[0][2] in ("pending", "in_progress")
    assert heard[-1] == (3, 3, "done")
