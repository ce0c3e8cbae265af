"""Buckets: exact over any number of processes, as the model says, and per process while Redis is away."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import pytest
from redis.asyncio import Redis

from app.gcra import BUCKETS_IN_MEMORY, LUA, Decision, Gcra, Rate
from app.resources import Resources, open_redis

NOWHERE = "redis://127.0.0.1:1/0"
CLOCK = "redis.call('TIME')"
EXPIRY = ", 'PX', math.ceil((full - now) / 1000)"
SLOW = Rate(1, 1_000_000.0, 3)


@dataclass
class Model:
    """What the algorithm is, in plain Python: the moment at which a bucket would be full again."""

    interval_us: int
    burst: int
    full: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, bucket: str, now: int) -> tuple[int, int, int, int]:
        full = max(self.full.get(bucket, now), now)
        after, room = full + self.interval_us, self.interval_us * self.burst
        allowed = after - now <= room
        if allowed:
            self.full[bucket] = full = after
        return int(allowed), (room - (full - now)) // self.interval_us, 0 if allowed else after - now - room, full - now


@pytest.fixture
def redis(resources: Resources) -> Redis:
    return resources.redis


@pytest.fixture
async def gcra(redis: Redis) -> AsyncIterator[Gcra]:
    opened = Gcra(redis, 1)
    yield opened
    await opened.close()


@pytest.fixture
async def cut_off() -> AsyncIterator[Gcra]:
    """Buckets of one of four replicas, without Redis."""
    nowhere = open_redis(NOWHERE)
    yield Gcra(nowhere, 4)
    await nowhere.aclose()


async def test_exactly_the_limit_of_2000_at_once_pass_over_four_processes(redis: Redis) -> None:
    replicas = [Gcra(redis, 4) for _ in range(4)]
    rate = Rate(1, 3600.0, 100)

    decisions = await asyncio.gather(*(replicas[number % 4].take("all", rate) for number in range(2_000)))

    assert sum(decision.allowed for decision in decisions) == 100
    assert sorted(decision.left for decision in decisions if decision.allowed) == list(range(100))
    assert not any(replica.degraded for replica in replicas)


async def test_a_bucket_gives_its_burst_and_then_says_when_the_next_unit_comes(gcra: Gcra) -> None:
    decisions = [await gcra.take("a", Rate(60, 3600.0, 3)) for _ in range(4)]

    assert [decision.allowed for decision in decisions] == [True, True, True, False]
    assert [decision.left for decision in decisions] == [2, 1, 0, 0]
    assert [decision.retry_after_s for decision in decisions] == [0, 0, 0, 60]
    assert decisions[3].reset_s == 180


async def test_a_refusal_costs_nothing(gcra: Gcra) -> None:
    for _ in range(3):
        await gcra.take("a", SLOW)

    first, last = [await gcra.take("a", SLOW) for _ in range(2)]

    assert not first.allowed
    assert last.retry_after_s <= first.retry_after_s


async def test_a_unit_comes_back_in_time(gcra: Gcra) -> None:
    quick = Rate(1000, 1.0, 1)

    async with asyncio.timeout(20):
        while (await gcra.take("a", quick)).allowed:
            pass
        while not (again := await gcra.take("a", quick)).allowed:
            pass

    assert again.left == 0


async def test_buckets_do_not_know_each_other(gcra: Gcra) -> None:
    decisions = await asyncio.gather(*(gcra.take(str(number), Rate(1, 3600.0, 1)) for number in range(700)))

    assert all(decision.allowed for decision in decisions)


async def test_a_bucket_leaves_redis_when_it_is_full_again(gcra: Gcra, redis: Redis) -> None:
    await gcra.take("a", Rate(1, 60.0, 5))

    assert 59_000 <= await redis.pttl("a") <= 60_000


@pytest.mark.parametrize("seed", range(5))
async def test_the_script_decides_as_the_model_does(redis: Redis, seed: int) -> None:
    """The script as it is, but on a clock of the test's own, on which nothing expires."""
    clocked = LUA.replace(CLOCK, "{tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])}").replace(EXPIRY, "")
    script: Any = redis.register_script(clocked)
    assert (LUA.count(CLOCK), LUA.count(EXPIRY)) == (1, 1)
    chance = random.Random(seed)
    interval, burst = chance.choice([(1_000, 1), (250_000, 10), (1_000_000, 60), (333_333, 7)])
    model, now = Model(interval, burst), 1_700_000_000_000_000

    for _ in range(300):
        now += chance.choice([0, 1, chance.randrange(interval), chance.randrange(interval * 3)])
        buckets = [f"model-{seed}-{chance.randrange(3)}" for _ in range(chance.randrange(1, 4))]
        arguments = [value for _ in buckets for value in (interval, burst)]

        answers = await script(buckets, [*arguments, *divmod(now, 1_000_000)])

        assert [tuple(answer) for answer in answers] == [model.take(bucket, now) for bucket in buckets]


