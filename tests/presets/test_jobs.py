"""What the worker does with runs."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.presets import jobs
from app.presets.jobs import since
from tests.presets.conftest import Stage
from tests.presets.test_service import ON, by

OFF = {"kind": "projector", "command": "power_off"}
LIGHT = {"kind": "lighting", "command": "lights_on"}


async def count(stage: Stage) -> int:
    async with stage.resources.engine.connect() as db:
        return (await db.execute(text("SELECT count(*) FROM tasks WHERE kind = 'command'"))).scalar_one()


async def test_stages_come_one_after_the_other_and_steps_five_at_a_time(stage: Stage) -> None:
    await stage.save("all", stages=[{"steps": [{"all": True, "command": "reboot"}]}, {"steps": [LIGHT]}])
    run = await stage.start("tower", "all")

    await jobs.advance(stage.ledger)
    first = await stage.look(run)
    ended = await stage.finish(run)

    assert len(by(first, state="running")) == min(5, len(by(ended, stage=1, state="done")))
    assert by(first, stage=2)[0]["state"] == "waiting"
    assert max(step["ended_at"] for step in by(ended, stage=1, state="done")) <= by(ended, stage=2)[0]["ended_at"]


async def test_several_workers_at_once_take_each_step_once(stage: Stage) -> None:
    run = await stage.start("board", "presentation")

    for _ in range(40):
        await stage.change("tasks SET follow_at = now() WHERE state = 'running'")
        await asyncio.gather(*(look_in(stage, run) for _ in range(4)))
        await stage.turn()
        if (await stage.look(run))["final"]:
            break

    ended = await stage.look(run)
    assert ended["state"] == "done"
    assert await count(stage) == len(by(ended, state="done"))


async def look_in(stage: Stage, run: dict[str, Any]) -> None:
    """What a worker does that has claimed the run, whoever else has."""
    async with stage.ledger.session() as db:
        task = await jobs.tasks.get(db, await tenant_of(stage), UUID(run["id"]))
        assert task is not None
        keys = await jobs.tasks.keys_of(db, stage.resources, [task])
    if task.state == "running":
        await jobs.one(stage.ledger, task, keys[task.id])


async def tenant_of(stage: Stage) -> str:
    return (await stage.client.get("/v1/organization")).json()["id"]


async def test_what_surely_failed_is_tried_again_as_often_as_it_says(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    await stage.simulator.admin("POST", f"devices/{projector['id']}", {"fails": 2})
    await stage.save("stubborn", {**ON, "tries": 3})
    run = await stage.start("board", "stubborn")
    for _ in range(20):
        await stage.turn()
        await stage.change("preset_steps SET ready_at = now() WHERE state = 'waiting'")

    ended = await stage.finish(run)

    assert (ended["state"], ended["steps"][0]["attempts"]) == ("done", 3)
    assert await stage.sent(projector["id"]) == ["power_on"] * 3


async def test_what_may_have_run_is_never_tried_again(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    await stage.save("lost", {"kind": "projector", "command": "reboot", "tries": 5})
    run = await stage.start("board", "lost")
    await jobs.advance(stage.ledger)
    await stage.change(
        "tasks SET state = 'dispatching', fence = 1, lease_until = now(), dispatch_started_at = now()"
        " WHERE kind = 'command'"
    )
    await stage.change("tasks SET state = 'outcome_unknown' WHERE kind = 'command'")

    ended = await stage.finish(run)

    assert (ended["state"], ended["steps"][0]["state"]) == ("outcome_unknown", "unknown")
    assert await stage.sent(projector["id"]) == []


async def test_an_error_stops_what_comes_after_where_the_step_says_so(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    await stage.simulator.admin("POST", f"devices/{projector['id']}", {"fails": 1})
    await stage.save("fragile", stages=[{"steps": [{**ON, "on_error": "stop"}]}, {"steps": [LIGHT]}])

    ended = await stage.finish(await stage.start("board", "fragile"))

    assert [step["state"] for step in ended["steps"]] == ["failed", "not_run"]
    assert ended["state"] == "error"


async def test_a_device_that_is_offline_is_not_told(stage: Stage) -> None:
    camera = await stage.device("Board Room PTZ Camera")
    run = await stage.start("board", "video_call")
    await stage.simulator.admin("POST", f"devices/{camera['id']}", {"plugged": False})
    stage.simulator.tick(200)

    ended = await stage.finish(run)

    assert ended["state"] == "error"
    assert "the camera is offline since" in ended["summary"]
    assert await stage.sent(camera["id"]) == []


async def test_a_step_waits_for_its_delay(stage: Stage) -> None:
    await stage.save("slow", {**ON, "delay_seconds": 600}, LIGHT)
    run = await stage.start("board", "slow")
    for _ in range(4):
        await stage.turn()
    before = await stage.look(run)
    await stage.change("preset_steps SET ready_at = now() WHERE state = 'waiting'")

    ended = await stage.finish(run)

    assert [step["state"] for step in before["steps"]] == ["waiting", "done"]
    assert [step["state"] for step in ended["steps"]] == ["done", "done"]


async def test_what_takes_too_long_is_taken_back(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    await stage.save("patient", {**ON, "timeout_seconds": 5})
    run = await stage.start("board", "patient")
    await jobs.advance(stage.ledger)
    await stage.simulator.admin("POST", f"devices/{projector['id']}", {"plugged": False})
    await stage.dispatcher.take_on()
    await stage.dispatcher.settled()
    await stage.change("tasks SET dispatch_started_at = now() - interval '6 s' WHERE kind = 'command'")

    ended = await stage.finish(run)

    assert ended["steps"][0]["state"] == "failed"
    assert ended["steps"][0]["reason"] == "did not carry it out in time, so it was taken back"


async def test_a_run_does_not_wait_for_ever(stage: Stage) -> None:
    await stage.save("stuck", ON, LIGHT)
    run = await stage.start("board", "stuck")
    await jobs.advance(stage.ledger)
    await stage.change(
        "tasks SET state = 'dispatching', fence = id_fence.n, lease_until = now() + interval '1 day',"
        " dispatch_started_at = now() - interval '1 hour' FROM (SELECT nextval('task_fence') AS n) id_fence"
        " WHERE kind = 'command'"
    )

    ended = await stage.finish(run)

    assert {step["state"] for step in ended["steps"]} == {"unknown"}
    assert ended["state"] == "outcome_unknown"


async def test_after_the_deadline_nothing_more_is_sent(stage: Stage) -> None:
    run = await stage.start("board", "presentation")
    await stage.change("tasks SET not_after = now() - interval '1 s'")

    ended = await stage.finish(run)

    assert {step["state"] for step in ended["steps"]} == {"not_run", "skipped"}
    assert await count(stage) == 0


async def test_without_its_key_a_run_ends(stage: Stage) -> None:
    run = await stage.start("board", "presentation")
    async with stage.resources.engine.begin() as db:
        await db.execute(text("DELETE FROM task_secrets"))

    ended = await stage.finish(run)

    assert ended["state"] == "error"
    assert "credentials_unavailable" in by(ended, state="not_run")[0]["reason"]


async def test_a_device_that_is_gone_and_a_room_that_is_deleted_do_not_stop_the_rest(stage: Stage) -> None:
    projector = await stage.device("Board Room Projector")
    run = await stage.start("board", "presentation")
    await stage.client.delete(f"/v1/devices/{projector['id']}")
    await stage.client.delete(f"/v1/spaces/{run['room']['id']}")

    ended = await stage.finish(run)

    assert {step["reason"] for step in by(ended, device_id=projector["id"])} == {"is gone"}
    assert by(ended, state="done")
    assert ended["state"] == "error"


async def test_while_the_cloud_is_away_a_run_waits(stage: Stage) -> None:
    await stage.save("one", ON)
    run = await stage.start("board", "one")
    fault = {"kind": "status", "status": 500, "method": "GET", "path": "*/devices/*", "times": None}
    await stage.simulator.admin("POST", "faults", fault)
    await jobs.advance(stage.ledger)
    waiting = await stage.look(run)
    await stage.simulator.admin("DELETE", "faults")
    await stage.change("preset_steps SET ready_at = now()")

    ended = await stage.finish(run)

    assert waiting["steps"][0]["state"] == "waiting"
    assert ended["state"] == "done"


async def test_keys_are_wiped_when_a_run_ends(stage: Stage) -> None:
    await stage.finish(await stage.start("board"))

    async with stage.resources.engine.connect() as db:
        assert (await db.execute(text("SELECT count(*) FROM task_secrets"))).scalar_one() == 0


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (None, ""),
        ("nonsense", ""),
        ("2020-01-02T09:14:00Z", " since 2020-01-02 09:14 UTC"),
    ],
)
def test_since_when(moment: str | None, told: str) -> None:
    assert since(moment) == told


def test_since_when_today() -> None:
    before = datetime.now(UTC)
    told = since(before.isoformat())

    assert told == f" since {before:%H:%M} UTC" or datetime.now(UTC).date() != before.date()
