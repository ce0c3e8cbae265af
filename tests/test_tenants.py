"""Tenants: which organization stands behind a key, also while the cloud or Redis is away."""

import time

import httpx
import pytest
import respx

from app.auth import FRESH_S, Caller, tenant_of
from app.errors import UpstreamUnreachable, XyteRefusedKey
from app.resources import Resources, open_redis
from app.simulator import PARTNER_KEY
from tests.raw import KEY
from tests.world import Simulator


@pytest.fixture
def caller(resources: Resources) -> Caller:
    return caller_with(resources, KEY)


def caller_with(resources: Resources, key: str) -> Caller:
    return Caller(key, resources.fingerprint(key))


def grow_stale(resources: Resources) -> None:
    for fingerprint in resources.resolved_at:
        resources.resolved_at[fingerprint] = time.monotonic() - FRESH_S


async def test_the_tenant_is_the_organization_as_xyte_names_it(
    resources: Resources, caller: Caller, client: httpx.AsyncClient
) -> None:
    told = (await client.get("/v1/organization")).json()["id"]

    assert await tenant_of(resources, caller) == told


async def test_it_is_asked_for_once(resources: Resources, caller: Caller, simulator: Simulator) -> None:
    tenants = {await tenant_of(resources, caller) for _ in range(3)}

    assert len(tenants) == 1
    assert len(await simulator.requests()) == 1


async def test_it_is_asked_for_again_after_ten_minutes(
    resources: Resources, caller: Caller, simulator: Simulator
) -> None:
    await tenant_of(resources, caller)
    grow_stale(resources)

    await tenant_of(resources, caller)

    assert len(await simulator.requests()) == 2


async def test_two_keys_of_one_organization_are_one_tenant(resources: Resources, cloud: respx.MockRouter) -> None:
    cloud.route().respond(json={"id": "harbor"})

    tenants = [await tenant_of(resources, caller_with(resources, letter * 40)) for letter in "ab"]

    assert tenants == ["harbor", "harbor"]


async def test_a_partner_is_known_by_the_fingerprint(resources: Resources) -> None:
    partner = caller_with(resources, PARTNER_KEY)

    assert await tenant_of(resources, partner) == f"partner-{partner.fingerprint}"


async def test_while_the_cloud_is_away_memory_serves(
    resources: Resources, caller: Caller, cloud: respx.MockRouter
) -> None:
    before = await tenant_of(resources, caller)
    grow_stale(resources)
    cloud.route().mock(side_effect=httpx.ConnectError)

    assert await tenant_of(resources, caller) == before


async def test_while_the_cloud_is_away_another_replica_s_memory_serves(
    resources: Resources, caller: Caller, cloud: respx.MockRouter
) -> None:
    before = await tenant_of(resources, caller)
    resources.tenants.clear()
    resources.resolved_at.clear()
    cloud.route().mock(side_effect=httpx.ConnectError)

    assert await tenant_of(resources, caller) == before
    assert 86_390 <= await resources.redis.ttl(f"tenant:{caller.fingerprint}") <= 86_400


async def test_a_tenant_nobody_remembers_is_a_failure_of_the_cloud(
    resources: Resources, caller: Caller, cloud: respx.MockRouter
) -> None:
    cloud.route().mock(side_effect=httpx.ConnectError)

    with pytest.raises(UpstreamUnreachable):
        await tenant_of(resources, caller)


async def test_without_redis_the_tenant_is_found_and_remembered_here(
    resources: Resources, caller: Caller, cloud: respx.MockRouter
) -> None:
    working, resources.redis = resources.redis, open_redis("redis://127.0.0.1:1/0")

    found = await tenant_of(resources, caller)
    grow_stale(resources)
    cloud.route().mock(side_effect=httpx.ConnectError)
    remembered = await tenant_of(resources, caller)
    resources.tenants.clear()

    assert remembered == found
    with pytest.raises(UpstreamUnreachable):
        await tenant_of(resources, caller)
    await resources.redis.aclose()
    resources.redis = working


async def test_a_key_that_xyte_refuses_has_no_tenant_any_more(
    resources: Resources, caller: Caller, cloud: respx.MockRouter
) -> None:
    await tenant_of(resources, caller)
    grow_stale(resources)
    cloud.route().respond(401, json={"error": "Not authorized"})

    with pytest.raises(XyteRefusedKey):
        await tenant_of(resources, caller)

    assert resources.tenants == {}


async def test_memory_of_tenants_is_bounded(resources: Resources, caller: Caller) -> None:
    resources.tenants.update({str(number): "tenant" for number in range(10_000)})

    await tenant_of(resources, caller)

    assert list(resources.tenants) == list(resources.resolved_at) == [caller.fingerprint]


async def test_only_what_keeps_state_asks_for_the_tenant(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")
    await client.get("/v1/devices")
    after_a_read = [seen["path"] for seen in await simulator.requests()]

    await client.post(f"/v1/devices/{device['id']}/commands", json={"name": "power_on"})

    assert after_a_read == ["/core/v1/organization/devices"]
    asked = [seen["path"] for seen in await simulator.requests()]
    assert asked.count("/core/v1/organization/info") == 1
    assert asked[-1] == f"/core/v1/organization/devices/{device['id']}/commands"
