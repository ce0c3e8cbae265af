"""Presets and runs as callers meet them."""

from typing import Any

import httpx
import pytest

from app.auth import Caller
from app.presets import service
from app.presets.schemas import PresetSave
from app.simulator import ORGANIZATION_KEYS
from tests.presets.conftest import Stage
from tests.world import call

ON = {"kind": "projector", "command": "power_on"}


def by(run: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """The steps of a run that are so."""
    return [step for step in run["steps"] if all(step.get(name) == value for name, value in wanted.items())]


# ── Presets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_versions_are_kept_compared_deleted_and_brought_back(stage: Stage, client: httpx.AsyncClient) -> None:
    await stage.save("hall", ON, note="first")
    await stage.save("hall", {**ON, "command": "power_off"}, title="Hall")
    difference = (await client.get("/v1/presets/hall/diff", params={"before": 1})).json()
    deleted = await client.delete("/v1/presets/hall")
    gone = await client.get("/v1/presets/hall")
    back = await client.post("/v1/presets/hall/roll_back", json={"version": 1})
    versions = (await client.get("/v1/presets/hall/versions")).json()["items"]

    assert any(line.startswith("-") and "power_on" in line for line in difference["lines"])
    assert any(line.startswith("+") and "power_off" in line for line in difference["lines"])
    assert (deleted.status_code, gone.status_code) == (200, 404)
    assert back.json()["version"] == 4
    assert back.json()["stages"] == [{"steps": [{"command": "power_on", "kind": "projector"}]}]
    assert [row["version"] for row in versions] == [4, 3, 2, 1]
    assert [row["deleted"] for row in versions] == [False, True, False, False]


async def test_an_own_preset_takes_the_place_of_a_shipped_one(stage: Stage, client: httpx.AsyncClient) -> None:
    await stage.save("default", ON)

    listed = {row["name"]: row for row in (await client.get("/v1/presets")).json()["items"]}
    shipped = (await client.get("/v1/presets/default", params={"version": 0})).json()
    await client.delete("/v1/presets/default")
    again = (await client.get("/v1/presets/default")).json()

    assert (listed["default"]["source"], listed["shutdown"]["source"]) == ("own", "shipped")
    assert shipped["source"] == again["source"] == "shipped"


async def test_a_change_that_somebody_was_faster_with_is_refused(stage: Stage, client: httpx.AsyncClient) -> None:
    await stage.save("hall", ON, based_on=0)

    late = await client.put("/v1/presets/hall", json={"stages": [{"steps": [ON]}], "based_on": 0})

    assert (late.status_code, late.json()["error"]) == (409, "version_conflict")


async def test_presets_belong_to_their_tenant(stage: Stage, client: httpx.AsyncClient) -> None:
    await stage.save("secret", ON)
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    assert (await client.get("/v1/presets/secret")).status_code == 404
    assert (await client.get("/v1/presets/secret/versions")).status_code == 404
    assert (await client.delete("/v1/presets/secret")).status_code == 404
    assert "secret" not in (await client.get("/v1/presets")).text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "body"),
        ({"yaml": "stages: [{steps: [{kind: tv, command: on}]}]", "stages": []}, "stages"),
        ({"yaml": "[*a]"}, "yaml"),
        ({"yaml": "x" * 65_537}, "yaml"),
        ({"stages": [{"steps": [{"command": "on"}]}]}, "stages"),
        ({"stages": [{"steps": [ON] * 201}]}, "stages"),
        ({"yaml": "stages: [{steps: [{kind: tv, command: on}]}]", "title": "T"}, "body"),
    ],
)
async def test_a_bad_preset_is_a_422(client: httpx.AsyncClient, body: dict[str, Any], path: str) -> None:
    answer = await client.put("/v1/presets/bad", json=body)

    assert answer.status_code == 422, answer.text
    assert path in answer.text
    assert (await client.get("/v1/presets/bad")).status_code == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "A", "a b", "", "x" * 65])
async def test_a_name_is_a_name(client: httpx.AsyncClient, name: str) -> None:
    planned = await call(client, "plan_preset", name=name, room="board")
    started = await call(client, "start_meeting_room_preset", preset=name, room="board")

    assert planned["isError"]
    assert started["isError"]
    assert "invalid_input" in started["content"][0]["text"]


