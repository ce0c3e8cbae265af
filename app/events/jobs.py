"""What the worker does with events: bring what tasks have to tell to the log, and keep the logs within bounds."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from app.doorbell import end
from app.errors import ServiceUnavailable
from app.events import repository
from app.events.feed import Feeds
from app.resources import Resources
from app.telemetry import EVENTS_LAG_SECONDS, EVENTS_STORED

logger = logging.getLogger("app.events")

PUMP_EVERY_S = 0.05
PUMP_MOST = 1_000
TRIM_EVERY_S = 10.0
TRIM_MOST = 5_000


async def pump(resources: Resources) -> int:
    """Move one batch from the outbox to the logs; how many events."""
    async with repository.transaction(resources) as db:
        moved = await repository.pump(db, PUMP_MOST)
    EVENTS_LAG_SECONDS.set(max((age_s for *_, age_s in moved), default=0.0))
    for _, source, count, _ in moved:
        EVENTS_STORED.labels(source).inc(count)
    if moved:
        await resources.the(Feeds).tell(dict.fromkeys(tenant for tenant, *_ in moved))
    return sum(count for *_, count, _ in moved)


async def trim(resources: Resources) -> None:
    """Keep each tenant's log within its age and count, and forget what nobody uses."""
    settings = resources.settings
    age = timedelta(days=settings.events_keep_days)
    trimmed = TRIM_MOST
    while trimmed >= TRIM_MOST:
        async with repository.transaction(resources) as db:
            trimmed = await repository.trim(db, settings.events_keep_count, age, TRIM_MOST)
    async with repository.transaction(resources) as db:
        await repository.forget(db, age)


@asynccontextmanager
async def running(resources: Resources) -> AsyncGenerator[None]:
    """Work while this is open."""

    async def pump_all() -> None:
        while await pump(resources):
            pass

    loops = [
        asyncio.create_task(regularly(pump_all, PUMP_EVERY_S)),
        asyncio.create_task(regularly(lambda: trim(resources), TRIM_EVERY_S)),
    ]
    try:
        yield
    finally:
        await end(*loops)


async def regularly(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Again and again, whatever happens."""
    while True:
        pause_s = seconds
        try:
            await work()
        except ServiceUnavailable:
            pause_s = max(seconds, 1.0)
        except Exception:
            logger.exception("looking after events failed")
            pause_s = max(seconds, 1.0)
        await asyncio.sleep(pause_s)
