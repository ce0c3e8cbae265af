"""How often something may happen: exact over all replicas by one Redis script, or per process while Redis is away."""

import asyncio
import logging
import math
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

logger = logging.getLogger("app.gcra")

LUA = files("app").joinpath("gcra.lua").read_text()
RETRY_REDIS_AFTER_S = 1.0
BUCKETS_IN_MEMORY = 100_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many units in so many seconds, of which `burst` may come at once."""

    units: int
    seconds: float
    burst: int

    @property
    def interval_us(self) -> float:
        return self.seconds / self.units * 1e6

    def shared_by(self, replicas: int) -> "Rate":
        """The part of it that one of `replicas` processes may use."""
        return Rate(self.units, self.seconds * replicas, max(1, self.burst // replicas))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one more may come, how many are left, and the seconds until the next and until all are free again."""

    allowed: bool
    left: int
    retry_after_s: int
    reset_s: int
    rate: Rate


class Gcra:
    """Takes units from named buckets.

    Checks that arrive while one is under way share the next round trip, so the cost of Redis falls as the load rises.
    """

    def __init__(self, redis: Redis, replicas: int) -> None:
        self._redis: Any = redis  # its commands are typed for both worlds at once
        self.replicas = replicas
        self.degraded = False
        self._retry_at = 0.0
        self._sha: str | None = None
        self._waiting: deque[tuple[str, Rate, asyncio.Future[Decision]]] = deque()
        self._flusher: asyncio.Task[None] | None = None
        self._local: OrderedDict[str, float] = OrderedDict()

    async def take(self, bucket: str, rate: Rate) -> Decision:
        """One unit of `bucket`, if there is one."""
        if self.degraded and time.monotonic() < self._retry_at:
            return self._take_locally(bucket, rate)
        decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((bucket, rate, decision))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await decision

    async def close(self) -> None:
        """Wait for the checks under way."""
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), 500))]
            try:
                decisions = await self._ask_redis([(bucket, rate) for bucket, rate, _ in batch])
            except (RedisError, OSError, TimeoutError):
                self.degraded, self._retry_at = True, time.monotonic() + RETRY_REDIS_AFTER_S
                decisions = [self._take_locally(bucket, rate) for bucket, rate, _ in batch]
            except Exception as failure:  # those who wait are told, or they would wait for ever
                logger.exception("the limiter failed")
                for _, _, waiter in batch:
                    if not waiter.done():
                        waiter.set_exception(failure)
                continue
            else:
                self.degraded = False
            for (_, _, waiter), decision in zip(batch, decisions, strict=True):
                if not waiter.done():
                    waiter.set_result(decision)

    async def _ask_redis(self, asked: list[tuple[str, Rate]]) -> list[Decision]:
        arguments: list[str | float] = [bucket for bucket, _ in asked]
        for _, rate in asked:
            arguments += [rate.interval_us, rate.burst]
        try:
            answers = await self._run(len(asked), arguments)
        except NoScriptError:
            self._sha = None
            answers = await self._run(len(asked), arguments)
        return [
            Decision(bool(allowed), left, math.ceil(wait_us / 1e6), math.ceil(reset_us / 1e6), rate)
            for (allowed, left, wait_us, reset_us), (_, rate) in zip(answers, asked, strict=True)
        ]

    async def _run(self, buckets: int, arguments: list[str | float]) -> list[tuple[int, int, int, int]]:
        if self._sha is None:
            self._sha = str(await self._redis.script_load(LUA))
        return await self._redis.execute_command("EVALSHA", self._sha, buckets, *arguments)

    def _take_locally(self, bucket: str, rate: Rate) -> Decision:
        part = rate.shared_by(self.replicas)
        now = time.monotonic() * 1e6
        full = max(self._local.get(bucket, now), now)
        after = full + part.interval_us
        allowed = after - now <= part.interval_us * part.burst + 1
        if allowed:
            self._local[bucket] = full = after
            self._local.move_to_end(bucket)
            if len(self._local) > BUCKETS_IN_MEMORY:
                self._local.popitem(last=False)
        spare = part.interval_us * part.burst - (full - now)
        wait = 0.0 if allowed else after - now - part.interval_us * part.burst
        return Decision(
            allowed, int((spare + 1) // part.interval_us), math.ceil(wait / 1e6), math.ceil((full - now) / 1e6), part
        )
