"""The breaker: opens on the cloud's own failures, lets a probe through, and is nobody's business but its host's."""

import time

import httpx
import pytest
import respx
from prometheus_client import REGISTRY

from app.errors import UpstreamSuspended
from app.resources import Resources
from app.xyte.breaker import Breaker


def opened(pause_s: float = 60.0) -> Breaker:
    breaker = Breaker(calls=4, pause_s=pause_s)
    for _ in range(4):
        breaker.record(failed=True)
    return breaker


def probe_is_due(breaker: Breaker) -> None:
    breaker._open_until = time.monotonic()  # pyright: ignore[reportPrivateUsage]  as if the pause were over


def gauge() -> float | None:
    return REGISTRY.get_sample_value("xyte_breaker_open")


def test_a_few_failures_do_not_open_it() -> None:
    breaker = Breaker(calls=4)
    for _ in range(3):
        breaker.record(failed=True)

    breaker.check()


def test_it_opens_when_half_of_the_calls_failed() -> None:
    breaker = Breaker(calls=4)
    for failed in (False, True, False, True):
        breaker.record(failed=failed)

    with pytest.raises(UpstreamSuspended) as refusal:
        breaker.check()

    assert refusal.value.headers["Retry-After"] == "5"
    assert refusal.value.retry_safe
    assert gauge() == 1


def test_it_stays_closed_while_most_calls_succeed() -> None:
    breaker = Breaker(calls=4)
    for failed in (False, True, False, False, True):
        breaker.record(failed=failed)

    breaker.check()


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = Breaker(calls=4, window_s=0.0)
    for _ in range(10):
        breaker.record(failed=True)

    breaker.check()


def test_after_the_pause_one_call_is_the_probe_and_the_others_wait() -> None:
    breaker = opened()
    probe_is_due(breaker)

    breaker.check()

    with pytest.raises(UpstreamSuspended):
        breaker.check()


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    probe_is_due(breaker)
    breaker.check()

    breaker.record(failed=False)

    breaker.check()
    assert gauge() == 0


def test_a_probe_that_fails_leaves_it_open() -> None:
    breaker = opened()
    probe_is_due(breaker)
    breaker.check()

    breaker.record(failed=True)

    with pytest.raises(UpstreamSuspended):
        breaker.check()
    assert gauge() == 1


async def test_a_failing_cloud_is_left_alone_and_callers_hear_so_at_once(
    client: httpx.AsyncClient, resources: Resources, cloud: respx.MockRouter
) -> None:
    resources.cloud.breaker = Breaker(calls=4)
    route = cloud.route().respond(503, json={"error": "down"})
    for _ in range(4):
        assert (await client.delete("/v1/devices/d1")).status_code == 502

    answer = await client.delete("/v1/devices/d1")

    assert answer.status_code == 503
    assert answer.json()["error"] == "xyte_suspended"
    assert answer.json()["retry_safe"] is True
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert route.call_count == 4


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError])
async def test_a_cloud_that_does_not_answer_opens_it(
    client: httpx.AsyncClient, resources: Resources, cloud: respx.MockRouter, failure: type[Exception]
) -> None:
    resources.cloud.breaker = Breaker(calls=4)
    cloud.route().mock(side_effect=failure)

    for _ in range(4):
        await client.delete("/v1/devices/d1")

    with pytest.raises(UpstreamSuspended):
        resources.cloud.breaker.check()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500])
async def test_what_the_cloud_refuses_to_one_caller_never_opens_it(
    client: httpx.AsyncClient, resources: Resources, cloud: respx.MockRouter, status: int
) -> None:
    resources.cloud.breaker = Breaker(calls=4)
    cloud.route().respond(status, json={"error": "no"})

    for _ in range(8):
        resources.cloud.refused.clear()
        await client.delete("/v1/devices/d1")

    resources.cloud.breaker.check()


async def test_each_host_has_a_breaker_of_its_own(resources: Resources) -> None:
    cloud = resources.cloud
    for _ in range(40):
        cloud.breaker_of("https://entry.test").record(failed=True)

    cloud.breaker_of(cloud.base_url).check()
    with pytest.raises(UpstreamSuspended):
        cloud.breaker_of("https://entry.test").check()
    assert cloud.breaker_of(cloud.base_url) is cloud.breaker