async def test_a_flushed_script_is_loaded_again(gcra: Gcra, redis: Redis) -> None:
    await gcra.take("a", SLOW)
    await redis.script_flush()

    second = await gcra.take("a", SLOW)

    assert (second.allowed, second.left) == (True, 1)
    assert not gcra.degraded


async def test_without_redis_each_process_gives_its_part(cut_off: Gcra) -> None:
    decisions = [await cut_off.take("a", Rate(60, 3600.0, 60)) for _ in range(20)]

    assert [decision.allowed for decision in decisions] == [True] * 15 + [False] * 5
    assert [decision.left for decision in decisions][:15] == list(range(14, -1, -1))
    assert cut_off.degraded
    assert decisions[0].rate == Rate(60, 14_400.0, 15)
    assert 235 <= decisions[-1].retry_after_s <= 240


async def test_without_redis_a_part_is_never_less_than_one(cut_off: Gcra) -> None:
    decisions = [await cut_off.take("a", SLOW) for _ in range(2)]

    assert [decision.allowed for decision in decisions] == [True, False]


async def test_the_local_decisions_are_the_model_s(cut_off: Gcra, monkeypatch: pytest.MonkeyPatch) -> None:
    await cut_off.take("elsewhere", SLOW)
    rate = Rate(40, 1_000_000.0, 20)
    model = Model(int(rate.shared_by(4).interval_us), 5)

    decisions = [await cut_off.take("a", rate) for _ in range(8)]

    expected = [model.take("a", 0) for _ in range(8)]
    assert [decision.allowed for decision in decisions] == [bool(allowed) for allowed, *_ in expected]
    assert [decision.left for decision in decisions] == [left for _, left, *_ in expected]
    assert decisions[-1].retry_after_s in (ceil(expected[-1][2] / 1e6), ceil(expected[-1][2] / 1e6) - 1)


async def test_memory_of_buckets_is_bounded(cut_off: Gcra) -> None:
    for number in range(BUCKETS_IN_MEMORY + 10):
        cut_off._take_locally(str(number), SLOW)  # pyright: ignore[reportPrivateUsage]  through Redis it takes minutes

    assert len(cut_off._local) == BUCKETS_IN_MEMORY  # pyright: ignore[reportPrivateUsage]


async def test_redis_is_asked_again_after_a_while(redis: Redis) -> None:
    nowhere = open_redis(NOWHERE)
    gcra = Gcra(nowhere, 1)
    await gcra.take("a", SLOW)
    gcra._redis = redis  # pyright: ignore[reportPrivateUsage]  as if it were back
    meanwhile = await gcra.take("a", SLOW)
    still_degraded = gcra.degraded
    gcra._retry_at = 0.0  # pyright: ignore[reportPrivateUsage]  as if a second had passed

    afterwards = await gcra.take("a", SLOW)

    assert (meanwhile.left, still_degraded) == (1, True)
    assert (afterwards.left, gcra.degraded) == (2, False)
    await nowhere.aclose()


async def test_a_caller_who_gave_up_does_not_disturb_the_others(gcra: Gcra) -> None:
    impatient = asyncio.create_task(gcra.take("a", SLOW))
    others = [asyncio.create_task(gcra.take("b", SLOW)) for _ in range(2)]
    await asyncio.sleep(0)
    impatient.cancel()

    decisions: list[Decision] = await asyncio.gather(*others)

    assert [decision.left for decision in decisions] == [2, 1]
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_closing_before_the_first_check_is_fine(redis: Redis) -> None:
    await Gcra(redis, 1).close()


async def test_what_fails_unforeseen_reaches_those_who_wait(
    resources: Resources, caplog: pytest.LogCaptureFixture
) -> None:
    few: Any = "few"

    with pytest.raises(TypeError):
        async with asyncio.timeout(10):
            await resources.gcra.take("a bucket", Rate(few, 60.0, 1))

    assert caplog.messages == ["the limiter failed"]
    assert (await resources.gcra.take("a bucket", SLOW)).allowed
