"""A command is checked against what the model of its device lists."""

from typing import Any

import httpx
import pytest
import respx

from app.auth import Caller, client_of
from app.errors import InvalidInput, Problem
from app.resources import Resources
from app.xyte.capabilities import checked
from app.xyte.client import XyteClient
from app.xyte.schemas.commands import CommandSend


def choice(name: str, options: Any, *, required: bool = True, several: bool = False) -> dict[str, Any]:
    list_type = "staticListMulti" if several else "staticListSingle"
    return {"name": name, "type": "select", "typeName": list_type, "required": required, "options": options}


COMMANDS: list[Any] = [
    {"name": "reboot", "friendly_name": "Restart", "custom_fields": [], "with_file": False},
    {"name": "set_input", "friendly_name": "Set input", "custom_fields": [choice("input", ["hdmi1", "hdmi2"])]},
    {
        "name": "set_scene",
        "friendly_name": "Set scene",
        "custom_fields": [
            choice("zones", [{"value": 1, "label": "Front"}, {"value": 2}], several=True),
            choice("mood", {"warm": "w1", "cold": "c1"}, required=False),
            {"name": "speed", "type": "number", "min": 1, "max": 9},
            {"name": "pause", "type": "number", "min": 0},
            {"name": "angle", "type": "number"},
            {"name": "room", "type": "select", "typeName": "dynamicListSingle", "path": "rooms"},
        ],
    },
    {"name": "tune", "custom_fields": [choice("channel", [str(number) for number in range(40)])]},
    {"name": "update_firmware", "friendly_name": None, "with_file": True},
    "not a command",
]


@pytest.fixture
def xyte(resources: Resources, cloud: respx.MockRouter) -> XyteClient:
    """A cloud with one device whose model has these commands."""
    cloud.routes.clear()
    cloud.get(path__regex="/devices/d1$").respond(json={"id": "d1", "model": {"id": "m1"}})
    cloud.get(path__regex="/models/m1$").respond(json={"id": "m1", "commands": COMMANDS})
    return client_of(resources, Caller("k" * 32, "f" * 64), "organization")


async def refusal(xyte: XyteClient, **command: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        await checked(xyte, "d1", CommandSend.model_validate(command))
    return caught.value


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ({"name": "reboot"}, {"name": "reboot", "command": "reboot"}),
        ({"name": "Restart"}, {"name": "reboot", "command": "reboot"}),
        ({"friendly_name": "Restart"}, {"name": "reboot", "command": "reboot", "friendly_name": "Restart"}),
        (
            {"name": "reboot", "friendly_name": "Restart"},
            {"name": "reboot", "command": "reboot", "friendly_name": "Restart"},
        ),
        (
            {"name": "update_firmware", "file_id": "f1"},
            {"name": "update_firmware", "command": "update_firmware", "file_id": "f1"},
        ),
    ],
)
async def test_a_command_goes_by_its_name_in_the_model(
    xyte: XyteClient, command: dict[str, Any], body: dict[str, Any]
) -> None:
    assert await checked(xyte, "d1", CommandSend.model_validate(command)) == body | {"extra_params": {}}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("set_input", {"input": "hdmi2"}),
        ("set_scene", {"zones": [1, 2], "mood": "warm", "speed": 9, "pause": 100, "angle": -1.5, "room": "any"}),
        ("set_scene", {"zones": [1], "mood": "c1", "speed": None, "room": ""}),
    ],
)
async def test_allowed_values_pass(xyte: XyteClient, name: str, params: dict[str, Any]) -> None:
    body = await checked(xyte, "d1", CommandSend.model_validate({"name": name, "extra_params": params}))

    assert body["extra_params"] == params


