"""How much a tenant may ask of the Xyte cloud once it has asked that tenant to slow down."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.errors import UpstreamRateLimit
from app.gcra import Gcra, Rate

DOUBLES_EVERY_S = 30.0
REMEMBERED = 10_000

HALVE = """
local rate = math.max(tonumber(ARGV[2]), math.floor(tonumber(redis.call('GET', KEYS[1]) or ARGV[1]) / 2))
redis.call('SET', KEYS[1], rate, 'EX', ARGV[3])
return rate
"""


@dataclass(frozen=True, slots=True)
class Slowed:
    """So many calls a minute at that moment; twice as many every half minute after it."""

    calls_per_minute: int
    since: float

    def now(self) -> int:
        return int(self.calls_per_minute * 2 ** ((time.monotonic() - self.since) / DOUBLES_EVERY_S))


class TenantBudget:
    """Unlimited until Xyte says 429; then halved by each 429 and recovering, over all replicas that met one."""

    def __init__(self, redis: Redis, gcra: Gcra, tenants: Mapping[str, str], *, full: int) -> None:
        self._redis: Any = redis  # its commands are typed for both worlds at once
        self._gcra = gcra
        self._tenants = tenants
        self._full = full
        self._slowed: dict[str, Slowed] = {}

    async def spend(self, fingerprint: str) -> None:
        """Take one call, or say how long to wait."""
        if not self._slowed:
            return
        account = self._tenants.get(fingerprint, fingerprint)
        slowed = self._slowed.get(account)
        if slowed is None:
            return
        calls = slowed.now()
        if calls >= self._full:
            del self._slowed[account]
            return
        decision = await self._gcra.take(f"budget:{account}", Rate(calls, 60.0, max(1, calls // 10)))
        if not decision.allowed:
            raise UpstreamRateLimit(max(1, decision.retry_after_s), upstream_status=None)

    async def halve(self, fingerprint: str) -> None:
        """Xyte said 429."""
        account = self._tenants.get(fingerprint, fingerprint)
        slowed = self._slowed.get(account)
        before = min(self._full, slowed.now()) if slowed else self._full
        calls = max(1, before // 2)
        with suppress(RedisError, OSError, TimeoutError):
            calls = int(await self._redis.eval(HALVE, 1, f"budget-rate:{account}", before, 1, 120))
        if len(self._slowed) >= REMEMBERED:
            self._slowed.clear()
        self._slowed[account] = Slowed(calls, time.monotonic())
