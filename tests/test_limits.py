"""How often a caller may call and a device may be commanded, over every door, with and without Redis."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest
import respx
from fastapi import FastAPI
from prometheus_client import REGISTRY
from redis import Redis as BlockingRedis

from app import embedded
from app.gcra import Gcra
from app.resources import Resources, open_redis, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call, mcp


@pytest.fixture(autouse=True)
def slow_refill(resources: Resources) -> None:
    """A limit of 60 that gives nothing back while a test runs."""
    resources.settings = resources.settings.model_copy(
        update={"rate_limit_per_minute": 1, "rate_limit_burst": 60, "device_commands_per_minute": 10}
    )


async def test_the_60th_request_passes_and_the_61st_does_not(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/v1/organization") for _ in range(61)]

    assert [answer.status_code for answer in answers] == [200] * 60 + [429]


async def test_all_doors_count_together(client: httpx.AsyncClient, simulator: Simulator) -> None:
    for _ in range(20):
        assert (await client.get("/v1/organization")).status_code == 200
        assert "structuredContent" in await call(client, "list_devices")
        assert (await mcp(client, "ping"))["result"] == {}

    over_rest = await client.get("/v1/organization")
    over_mcp = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 7, "method": "ping"})

    assert over_rest.status_code == over_mcp.status_code == 429
    assert over_mcp.json()["id"] == 7
    assert over_mcp.json()["error"]["data"]["error"] == "rate_limit"
    assert len(await simulator.requests()) == 40


async def test_keys_have_limits_of_their_own(client: httpx.AsyncClient, partner: httpx.AsyncClient) -> None:
    for _ in range(61):
        await client.get("/v1/organization")

    other = await client.get("/v1/organization", headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[1]})

    assert other.status_code == 200


async def test_an_unknown_path_counts_and_an_answer_for_everybody_does_not(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/docs", "/openapi.json", "/"):
        assert "ratelimit" not in (await client.get(path)).headers
    for _ in range(60):
        assert (await client.get("/nowhere")).status_code == 404

    assert (await client.get("/nowhere")).status_code == 429
    assert (await client.get("/healthz")).status_code == 200


async def test_every_answer_tells_the_limit_and_what_is_left(client: httpx.AsyncClient) -> None:
    first = await client.get("/v1/organization")
    second = await client.get("/nowhere")
    third = await client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

    answers = [first, second, third]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"default";q=1;w=60'] * 3
    assert [answer.headers["ratelimit"] for answer in answers] == [
        f'"default";r={59 - number};t={60 + 60 * number}' for number in range(3)
    ]
    assert "retry-after" not in first.headers


async def test_a_refusal_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    answers = [await client.get("/v1/organization") for _ in range(61)]

    refusal = answers[-1]
    assert refusal.headers["content-type"] == "application/problem+json"
    assert 58 <= int(refusal.headers["retry-after"]) <= 60
    assert refusal.headers["ratelimit"].startswith('"default";r=0;t=')
    assert refusal.json()["error"] == "rate_limit"
    assert refusal.json()["retry_after"] == int(refusal.headers["retry-after"])
    assert "source" not in refusal.json()


async def test_400_requests_at_once_are_counted_one_by_one(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    cloud.route().respond(json={"id": "o"})

    answers = await asyncio.gather(*(client.get("/v1/organization") for _ in range(400)))

    assert sum(answer.status_code == 200 for answer in answers) == 60


async def test_a_device_takes_ten_commands_a_minute_and_the_next_is_not_sent(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    device = await simulator.a_device("projector")
    path = f"/v1/devices/{device['id']}/commands"

    answers = [await client.post(path, json={"name": "power_on"}) for _ in range(11)]

    assert [answer.status_code for answer in answers[:10]] == [200] * 10
    assert answers[10].status_code == 429
    assert answers[10].json()["error"] == "device_rate_limit"
    assert "Nothing was sent" in answers[10].json()["detail"]
    assert int(answers[10].headers["retry-after"]) == answers[10].json()["retry_after"] >= 1
    assert sum(seen["method"] == "POST" for seen in await simulator.requests()) == 10


async def test_the_limit_of_a_device_is_for_all_keys_and_doors(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")
    for _ in range(10):
        await client.post(f"/v1/devices/{device['id']}/commands", json={"name": "power_on"})

    result = await call(client, "send_command", device_id=device["id"], name="power_on")

    assert orjson.loads(result["content"][0]["text"])["error"] == "device_rate_limit"


async def test_devices_have_limits_of_their_own(client: httpx.AsyncClient, simulator: Simulator) -> None:
    first, second = [await simulator.a_device(kind) for kind in ("projector", "display")]
    for _ in range(11):
        await client.post(f"/v1/devices/{first['id']}/commands", json={"name": "power_on"})

    answer = await client.post(f"/v1/devices/{second['id']}/commands", json={"name": "power_on"})

    assert answer.status_code == 200


async def test_a_dry_run_takes_nothing_from_a_device(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")
    for _ in range(11):
        await call(client, "send_command", device_id=device["id"], name="power_on", dry_run=True)

    answer = await client.post(f"/v1/devices/{device['id']}/commands", json={"name": "power_on"})

    assert answer.status_code == 200


async def test_while_redis_is_away_each_replica_limits_for_itself(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    nowhere = open_redis("redis://127.0.0.1:1/0")
    resources.gcra = Gcra(nowhere, 3)

    answers = [await client.get("/v1/organization") for _ in range(22)]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"default";q=1;w=180'
    assert REGISTRY.get_sample_value("xyte_limiter_degraded") == 1
    await nowhere.aclose()


async def test_a_redis_that_stops_in_mid_traffic_costs_no_request(
    app: FastAPI, settings: Settings, cloud: respx.MockRouter, tmp_path: Path
) -> None:
    cloud.route().respond(json={"id": "o"})
    with embedded.Guard() as guard:
        place = embedded.prepare(guard, tmp_path / "valkey", durable=False)
        valkey = embedded.Valkey(guard, place, durable=False)
        valkey.wait()
        own = settings.model_copy(update={"redis_url": place.redis_url, "rate_limit_burst": 1000})
        async with private(app, own, cloud) as client:
            before = [await client.get("/v1/organization") for _ in range(5)]
            under_way = [asyncio.create_task(client.get("/v1/organization")) for _ in range(50)]
            valkey.process.kill()
            valkey.process.wait()
            without = [await client.get("/v1/organization") for _ in range(20)]
            degraded = REGISTRY.get_sample_value("xyte_limiter_degraded")
            readiness = await client.get("/readyz")
            again = embedded.Valkey(guard, place, durable=False)
            again.wait()
            after = [await client.get("/v1/organization")]
            async with asyncio.timeout(10):
                while REGISTRY.get_sample_value("xyte_limiter_degraded"):
                    after.append(await client.get("/v1/organization"))
            answers = [*before, *await asyncio.gather(*under_way), *without, *after]
            counted = BlockingRedis.from_url(place.redis_url).keys("limit:*")  # pyright: ignore[reportUnknownMemberType]

    assert {answer.status_code for answer in answers} == {200}
    assert degraded == 1
    assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
    assert len(list(counted)) == 1  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]


@asynccontextmanager
async def private(app: FastAPI, settings: Settings, cloud: respx.MockRouter) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the application on resources of other settings."""
    before = app.state.resources
    async with open_resources(settings, transport=httpx.MockTransport(cloud.async_handler)) as opened:
        app.state.resources = opened
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        yield httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
        )
    app.state.resources = before