@pytest.mark.parametrize(
    ("name", "params", "path", "allowed"),
    [
        ("set_input", {}, "extra_params.input", ["hdmi1", "hdmi2"]),
        ("set_input", {"input": ""}, "extra_params.input", ["hdmi1", "hdmi2"]),
        ("set_input", {"input": "HDMI 1"}, "extra_params.input", ["hdmi1", "hdmi2"]),
        ("set_input", {"input": "hdmi1", "inptu": "x"}, "extra_params.inptu", ["input"]),
        ("set_scene", {"zones": 1}, "extra_params.zones", [1, 2]),
        ("set_scene", {"zones": [1, 3]}, "extra_params.zones", [1, 2]),
        ("set_scene", {"zones": [1], "mood": "hot"}, "extra_params.mood", ["warm", "cold", "w1", "c1"]),
        ("set_scene", {"zones": [1], "speed": 10}, "extra_params.speed", None),
        ("set_scene", {"zones": [1], "speed": "fast"}, "extra_params.speed", None),
        ("set_scene", {"zones": [1], "angle": True}, "extra_params.angle", None),
        ("update_firmware", {}, "file_id", None),
        ("reboot", {"delay": 1}, "extra_params.delay", []),
    ],
)
async def test_a_wrong_value_is_refused_with_those_allowed(
    xyte: XyteClient, name: str, params: dict[str, Any], path: str, allowed: list[Any] | None
) -> None:
    problem = await refusal(xyte, name=name, extra_params=params)

    (error,) = problem.errors
    assert error["path"] == path
    assert error.get("allowed") == allowed
    assert f"It takes {name}" in problem.detail
    assert "Nothing was sent" in problem.detail


async def test_a_command_without_a_file_takes_none(xyte: XyteClient) -> None:
    assert (await refusal(xyte, name="reboot", file_id="f1")).errors[0]["path"] == "file_id"


@pytest.mark.parametrize(
    ("command", "path", "hint"),
    [
        ({"name": "rebot"}, "name", "Did you mean reboot?"),
        ({"friendly_name": "restart"}, "friendly_name", "Did you mean Restart?"),
        ({"name": "set_input", "friendly_name": "Restart"}, "name", "Did you mean set_input?"),
        ({"name": "zzzzzz"}, "name", "no such command. It has"),
    ],
)
async def test_an_unknown_command_is_refused_with_those_there_are(
    xyte: XyteClient, command: dict[str, Any], path: str, hint: str
) -> None:
    problem = await refusal(xyte, **command)

    assert hint in problem.detail
    assert "set_input(input: hdmi1|hdmi2)" in problem.detail
    assert "set_scene(zones: 1|2, mood?: warm|cold|w1|c1, speed?: 1..9, pause?: 0.., angle?, room?)" in problem.detail
    assert "10|11|…)" in problem.detail
    assert "update_firmware with file_id" in problem.detail
    assert problem.errors == [
        {
            "path": path,
            "message": "Not a command of this device's model.",
            "allowed": ["reboot", "set_input", "set_scene", "tune", "update_firmware"],
        }
    ]


@pytest.mark.parametrize("model", [404, 403, {"commands": []}, {"commands": None}, [], {}])
async def test_without_a_known_model_a_command_is_not_held_back(
    xyte: XyteClient, cloud: respx.MockRouter, model: Any
) -> None:
    answer = httpx.Response(model, json={}) if isinstance(model, int) else httpx.Response(200, json=model)
    cloud.get(path__regex="/models/m1$").mock(return_value=answer)

    body = await checked(xyte, "d1", CommandSend.model_validate({"name": "anything"}))

    assert body == {"name": "anything", "command": "anything", "extra_params": {}}


@pytest.mark.parametrize("device", [{"model": "PX-1000"}, {}, {"model": {"name": "PX-1000"}}])
async def test_a_device_without_a_model_is_not_held_back(
    xyte: XyteClient, cloud: respx.MockRouter, device: dict[str, Any]
) -> None:
    cloud.get(path__regex="/devices/d1$").respond(json=device)

    body = await checked(xyte, "d1", CommandSend.model_validate({"friendly_name": "Any"}))

    assert body == {"friendly_name": "Any", "extra_params": {}}


async def test_an_unknown_device_is_found_out_before_anything_is_sent(
    xyte: XyteClient, cloud: respx.MockRouter
) -> None:
    cloud.get(path__regex="/devices/d1$").respond(404, json={"error": "Errors::NotFound"})

    with pytest.raises(Problem) as caught:
        await checked(xyte, "d1", CommandSend.model_validate({"name": "reboot"}))

    assert caught.value.status == 404


async def test_unchecked_nothing_is_read(xyte: XyteClient, cloud: respx.MockRouter) -> None:
    body = await checked(xyte, "d1", CommandSend.model_validate({"name": "anything", "skip_validation": True}))

    assert body == {"name": "anything", "command": "anything", "extra_params": {}}
    assert not cloud.calls
