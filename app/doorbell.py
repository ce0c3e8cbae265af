"""Wake-ups between processes: a ring for the workers, a word for those who wait. Losing one costs time, never work."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import redis.exceptions
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff

logger = logging.getLogger("app.doorbell")

QUEUE = "xyte:tasks"
CHANGED = "xyte:tasks:changed"
AWAY = (redis.exceptions.RedisError, OSError, TimeoutError)


def as_json(value: Any) -> bytes:
    """How arq's jobs are written: nothing but plain values, and never pickle."""
    return json.dumps(value, default=lambda thing: type(thing).__name__).encode()


def patient_pool(url: str) -> ArqRedis:
    """The worker's own connections, which live through a restart of Redis."""
    return _arq(
        url,
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 20),
        # The builtin OSError is what makes the retries work.
        retry_on_error=[redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError],
        max_connections=64,
    )


def hasty_pool(url: str) -> ArqRedis:
    """For ringing: the task is safe already, so nobody waits for a Redis that is away."""
    return _arq(url, socket_connect_timeout=0.5, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))


def _arq(url: str, **options: Any) -> ArqRedis:
    pool = ConnectionPool.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]  as for open_redis
    return ArqRedis(pool_or_conn=pool, job_serializer=as_json, job_deserializer=json.loads, default_queue_name=QUEUE)


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks until they are done: before Python 3.12 `wait_for` may swallow a cancellation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)


class Doorbell:
    """Rings the workers, and tells waiting requests of changes."""

    def __init__(self, url: str, subscriptions: Redis, *, through_arq: bool) -> None:
        self._through_arq = through_arq
        self._arq = hasty_pool(url)
        self._redis: Any = subscriptions  # its methods are typed in parts only
        self._waiting: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._ringer: asyncio.Task[None] | None = None
        self._to_ring: tuple[UUID, int] | None = None

    def ring(self, task_id: UUID, times: int = 1) -> None:
        """Wake workers soon; the payload is the one id that led to it. One ring is for all who ask before it sounds."""
        if not self._through_arq:
            return
        self._to_ring = (task_id, max(times, self._to_ring[1] if self._to_ring else 0))
        if self._ringer is None or self._ringer.done():
            self._ringer = asyncio.create_task(self._ring())

    async def _ring(self) -> None:
        while self._to_ring:
            task_id, times = self._to_ring
            self._to_ring = None
            with suppress(*AWAY):
                for _ in range(times):
                    await self._arq.enqueue_job("dispatch", str(task_id))

    async def tell(self, task_ids: list[UUID]) -> None:
        """These tasks have changed."""
        for task_id in task_ids:
            self._wake(task_id)
        if not self._through_arq:
            return
        with suppress(*AWAY):
            await self._redis.publish(CHANGED, " ".join(map(str, task_ids)))

    @asynccontextmanager
    async def changes_of(self, task_id: UUID) -> AsyncGenerator[asyncio.Event]:
        """An event that is set whenever the task may have changed; look at the task now and then all the same."""
        event = asyncio.Event()
        self._waiting[task_id].add(event)
        if self._through_arq and (self._listener is None or self._listener.done()):
            self._listener = asyncio.create_task(self._listen())
        try:
            yield event
        finally:
            self._waiting[task_id].discard(event)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    async def close(self) -> None:
        """Ring what is to be rung, and hang up."""
        if self._ringer is not None:
            await self._ringer
        if self._listener is not None:
            await end(self._listener)
        await self._arq.aclose(close_connection_pool=True)

    def _wake(self, task_id: UUID) -> None:
        for event in self._waiting.get(task_id, ()):
            event.set()

    async def _listen(self) -> None:
        """Pass on what other processes tell, as long as somebody waits here."""
        with suppress(*AWAY):
            async with self._redis.pubsub() as channel:
                await channel.subscribe(CHANGED)
                while self._waiting:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=0.5)
                    for task_id in message["data"].split() if message else ():
                        self._wake(UUID(task_id))
