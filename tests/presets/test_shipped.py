"""The presets that come with the service work in every simulated room."""

import pytest

from app.presets.shipped import FOLDER, shipped
from tests.presets.conftest import Stage

ROOMS = (
    "london/board room", "london/huddle 1", "london/thames", "tower auditorium", "reception", "salle zurich",
    "paris/huddle 1", "louvre", "seine studio", "hudson", "brooklyn", "executive suite", "broadcast studio",
    "training center",
)  # fmt: skip
FUNCTIONS = ("default", "presentation", "video_call", "all_hands", "cleaning", "shutdown")
STATES = {
    "default": ("display", "power", "on"),
    "presentation": ("projector", "power", "on"),
    "video_call": ("codec", "power", "on"),
    "all_hands": ("lighting", "level", 100),
    "cleaning": ("speaker", "muted", True),
    "shutdown": ("display", "power", "off"),
}


def test_there_are_those_that_people_expect() -> None:
    assert set(FUNCTIONS) <= set(shipped())
    assert all(document.title and document.description for document in shipped().values())
    assert {path.suffix for path in FOLDER.iterdir()} == {".yaml"}


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_each_can_be_planned_in_every_room(stage: Stage, name: str) -> None:
    for room in ROOMS:
        plan = await stage.client.get(f"/v1/presets/{name}/plan", params={"room": room})

        assert plan.status_code == 200, (room, plan.text)
        waiting = [step for step in plan.json()["steps"] if step["state"] == "waiting"]
        assert waiting, room
        reasons = {step["reason"] for step in plan.json()["steps"] if step["state"] == "skipped"}
        assert "has no such command" not in reasons, room
    empty = await stage.client.get(f"/v1/presets/{name}/plan", params={"room": "quiet"})
    assert empty.json()["summary"].startswith("There is nothing to do")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("room", ["board", "louvre", "broadcast studio"])
async def test_each_brings_devices_into_its_state(stage: Stage, name: str, room: str) -> None:
    run = await stage.finish(await stage.start(room, name))

    assert run["state"] == "done", run
    kind, key, value = STATES[name]
    status = (await stage.client.get("/v1/rooms/status", params={"room": room})).json()
    for device in status["devices"].get(kind, []):
        assert device["state"][key] == value, device


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_each_is_settled_after_once(stage: Stage, name: str) -> None:
    for before in ("shutdown", name):
        await stage.finish(await stage.start("seine", before))

    second = await stage.finish(await stage.start("seine", name))

    assert second["summary"].startswith("Nothing had to be done"), second["summary"]
