"""Health: the process, what it leans on, and what it counts."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from redis.exceptions import RedisError
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard import Guard
from app.health import part
from app.main import render
from app.resources import Resources, open_redis
from tests.raw import ask
from tests.world import call


async def without_redis(resources: Resources) -> None:
    resources.redis = open_redis("redis://127.0.0.1:1/0")


async def without_postgres(resources: Resources) -> None:
    resources.engine = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")


async def test_a_process_that_answers_is_alive(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_with_everything_there_it_is_ready_and_tells_latencies(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert {name: one["status"] for name, one in answer.json()["parts"].items()} == {"postgres": "ok", "redis": "ok"}
    assert all(one["latency_ms"] >= 0 for one in answer.json()["parts"].values())


async def test_without_redis_it_is_degraded_and_serves(anonymous: httpx.AsyncClient, resources: Resources) -> None:
    working = resources.redis
    await without_redis(resources)

    answer = await anonymous.get("/readyz")

    resources.redis = working
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["redis"]["status"] == "failing"
    assert "limits for itself" in answer.json()["parts"]["redis"]["reason"]
    assert answer.json()["parts"]["postgres"]["status"] == "ok"


async def test_without_postgres_it_is_degraded_and_forwards(client: httpx.AsyncClient, resources: Resources) -> None:
    working = resources.engine
    await without_postgres(resources)

    readiness = await client.get("/readyz")
    forwarded = await client.get("/v1/devices")

    await resources.engine.dispose()
    resources.engine = working
    assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
    assert readiness.json()["parts"]["postgres"]["status"] == "failing"
    assert "nobody" not in readiness.text
    assert forwarded.status_code == 200


async def test_without_both_it_cannot_serve(anonymous: httpx.AsyncClient, resources: Resources) -> None:
    redis, engine = resources.redis, resources.engine
    await without_redis(resources)
    await without_postgres(resources)

    answer = await anonymous.get("/readyz")

    await resources.engine.dispose()
    resources.redis, resources.engine = redis, engine
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")


async def test_a_replica_that_is_about_to_end_is_not_ready_and_lives(
    client: httpx.AsyncClient, resources: Resources
) -> None:
    resources.leaving = True

    readiness, life, forwarded = [await client.get(path) for path in ("/readyz", "/healthz", "/v1/devices")]

    assert (readiness.status_code, readiness.json()) == (503, {"status": "leaving", "parts": {}})
    assert (life.status_code, forwarded.status_code) == (200, 200)


async def test_a_part_that_hangs_is_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.health.ANSWER_WITHIN_S", 0.01)

    found = await part(asyncio.sleep(60), "Nothing works.")

    assert (found.status, found.reason, found.latency_ms) == ("failing", "Nothing works.", None)


@pytest.mark.parametrize(
    ("failure", "lines"),
    [(RedisError("gone"), []), (OperationalError("", {}, OSError()), []), (KeyError("x"), ["a part fails unforeseen"])],
)
async def test_a_part_that_fails_is_failing_and_what_nobody_foresaw_is_logged(
    caplog: pytest.LogCaptureFixture, failure: Exception, lines: list[str]
) -> None:
    async def fail() -> None:
        raise failure

    found = await part(fail(), "Nothing works.")

    assert (found.status, found.reason) == ("failing", "Nothing works.")
    assert caplog.messages == lines


async def test_metrics_name_what_is_counted_and_no_id(client: httpx.AsyncClient) -> None:
    await client.get("/v1/devices")
    await client.get("/v1/devices/0b0f6a4e-not-there")
    await call(client, "list_devices")
    await call(client, "get_device", device_id="../x")

    metrics = (await client.get("/metrics")).text

    for line in (
        'mcp_tool_invocations_total{era="legacy",tool="list_devices"}',
        'mcp_tool_errors_total{error="invalid_input",tool="get_device"}',
        "mcp_tool_duration_seconds_bucket",
        'xyte_upstream_requests_total{method="GET",outcome="200",scope="organization"}',
        'xyte_upstream_requests_total{method="GET",outcome="404",scope="organization"}',
        "xyte_upstream_duration_seconds_bucket",
        "xyte_limiter_degraded 0.0",
        "xyte_breaker_open",
        "http_requests_inprogress",
        'http_requests_total{handler="/v1/devices",method="GET",status="200"}',
        'http_requests_total{handler="/v1/devices/{device_id}",method="GET",status="404"}',
        'http_requests_total{handler="/mcp",method="POST",status="200"}',
        'http_request_duration_seconds_bucket{handler="/mcp",le="0.01",method="POST"}',
    ):
        assert line in metrics, line
    assert "0b0f6a4e" not in metrics
    assert client.headers["X-XYTE-API-KEY"] not in metrics


async def test_a_refused_request_is_counted_too(client: httpx.AsyncClient) -> None:
    before = await counted(client, handler="none", method="GET", status="421")

    refused = await client.get("/v1/devices", headers={"Host": "elsewhere.example"})

    assert refused.status_code == 421
    assert await counted(client, handler="none", method="GET", status="421") == before + 1


async def test_an_answer_is_counted_once_and_probes_are_not(client: httpx.AsyncClient) -> None:
    before = await counted(client, handler="/mcp", method="POST", status="200")
    for path in ("/healthz", "/readyz", "/metrics"):
        await client.get(path)

    await call(client, "list_devices")

    assert await counted(client, handler="/mcp", method="POST", status="200") == before + 1
    assert not [handler for handler in await handlers(client) if handler in {"/healthz", "/readyz", "/metrics"}]


async def test_methods_that_nobody_knows_share_one_label(client: httpx.AsyncClient) -> None:
    await client.request("BREW", "/v1/devices")

    metrics = (await client.get("/metrics")).text

    assert 'method="other"' in metrics
    assert "BREW" not in metrics


async def test_a_caller_who_left_before_the_answer_is_counted_as_499(client: httpx.AsyncClient) -> None:
    async def torn(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    before = await counted(client, handler="none", method="GET", status="499")

    with pytest.raises(asyncio.CancelledError):
        await ask(guarded(torn, client), "GET", "/v1/devices")

    assert await counted(client, handler="none", method="GET", status="499") == before + 1


async def test_the_time_of_a_request_ends_where_its_answer_begins(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([1000.0, 1007.0, 1900.0])  # it came, was answered, and had heard all of the stream
    before = await seconds_counted(client)
    guard = guarded(Response("a long stream"), client)
    with monkeypatch.context() as patch:
        patch.setattr("app.guard.time", SimpleNamespace(perf_counter=lambda: next(seconds)))
        await ask(guard, "GET", "/v1/events/stream")

    assert await seconds_counted(client) == before + 7


def guarded(app: ASGIApp, client: httpx.AsyncClient) -> Guard:
    """An application behind the guard of the client's gateway."""
    transport: Any = client._transport  # pyright: ignore[reportPrivateUsage]
    return Guard(app, transport.app.state.settings, render)


async def seconds_counted(client: httpx.AsyncClient) -> float:
    """What requests without a route took, all together."""
    name = "http_request_duration_seconds_sum"
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if sample.labels["handler"] == "none")


async def requests_counted(client: httpx.AsyncClient) -> list[Sample]:
    """Every series of the requests."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return [sample for family in families for sample in family.samples if sample.name == "http_requests_total"]


async def counted(client: httpx.AsyncClient, **labels: str) -> float:
    """How many requests had these labels."""
    return sum(sample.value for sample in await requests_counted(client) if sample.labels == labels)


async def handlers(client: httpx.AsyncClient) -> set[str]:
    """What requests were counted under."""
    return {sample.labels["handler"] for sample in await requests_counted(client)}


async def test_unknown_paths_share_one_label(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.get(f"/nowhere/{number}")

    metrics = (await client.get("/metrics")).text

    assert "/nowhere/" not in metrics
