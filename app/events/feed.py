"""The log as it grows: one reader for each process and tenant, however many follow. Redis wakes, Postgres tells."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import redis.exceptions

from app.doorbell import end
from app.errors import ServiceUnavailable, TooManyReaders
from app.events import repository
from app.events.schemas import Event
from app.resources import Resources
from app.telemetry import EVENT_READERS

logger = logging.getLogger("app.events")

STREAM = "xyte:events"
AWAY = (redis.exceptions.RedisError, OSError, TimeoutError)
KEPT_WAKES = 1_000
BLOCK_MS = 500
RECENT = 1_000
BATCH = 500
LOOK_EVERY_S = 5.0
LOOK_ALONE_EVERY_S = 0.5
"""How often the log is looked at while Redis wakes nobody."""


class Feed:
    """A tenant's newest events, kept for all who follow here."""

    def __init__(self, resources: Resources, tenant: str) -> None:
        self._resources = resources
        self._tenant = tenant
        self._recent: list[Event] = []
        self._rung = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.followers = 0
        self.last: int | None = None
        self.news = asyncio.Event()

    def wake(self) -> None:
        """There may be more."""
        self._rung.set()

    def since(self, position: int) -> list[Event] | None:
        """What came after a position, as far as it is remembered here; nothing if the log has to be asked."""
        if position == self.last:
            return []
        if not self._recent or not self._recent[0].sequence <= position + 1 <= self._recent[-1].sequence:
            return None
        start = position + 1 - self._recent[0].sequence
        return self._recent[start : start + BATCH]

    async def start(self, hub: "Feeds") -> None:
        """Find the end of the log, and read on from there."""
        if self._reader is None:
            async with repository.as_tenant(self._resources, self._tenant) as db:
                last = await repository.end_of(db, self._tenant)
            if self._reader is None:
                self.last = last
                self._reader = asyncio.create_task(self._read(hub))

    def stop(self) -> asyncio.Task[None] | None:
        """Nobody follows any more. A cancellation may be swallowed below, so the reader also sees it by itself."""
        self.followers = 0
        self._rung.set()
        if self._reader is not None:
            self._reader.cancel()
        return self._reader

    async def _read(self, hub: "Feeds") -> None:
        while self.followers:
            self._rung.clear()
            try:
                while await self._catch_up():
                    pass
            except ServiceUnavailable:
                await asyncio.sleep(LOOK_ALONE_EVERY_S)
            except Exception:
                logger.exception("reading events failed")
                await asyncio.sleep(LOOK_ALONE_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ALONE_EVERY_S if hub.alone else LOOK_EVERY_S):
                    await self._rung.wait()

    async def _catch_up(self) -> bool:
        assert self.last is not None
        async with repository.as_tenant(self._resources, self._tenant) as db:
            page = await repository.page(db, self._tenant, self.last, BATCH)
        if page.gap:
            self._recent.clear()
        if page.events or page.gap:
            self._recent += page.events
            del self._recent[:-RECENT]
            self.last = page.end
            news, self.news = self.news, asyncio.Event()
            news.set()
        return page.full


class Feeds:
    """The feeds of a process, and its ear on Redis. While Redis is away each feed looks at the log by itself."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._redis: Any = resources.redis  # its commands are typed for both worlds at once
        self._feeds: dict[str, Feed] = {}
        self._ear: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.alone = True
        self.leaving = False

    def leave(self) -> None:
        """Let all who follow here go; they come back elsewhere, with what they had last."""
        self.leaving = True
        for feed in self._feeds.values():
            feed.news.set()

    @asynccontextmanager
    async def joined(self, tenant: str) -> AsyncGenerator[Feed]:
        """Follow a tenant's events while this is open."""
        feed = self._feeds.setdefault(tenant, Feed(self._resources, tenant))
        most = self._resources.settings.events_readers_per_tenant
        if feed.followers >= most:
            raise TooManyReaders(f"{most} readers follow these events here already. Close some first.", 30)
        feed.followers += 1
        EVENT_READERS.inc()
        try:
            if self._ear is None or self._ear.done():
                self._ear = asyncio.create_task(self._listen())
            await feed.start(self)
            yield feed
        finally:
            EVENT_READERS.dec()
            feed.followers = max(0, feed.followers - 1)
            if not feed.followers:
                self._feeds.pop(tenant, None)
                self._end(feed)

    def _end(self, feed: Feed) -> None:
        if reader := feed.stop():
            self._ending.add(reader)
            reader.add_done_callback(self._ending.discard)

    async def tell(self, tenants: Iterable[str]) -> None:
        """These tenants' logs have grown."""
        for tenant in tenants:
            self._wake(tenant)
        with suppress(*AWAY):
            await self._redis.xadd(STREAM, {"tenants": "\n".join(tenants)}, maxlen=KEPT_WAKES, approximate=True)

    async def close(self) -> None:
        """Stop reading and listening."""
        tasks = [task for feed in self._feeds.values() if (task := feed.stop())]
        self._feeds.clear()
        await end(*tasks, *self._ending, *([self._ear] if self._ear else []))

    def _wake(self, tenant: str) -> None:
        if feed := self._feeds.get(tenant):
            feed.wake()

    async def _listen(self) -> None:
        """Hear of what other processes add, as long as somebody follows here."""
        position: str | None = None
        while self._feeds:
            try:
                position = await self._hear(position)
            except AWAY:
                self.alone, position = True, None
                await asyncio.sleep(LOOK_ALONE_EVERY_S)

    async def _hear(self, position: str | None) -> str:
        if position is None:
            newest: Any = await self._redis.xrevrange(STREAM, count=1)
            position = newest[0][0] if newest else "0-0"
            self.alone = False
            for feed in self._feeds.values():  # whatever was told while nobody listened
                feed.wake()
        heard: Any = await self._redis.xread({STREAM: position}, block=BLOCK_MS, count=KEPT_WAKES)
        for number, entry in heard[0][1] if heard else ():
            position = number
            for tenant in entry.get("tenants", "").split("\n"):
                self._wake(tenant)
        return position or "0-0"
