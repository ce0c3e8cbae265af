"""The budget towards Xyte: none until it says 429, then half, and back again."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
import respx

from app.budget import REMEMBERED, Slowed, TenantBudget
from app.errors import UpstreamRateLimit
from app.gcra import Gcra
from app.resources import Resources, open_redis


@pytest.fixture
def tenants() -> dict[str, str]:
    return {"first": "one", "second": "one", "third": "three"}


@pytest.fixture
async def budget(resources: Resources, tenants: dict[str, str]) -> AsyncIterator[TenantBudget]:
    gcra = Gcra(resources.redis, 1)
    yield TenantBudget(resources.redis, gcra, tenants, full=40)
    await gcra.close()


def slowed(budget: TenantBudget) -> dict[str, Slowed]:
    return budget._slowed  # pyright: ignore[reportPrivateUsage]  time is moved in it


async def passing(budget: TenantBudget, fingerprint: str, tries: int) -> int:
    """How many of so many calls pass."""
    count = 0
    for _ in range(tries):
        try:
            await budget.spend(fingerprint)
        except UpstreamRateLimit:
            continue
        count += 1
    return count


async def test_nobody_is_slowed_before_xyte_says_so(budget: TenantBudget) -> None:
    assert await passing(budget, "first", 500) == 500


async def test_each_429_halves_what_a_tenant_may_ask(budget: TenantBudget) -> None:
    rates: list[int] = []
    for _ in range(8):
        await budget.halve("first")
        rates.append(slowed(budget)["one"].calls_per_minute)

    assert rates == [20, 10, 5, 2, 1, 1, 1, 1]


async def test_a_slowed_tenant_has_to_wait_and_others_do_not(budget: TenantBudget) -> None:
    await budget.halve("first")

    assert await passing(budget, "first", 10) == 2
    assert await passing(budget, "second", 10) == 0
    assert await passing(budget, "third", 100) == 100
    with pytest.raises(UpstreamRateLimit) as refusal:
        await budget.spend("second")
    assert refusal.value.retry_after_s >= 1
    assert refusal.value.upstream_status is None


async def test_a_budget_doubles_every_half_minute_until_it_is_none(budget: TenantBudget) -> None:
    await budget.halve("first")
    slowed(budget)["one"] = Slowed(10, time.monotonic() - 30.0)
    halfway = slowed(budget)["one"].now()
    slowed(budget)["one"] = Slowed(10, time.monotonic() - 60.5)

    assert halfway == 20
    assert await passing(budget, "first", 100) == 100
    assert slowed(budget) == {}


async def test_another_replica_halves_what_this_one_left(
    budget: TenantBudget, resources: Resources, tenants: dict[str, str]
) -> None:
    other = TenantBudget(resources.redis, resources.gcra, tenants, full=40)
    await budget.halve("first")

    await other.halve("second")

    assert slowed(other)["one"].calls_per_minute == 10


async def test_without_redis_a_process_halves_for_itself(tenants: dict[str, str]) -> None:
    nowhere = open_redis("redis://127.0.0.1:1/0")
    budget = TenantBudget(nowhere, Gcra(nowhere, 1), tenants, full=40)

    await budget.halve("first")
    await budget.halve("first")

    assert slowed(budget)["one"].calls_per_minute == 10
    await nowhere.aclose()


async def test_a_key_whose_tenant_is_unknown_has_a_budget_of_its_own(budget: TenantBudget) -> None:
    await budget.halve("nobody")

    assert set(slowed(budget)) == {"nobody"}


async def test_memory_of_the_slowed_is_bounded(budget: TenantBudget) -> None:
    for number in range(REMEMBERED):
        slowed(budget)[str(number)] = Slowed(1, time.monotonic())

    await budget.halve("first")

    assert set(slowed(budget)) == {"one"}


async def test_a_429_of_xyte_slows_this_key_and_no_other(
    client: httpx.AsyncClient, partner: httpx.AsyncClient, cloud: respx.MockRouter, resources: Resources
) -> None:
    cloud.route().respond(429, headers={"Retry-After": "20"}, json={"error": "slow down"})

    answers = [await client.get("/v1/devices") for _ in range(35)]

    assert {answer.status_code for answer in answers} == {429}
    assert {answer.json()["error"] for answer in answers} == {"xyte_rate_limit"}
    assert answers[0].headers["retry-after"] == "20"
    assert answers[0].json()["upstream_status"] == 429
    assert "upstream_status" not in answers[-1].json()
    assert answers[-1].json()["retry_safe"] is True
    assert len(cloud.calls) < 35
