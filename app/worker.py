"""The worker process: a dispatcher, woken by arq over Redis or by PostgreSQL alone."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from typing import Any, ClassVar

import redis.exceptions
import uvloop
from arq.worker import create_worker
from prometheus_client import start_http_server
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import AWAY
from app.doorbell import QUEUE, as_json, end, patient_pool
from app.events import jobs as events
from app.presets import jobs as presets
from app.resources import Resources, open_resources
from app.settings import Settings
from app.tasks.dispatcher import Dispatcher
from app.tasks.repository import CHANNEL
from app.telemetry import configure_logging

logger = logging.getLogger("app.worker")

RETRY_AFTER_S = 1.0


async def dispatch(ctx: dict[str, Any], _task_id: str) -> None:
    """The one job: a ring. Which command comes next is PostgreSQL's to say, in turn between tenants.

    The id tells people what rang.
    """
    ctx["dispatcher"].wake()


async def on_startup(ctx: dict[str, Any]) -> None:
    """Under `arq app.worker.Worker`: open what `run` has opened already."""
    if "dispatcher" not in ctx:
        stack = ctx["stack"] = AsyncExitStack()
        ctx["dispatcher"] = await stack.enter_async_context(working(default_settings()))


async def on_shutdown(ctx: dict[str, Any]) -> None:
    """Wait for what is being sent, then close."""
    if "stack" in ctx:
        await ctx["stack"].aclose()


class ArqSettings:
    """What `arq` reads; the rest depends on the environment and is added by `arq_settings`."""

    functions: ClassVar = [dispatch]
    on_startup = on_startup
    on_shutdown = on_shutdown
    queue_name = QUEUE
    job_timeout = 30  # arq holds a job that was lost for this and ten seconds more
    max_tries = 10
    max_jobs = 20
    poll_delay = 0.02  # a look costs Redis nothing, and callers wait for it
    queue_read_limit = 2000
    keep_result = 0
    log_results = False
    job_serializer = as_json
    job_deserializer = json.loads
    job_completion_wait = 1
    health_check_interval = 10
    allow_abort_jobs = False


def arq_settings(settings: Settings) -> type[Any]:
    """The class for `arq`, with connections of its own that live through a restart of Redis."""
    name = f"arq:hc:{socket.gethostname()}:{os.getpid()}"
    own = {"redis_pool": patient_pool(settings.redis_url), "health_check_key": name}
    common = {name: value for name, value in vars(ArqSettings).items() if not name.startswith("_")}
    return type("Worker", (), common | own)


@cache
def default_settings() -> Settings:
    """What the environment says."""
    settings = Settings.model_validate({})
    configure_logging(settings.log_level)
    return settings


@cache
def default_worker() -> type[Any]:
    """The class that `arq app.worker.Worker` runs."""
    return arq_settings(default_settings())


def __getattr__(name: str) -> type[Any]:
    if name == "Worker":
        return default_worker()
    raise AttributeError(name)


@asynccontextmanager
async def working(settings: Settings) -> AsyncGenerator[Dispatcher]:
    """A dispatcher at work."""
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port)
    async with open_resources(settings, for_worker=True) as resources:
        dispatcher = Dispatcher(resources, also=[presets.advance])
        listening = listen(resources, dispatcher) if settings.tasks_wakeup == "poll" else asyncio.sleep(0)
        listener = asyncio.create_task(listening)
        async with events.running(resources), dispatcher.running():
            yield dispatcher
        await end(listener)


async def listen(resources: Resources, dispatcher: Dispatcher) -> None:
    """Wake the dispatcher by PostgreSQL's notifications, as long as it is there."""
    while True:
        try:
            async with resources.engine.connect() as connection:
                await notified(connection, dispatcher)
        except AWAY as failure:
            logger.warning("no notifications for now", extra={"failure": type(failure).__name__})
        await asyncio.sleep(RETRY_AFTER_S)


async def notified(connection: AsyncConnection, dispatcher: Dispatcher) -> None:
    """Pass on notifications until the connection ends."""
    raw: Any = (await connection.get_raw_connection()).driver_connection
    ended = asyncio.Event()

    def end(*_: object) -> None:
        ended.set()

    def wake(*_: object) -> None:
        dispatcher.wake()

    raw.add_termination_listener(end)
    await raw.add_listener(CHANNEL, wake)
    try:
        await ended.wait()
    finally:
        await connection.invalidate()


def run() -> None:
    """Work until SIGTERM or Ctrl-C."""
    uvloop.run(work(default_settings()))


async def work(settings: Settings) -> None:
    """Work until told to stop; then take nothing more on, and finish what is being sent."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with working(settings) as dispatcher:
        logger.info("worker started", extra={"wakeup": settings.tasks_wakeup})
        answering = asyncio.create_task(answer_rings(settings, dispatcher))
        await stop.wait()
        await end(answering)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    logger.info("worker stopped")


async def answer_rings(settings: Settings, dispatcher: Dispatcher) -> None:
    """Let arq wake the dispatcher. While Redis is away the dispatcher works on, looking now and then by itself."""
    while settings.tasks_wakeup == "arq":
        worker = create_worker(
            arq_settings(settings),
            ctx={"dispatcher": dispatcher},
            handle_signals=False,
        )
        try:
            await worker.async_run()
        except (redis.exceptions.RedisError, OSError, TimeoutError, UnicodeDecodeError, ValueError) as failure:
            logger.warning("no rings for now", extra={"failure": type(failure).__name__})
        finally:
            if worker.tasks:
                await asyncio.wait(worker.tasks.values(), timeout=RETRY_AFTER_S)
            with suppress(redis.exceptions.RedisError, OSError, TimeoutError):
                await worker.pool.aclose(close_connection_pool=True)
        await asyncio.sleep(RETRY_AFTER_S)