async def test_an_unknown_preset_names_the_nearest(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/presets/presentatoin/plan", params={"room": "board"})

    assert answer.status_code == 404
    assert answer.json()["nearest"][0] == {"name": "presentation"}


async def test_saving_can_be_tried(stage: Stage) -> None:
    key = ORGANIZATION_KEYS[0]
    caller = Caller(key, stage.resources.fingerprint(key), dry_run=True)
    asked = PresetSave.model_validate({"stages": [{"steps": [ON]}]})

    tried = await service.save(stage.resources, caller, "hall", asked)

    assert tried.version == 1
    assert (await stage.client.get("/v1/presets/hall")).status_code == 404


# ── Plans ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dry_run_shows_the_plan_and_sends_nothing(client: httpx.AsyncClient) -> None:
    plan = (await call(client, "start_meeting_room_preset", room="board", dry_run=True))["structuredContent"]

    assert (plan["state"], plan["final"]) == ("planned", False)
    assert "id" not in plan
    assert by(plan, kind="projector", command="power_on")[0]["device"] == "Board Room Projector"
    assert by(plan, kind="display", state="skipped")[0]["reason"] == "is not in the room"
    assert (await client.get("/v1/tasks")).json()["items"] == []


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"kind": "display", "command": "power_on", "required": True}, "The room has no display."),
        ({"kind": "projector", "command": "fly", "required": True}, "no such command"),
        ({"device_id": "nobody", "command": "power_on"}, "No device has this id"),
        ({"device_name": "Ghost", "command": "power_on", "required": True}, "no such device"),
    ],
)
async def test_what_a_preset_requires_is_refused_before_anything_is_sent(
    stage: Stage, step: dict[str, Any], words: str
) -> None:
    await stage.save("strict", ON, step)

    answer = await stage.client.post("/v1/rooms/start", json={"room": "board", "preset": "strict"})

    assert answer.status_code == 422
    assert words in answer.json()["errors"][0]["message"]
    assert answer.json()["errors"][0]["path"] == "stages.0.steps.1"
    assert (await stage.client.get("/v1/tasks")).json()["items"] == []


async def test_a_device_of_another_tenant_is_no_device(stage: Stage) -> None:
    stage.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    theirs = (await stage.client.get("/v1/fleet/devices")).json()["items"][0]["id"]
    stage.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[0]
    await stage.save("foreign", {"device_id": theirs, "command": "reboot"})

    answer = await stage.client.post("/v1/preset-runs", json={"preset": "foreign"})

    assert answer.status_code == 422
    assert "No device has this id" in answer.text
    assert await stage.sent(theirs) == []


async def test_alternatives_are_taken_where_a_model_lacks_the_first(stage: Stage) -> None:
    step = {"kind": "lighting", "command": "glow", "or_else": [{"command": "set_level", "params": {"level": 500}},
            {"command": "lights_on"}]}  # fmt: skip
    await stage.save("light", step)

    plan = (await stage.client.get("/v1/presets/light/plan", params={"room": "board"})).json()

    assert [step["command"] for step in plan["steps"]] == ["lights_on"]


async def test_a_room_is_needed_where_steps_mean_devices_of_one(stage: Stage) -> None:
    answer = await stage.client.post("/v1/preset-runs", json={"preset": "default"})

    assert answer.status_code == 422
    assert "a room is needed" in answer.text


async def test_an_empty_room_has_nothing_to_do(stage: Stage) -> None:
    answer = await stage.client.post("/v1/rooms/start", json={"room": "quiet"})

    assert (answer.status_code, answer.json()["error"]) == (409, "nothing_to_do")


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_start_is_harmless(stage: Stage) -> None:
    await stage.finish(await stage.start("board", "shutdown"))
    await stage.finish(await stage.start("board"))
    assert (await stage.device("Board Room Lighting Controller"))["state"]["power"] == "on"
    projector = (await stage.device("Board Room Projector"))["id"]
    before = await stage.sent(projector)

    second = await stage.finish(await stage.start("board"))

    assert second["state"] == "done"
    assert second["summary"].startswith("Nothing had to be done")
    assert await stage.sent(projector) == before


