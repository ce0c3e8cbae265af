"""What tasks tell reaches the log, in order, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.doorbell import end
from app.events import jobs, repository
from app.events.feed import Feeds
from app.resources import Resources
from app.telemetry import EVENTS_STORED
from tests.events.conftest import Log, counted

INSERT = """
INSERT INTO tasks (id, tenant, kind, device_id, command, body, idempotent, not_after, epoch, state)
VALUES (:id, :tenant, :kind, 'd1', 'reboot', '{}', false, now() + interval '1 hour', 1, :state)
"""
SEND = "state = 'dispatching', fence = nextval('task_fence'), lease_until = now(), dispatch_started_at = now()"


async def add(log: Log, kind: str = "command", state: str = "queued") -> Any:
    values = {"id": uuid4(), "tenant": log.tenant, "kind": kind, "state": state}
    async with log.resources.engine.begin() as db:
        await db.execute(text(INSERT), values)
    return values["id"]


async def change(log: Log, *assignments: str) -> None:
    for assignment in assignments:
        async with log.resources.engine.begin() as db:
            await db.execute(text(f"UPDATE tasks SET {assignment}"))


@pytest.fixture
async def pumping(resources: Resources) -> AsyncIterator[None]:
    async with jobs.running(resources):
        yield


async def test_a_task_s_moves_are_events(log: Log) -> None:
    task = await add(log)
    await change(
        log,
        SEND,
        "state = 'running', upstream_id = 'x1', upstream_status = 'pending'",
        "note = 'not worth an event'",
        "upstream_status = 'in_progress'",
        "state = 'done', upstream_status = 'done'",
    )

    moved = await jobs.pump(log.resources)

    events = (await log.page()).items
    assert moved == 4
    assert [event.type for event in events] == ["task.queued", "task.running", "task.progress", "task.done"]
    assert {(event.source, event.device_id, event.data["task_id"]) for event in events} == {("task", "d1", str(task))}
    assert events[2].data["xyte_status"] == "in_progress"
    assert await jobs.pump(log.resources) == 0


async def test_a_preset_s_run_tells_of_a_preset(log: Log) -> None:
    await add(log, "preset", "running")

    await jobs.pump(log.resources)

    assert await log.types() == ["preset.running"]


async def test_what_was_rolled_back_is_not_told(log: Log) -> None:
    async with log.resources.engine.connect() as db:
        await db.execute(text(INSERT), {"id": uuid4(), "tenant": log.tenant, "kind": "command", "state": "queued"})
        await db.rollback()

    assert await jobs.pump(log.resources) == 0


async def test_two_workers_do_not_pump_at_once(log: Log) -> None:
    await add(log)
    async with repository.transaction(log.resources) as db:
        assert len(await repository.pump(db, 10)) == 1

        assert await jobs.pump(log.resources) == 0

    assert await log.types() == ["task.queued"]


async def test_the_worker_pumps_by_itself(log: Log, pumping: None) -> None:
    async with log.resources.the(Feeds).joined(log.tenant) as feed, asyncio.timeout(10):
        news = feed.news
        before = counted(EVENTS_STORED.labels("task"))
        await add(log)
        await news.wait()

    assert await log.types() == ["task.queued"]
    assert counted(EVENTS_STORED.labels("task")) == before + 1


async def test_the_worker_outlives_what_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()
    failures: list[Exception] = [LookupError("once")]

    async def work() -> None:
        if failures:
            raise failures.pop()
        done.set()

    loop = asyncio.create_task(jobs.regularly(work, 0.01))
    async with asyncio.timeout(10):
        await done.wait()
    await end(loop)

    assert "looking after events failed" in caplog.text
