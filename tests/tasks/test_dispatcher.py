"""The worker's loop: it lives through what fails around it, and ends with nothing half done."""

import asyncio
import logging
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.db import open_engine
from app.tasks.crashes import reach
from app.tasks.dispatcher import Dispatcher
from app.tasks.ledger import Ledger
from app.tasks.models import Task
from tests.tasks.conftest import Work
from tests.world import until

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


class Lines(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    logging.getLogger("app.tasks").addHandler(handler)
    yield handler.lines
    logging.getLogger("app.tasks").removeHandler(handler)


async def test_it_does_everything_by_itself(work: Work) -> None:
    task = await work.submit()

    async with asyncio.timeout(30), work.dispatcher.running():
        while not (await work.look(task))["final"]:
            work.simulator.tick(10)
            await asyncio.sleep(0.05)

    assert (await work.look(task))["state"] == "done"


async def test_it_waits_for_what_is_being_sent(work: Work) -> None:
    task = await work.submit()
    await work.fault("latency", seconds=0.3)

    async def is_taken() -> bool:
        return (await work.look(task))["state"] != "queued"

    async with work.dispatcher.running():
        await until(is_taken)

    assert (await work.look(task))["state"] == "running"


async def test_it_takes_no_more_than_it_has_room_for(work: Work) -> None:
    work.resources.settings = work.resources.settings.model_copy(update={"tasks_at_once": 1})
    await work.submit()
    await work.fault("latency", seconds=0.2)

    assert await work.dispatcher.take_on() == 1
    assert await work.dispatcher.take_on() == 0


async def test_it_lives_while_postgres_is_away(work: Work, lines: list[str]) -> None:
    engine = work.resources.engine
    work.resources.engine = open_engine(NOWHERE, for_worker=True)

    async with Dispatcher(work.resources).running():
        await until(lambda: lines.count("PostgreSQL is away") > 3)

    await work.resources.engine.dispose()
    work.resources.engine = engine


async def test_it_lives_through_what_nobody_foresaw(work: Work, lines: list[str]) -> None:
    update = {"tasks_at_once": "many", "tasks_grace_s": "long", "tasks_drain_s": 0}
    work.resources.settings = work.resources.settings.model_copy(update=update)

    async with Dispatcher(work.resources).running():
        await until(lambda: {"taking commands on failed", "looking after tasks failed"} <= set(lines))


async def test_a_sending_that_fails_unforeseen_is_left_to_the_reconciler(work: Work, lines: list[str]) -> None:
    task = await work.submit()
    work.resources.settings = work.resources.settings.model_copy(update={"device_commands_per_minute": "few"})

    await work.send()

    assert "sending failed" in lines
    assert (await work.look(task))["state"] == "dispatching"


@pytest.mark.parametrize(("lease_s", "state"), [(20.0, "running"), (0.1, "dispatching")])
async def test_an_outcome_is_recorded_if_postgres_is_back_within_the_lease(
    work: Work, lease_s: float, state: str
) -> None:
    task = await work.submit()
    await work.fault("latency", seconds=0.2)
    engine, settings = work.resources.engine, work.resources.settings
    await work.dispatcher.take_on()
    await when_sent(work)
    broken = work.resources.engine = open_engine(NOWHERE, for_worker=True)
    work.resources.settings = settings.model_copy(update={"tasks_lease_s": lease_s})

    async with asyncio.timeout(20):
        if state == "running":
            await asyncio.sleep(0.5)  # the failing itself takes this long
            work.resources.engine = engine
        await work.dispatcher.settled()

    work.resources.engine = engine
    await broken.dispose()
    assert (await work.look(task))["state"] == state


async def when_sent(work: Work) -> None:
    """Look until the command has reached the cloud."""

    async def is_sent() -> bool:
        return any(row["method"] == "POST" for row in await work.simulator.requests())

    await until(is_sent)


async def test_a_change_that_postgres_refuses_holds_up_no_other(work: Work, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await work.submit()
    async with work.ledger.session() as db:
        first, second, third = (await db.scalars(select(Task).order_by(Task.created_at))).all()

    changes = [
        work.ledger.change(first, note="seen"),
        work.ledger.change(second, attempt=2**40),
        work.ledger.change(third, note="seen"),
    ]
    ends = await asyncio.gather(*changes, return_exceptions=True)

    assert (ends[0], ends[2]) == (True, True)
    assert isinstance(ends[1], DBAPIError)
    assert [vars(record).get("task_id") for record in caplog.records if record.msg == "a change was refused"] == [
        str(second.id)
    ]


async def test_a_ledger_without_work_closes_at_once(work: Work) -> None:
    await Ledger(work.resources).close()


def test_a_crash_point_ends_the_process(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)

    reach(work.resources.settings.model_copy(update={"crash_at": "after_send"}), "after_send")
    reach(work.resources.settings, "after_send")

    assert codes == [137]