async def test_starting_while_it_starts_is_the_same_run_and_shutting_down_ends_it(stage: Stage) -> None:
    first = await stage.start("board", "presentation")
    again = await stage.start("london/board room", "presentation")
    elsewhere = await stage.start("thames", "presentation")
    down = (await stage.client.post("/v1/rooms/shutdown", json={"room": "board", "wait_seconds": 0})).json()

    ended = await stage.finish(first)
    assert again["id"] == first["id"] != elsewhere["id"]
    assert ended["state"] == "cancelled"
    assert by(ended, state="done") == []
    assert (await stage.finish(down))["state"] == "done"
    assert (await stage.device("Board Room Projector"))["state"]["power"] == "off"


async def test_an_idempotency_key_stands_for_the_run(stage: Stage) -> None:
    asked = {"room": "board", "wait_seconds": 0}
    headers = {"Idempotency-Key": "morning"}
    first = await stage.client.post("/v1/rooms/start", json=asked, headers=headers)
    await stage.finish(first.json())

    again = await stage.client.post("/v1/rooms/start", json=asked, headers=headers)
    other = await stage.client.post("/v1/rooms/start", json={**asked, "room": "thames"}, headers=headers)

    assert again.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_conflict")


async def test_a_run_belongs_to_its_tenant(stage: Stage) -> None:
    run = await stage.start("board")
    stage.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    assert (await stage.client.get(f"/v1/preset-runs/{run['id']}")).status_code == 404
    again = await stage.client.post(f"/v1/preset-runs/{run['id']}/steps/1/rerun", json={})
    assert again.status_code == 404


async def test_a_command_is_no_run(stage: Stage) -> None:
    device = await stage.device("Board Room Projector")
    task = (await stage.client.post("/v1/tasks", json={"device_id": device["id"], "name": "power_on"})).json()

    assert (await stage.client.get(f"/v1/preset-runs/{task['id']}")).status_code == 404


async def test_a_run_is_a_task_that_can_be_cancelled(stage: Stage) -> None:
    run = await stage.start("board", "presentation")
    await stage.turn()

    cancelled = await stage.client.post(f"/v1/tasks/{run['id']}/cancel")
    ended = await stage.finish(run)

    assert cancelled.json()["kind"] == "preset"
    assert ended["state"] == "cancelled"
    assert by(ended, state="cancelled")
    assert by(ended, state="running") == by(ended, state="waiting") == []


async def test_one_failed_step_is_run_again_alone(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    await stage.save("two", ON, {"kind": "lighting", "command": "lights_on"})
    await stage.simulator.admin("POST", f"devices/{projector['id']}", {"fails": 1})
    run = await stage.finish(await stage.start("board", "two"))
    failed = by(run, state="failed")[0]

    path = f"/v1/preset-runs/{run['id']}/steps/{failed['number']}/rerun"
    again = (await stage.client.post(path, json={"wait_seconds": 0})).json()
    twin = (await stage.client.post(path, json={"wait_seconds": 0})).json()
    ended = await stage.finish(again)
    over = (await stage.client.post(path, json={"wait_seconds": 0})).json()

    assert (run["state"], failed["reason"]) == ("error", "did not carry it out")
    assert failed["message"]
    assert "the projector did not carry it out" in run["summary"]
    assert again["id"] == twin["id"] == over["id"]
    assert (ended["state"], len(ended["steps"])) == ("done", 1)
    assert await stage.sent(projector["id"]) == ["power_on", "power_on"]
    light = by(run, kind="lighting")[0]
    assert len(await stage.sent(light["device_id"])) == 1
    refused = await stage.client.post(f"/v1/preset-runs/{run['id']}/steps/{light['number']}/rerun", json={})
    assert (refused.status_code, refused.json()["error"]) == (409, "nothing_to_do")
    missing = await stage.client.post(f"/v1/preset-runs/{run['id']}/steps/99/rerun", json={})
    assert missing.status_code == 404


async def test_each_step_is_reported_as_it_ends(stage: Stage) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def report(done: float, total: float | None = None, message: str | None = None) -> None:
        heard.append((done, total, message))

    run = await stage.finish(await stage.start("louvre"))
    tenant = (await stage.client.get("/v1/organization")).json()["id"]
    latest = await service.watch(stage.resources, tenant, run["id"], 0, report)

    assert latest.final
    assert [done for done, _, _ in heard] == list(range(len(heard)))
    assert heard[-1][0] == heard[-1][1]
    assert any("display: power_on: done" in str(message) for _, _, message in heard)
