"""Commands: each operation's request to the cloud, and its answer."""

import pytest

from app.simulator import ORGANIZATION_KEYS
from tests.forwarding import Door, Forwarded

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
