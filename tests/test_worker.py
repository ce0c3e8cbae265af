"""The worker process: woken by arq or by PostgreSQL, unmoved by what lies in Redis, and gone in good order."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from arq.worker import create_worker
from sqlalchemy import text

from app import worker
from app.doorbell import QUEUE, Doorbell, end
from app.resources import Resources
from app.settings import Settings
from app.tasks.dispatcher import Dispatcher
from tests.world import until


class Bell(Dispatcher):
    """Counts rings and sends nothing."""

    def __init__(self) -> None:
        self.rings = asyncio.Event()

    def wake(self) -> None:
        self.rings.set()


async def test_arq_finds_its_class_without_connecting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "default_settings", lambda: settings)
    worker.default_worker.cache_clear()

    made = worker.Worker

    assert [function.__name__ for function in made.functions] == ["dispatch"]
    assert made.redis_pool is not None
    await made.redis_pool.aclose(close_connection_pool=True)
    with pytest.raises(AttributeError):
        _ = worker.Nothing
    worker.default_worker.cache_clear()


@asynccontextmanager
async def answering(settings: Settings) -> AsyncGenerator[Bell]:
    bell = Bell()
    task = asyncio.create_task(worker.answer_rings(settings, bell))
    try:
        yield bell
    finally:
        await end(task)


async def test_a_ring_wakes_the_dispatcher(resources: Resources, settings: Settings) -> None:
    async with answering(settings) as bell, asyncio.timeout(10):
        resources.doorbell.ring(uuid4())

        await bell.rings.wait()


@pytest.mark.parametrize("poison", [b"garbage", b"\x80\x04pickle"])
async def test_a_poisoned_entry_does_not_stop_it(resources: Resources, settings: Settings, poison: bytes) -> None:
    async with resources.redis.pipeline() as pipe:
        pipe.set("arq:job:bad", poison)
        pipe.zadd(QUEUE, {"bad": 1})
        await pipe.execute()

    async with answering(settings) as bell, asyncio.timeout(10):
        resources.doorbell.ring(uuid4())
        await bell.rings.wait()


async def test_a_queue_of_the_wrong_kind_does_not_end_the_process(resources: Resources, settings: Settings) -> None:
    server: Any = resources.redis
    await server.set(QUEUE, "not a queue")
    await server.config_resetstat()

    async with answering(settings) as bell, asyncio.timeout(15):
        await until(lambda: server.info("errorstats"))  # nothing else tells that arq has met it
        await server.delete(QUEUE)
        while not bell.rings.is_set():
            resources.doorbell.ring(uuid4())
            await asyncio.sleep(0.05)


async def test_ringing_without_redis_is_no_failure(resources: Resources) -> None:
    away = Doorbell("redis://127.0.0.1:1/0", resources.redis, through_arq=True)

    away.ring(uuid4())
    await away.tell([uuid4()])
    await away.close()


async def test_postgres_alone_wakes_the_dispatcher(resources: Resources) -> None:
    bell = Bell()
    listening = asyncio.create_task(worker.listen(resources, bell))
    async with asyncio.timeout(10):
        while not bell.rings.is_set():
            async with resources.engine.begin() as db:
                await db.execute(text("NOTIFY xyte_tasks"))
            await asyncio.sleep(0.01)
    await end(listening)


async def test_a_lost_connection_is_made_anew(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "RETRY_AFTER_S", 0.01)
    bell = Bell()
    listening = asyncio.create_task(worker.listen(resources, bell))
    async with asyncio.timeout(10):
        for _ in range(2):
            bell.rings.clear()
            while not bell.rings.is_set():
                async with resources.engine.begin() as db:
                    await db.execute(text("NOTIFY xyte_tasks"))
                await asyncio.sleep(0.01)
            async with resources.engine.connect() as db:
                await db.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                    )
                )
    await end(listening)


@pytest.mark.parametrize("wakeup", ["arq", "poll"])
async def test_sigterm_ends_it_in_good_order(
    settings: Settings, resources: Resources, wakeup: str, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings.model_copy(update={"tasks_wakeup": wakeup, "worker_metrics_port": 0})
    caplog.set_level("INFO", "app.worker")
    working = asyncio.create_task(worker.work(chosen))
    async with asyncio.timeout(60):
        await until(lambda: "worker started" in caplog.messages)
        os.kill(os.getpid(), signal.SIGTERM)
        await working


async def test_arq_opens_and_closes_what_it_needs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "default_settings", lambda: settings)
    ctx: dict[str, Any] = {}

    await worker.on_startup(ctx)
    await worker.dispatch(ctx, str(uuid4()))
    await worker.on_shutdown(ctx)

    given: dict[str, Any] = {"dispatcher": Bell()}
    await worker.on_startup(given)
    await worker.on_shutdown(given)
    assert set(given) == {"dispatcher"}


async def test_it_is_what_arq_expects(settings: Settings) -> None:
    made = create_worker(worker.arq_settings(settings), ctx={}, handle_signals=False)

    assert (made.max_tries, made.keep_result_s, made.queue_read_limit) == (10, 0, 2000)
    assert made.in_progress_timeout_s == 40
