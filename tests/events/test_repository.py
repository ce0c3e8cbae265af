"""The log itself: numbers without holes, in the order of commits; trimmed for each tenant alone."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.events import jobs, repository, service
from app.events.schemas import Draft
from app.resources import Resources
from tests.events.conftest import Log

ONE = Draft("t", "webhook", {})
WEEK = timedelta(days=7)


async def numbers(log: Log, tenant: str | None = None) -> list[int]:
    async with log.resources.engine.connect() as db:
        rows = await db.execute(
            text("SELECT sequence FROM events WHERE tenant = :t ORDER BY 1"), {"t": tenant or log.tenant}
        )
        return [row[0] for row in rows]


async def test_many_writers_leave_no_hole(log: Log) -> None:
    await asyncio.gather(*(service.append(log.resources, log.tenant, [ONE] * size) for size in (1, 5, 2, 7, 1, 4)))

    assert await numbers(log) == list(range(1, 21))


async def test_a_transaction_that_fails_leaves_no_hole(log: Log) -> None:
    await log.add("a")

    async def fail() -> None:
        async with repository.as_tenant(log.resources, log.tenant) as db:
            await repository.append(db, log.tenant, [ONE, ONE])
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await log.add("b")

    assert await numbers(log) == [1, 2]


async def test_no_reader_sees_a_number_before_those_below_it(log: Log) -> None:
    async with repository.as_tenant(log.resources, log.tenant) as db:
        await repository.append(db, log.tenant, [ONE])
        later = asyncio.create_task(log.add("later"))
        await asyncio.sleep(0)
        assert await log.types() == []
        assert not later.done()
    await later

    assert await numbers(log) == [1, 2]


async def trimmed(resources: Resources, count: int, age: timedelta = WEEK) -> int:
    async with repository.transaction(resources) as db:
        return await repository.trim(db, count, age, 1_000)


async def test_the_oldest_go_by_count_and_no_tenant_evicts_another(log: Log) -> None:
    await service.append(log.resources, "quiet", [ONE] * 3)
    await log.add(*"abcdefghij")

    assert await trimmed(log.resources, 4) == 6

    assert await numbers(log) == [7, 8, 9, 10]
    assert await numbers(log, "quiet") == [1, 2, 3]


async def test_the_oldest_go_by_age_from_the_start_without_holes(log: Log) -> None:
    await log.add(*"abcde")
    async with log.resources.engine.begin() as db:
        await db.execute(text("UPDATE events SET stored_at = now() - interval '8 days' WHERE sequence IN (1, 3)"))

    await trimmed(log.resources, 100)

    assert await numbers(log) == [4, 5]
    assert await log.end() == 5


async def test_the_worker_trims_in_batches_and_forgets_what_nobody_uses(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "TRIM_MOST", 2)
    log.resources.settings = log.resources.settings.model_copy(update={"events_keep_count": 1})
    await log.add(*"abcdef")
    await log.next("old")
    async with log.resources.engine.begin() as db:
        await db.execute(text("UPDATE event_consumers SET seen_at = now() - interval '8 days'"))
        await db.execute(text("INSERT INTO event_receipts VALUES ('t', 'd', now() - interval '1 s')"))
        await db.execute(text("INSERT INTO event_watches (tenant, look_at) VALUES ('t', now() - interval '9 days')"))

    await jobs.trim(log.resources)

    assert await numbers(log) == [6]
    async with log.resources.engine.connect() as db:
        for table in ("event_consumers", "event_receipts", "event_watches"):
            assert (await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_what_postgres_cannot_hold_is_left_out(log: Log) -> None:
    await service.append(log.resources, log.tenant, [Draft("t", "watch", {"name": "a\0b"})])

    assert (await log.page()).items[0].data == {"name": "ab"}
