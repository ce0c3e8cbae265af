"""Events as callers read them: pages, consumers, live."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
import respx
from sqlalchemy import text

from app.errors import TooManyReaders, XyteRefusedKey
from app.events import feed as feeds
from app.events import repository, service
from app.events.feed import Feeds
from app.events.schemas import Delivery, Event, EventChoice
from app.resources import Resources, open_redis, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from tests.events.conftest import Log, caller_with
from tests.world import Simulator, call, until

EVERYTHING = EventChoice()


async def trim(log: Log, keep: int) -> None:
    async with repository.transaction(log.resources) as db:
        await repository.trim(db, keep, repository.timedelta(days=7), 1_000)


async def restore(log: Log, last: int) -> None:
    """As a backup would."""
    async with log.resources.engine.begin() as db:
        await db.execute(text(f"DELETE FROM events WHERE sequence > {last}"))
        await db.execute(text(f"UPDATE event_streams SET last = {last}"))


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_has_the_newest_and_leads_on(log: Log) -> None:
    await log.add(*"abcde")

    newest = await log.page(limit=2)
    first = await log.page(after=0, limit=2)
    rest = await log.page(after=first.next_after)

    assert [event.type for event in newest.items] == ["d", "e"]
    assert (newest.next_after, newest.has_more) == (5, False)
    assert ([event.type for event in first.items], first.has_more) == (["a", "b"], True)
    assert ([event.type for event in rest.items], rest.has_more, rest.next_after) == (["c", "d", "e"], False, 5)


async def test_events_are_chosen_by_type_kind_and_device(log: Log) -> None:
    await log.add("device.online", "device.offline", "task.done", "task.error", device_id="d1")
    await log.add("device.online", device_id="d2")

    assert await log.types(type="task.done") == ["task.done"]
    assert await log.types(type="device., task.error") == [
        "device.online",
        "device.offline",
        "task.error",
        "device.online",
    ]
    assert await log.types(type="device.", device_id="d2") == ["device.online"]
    assert await log.types(type="device") == []
    assert await log.types(after=0, type="device.", device_id="d2", limit=1) == ["device.online"]


async def test_a_space_means_the_devices_in_it_and_what_happened_there(log: Log, simulator: Simulator) -> None:
    devices = (await log.client.get("/v1/devices?per_page=100")).json()["items"]
    device = next(one for one in devices if one["space"])
    space = device["space"]["id"]
    await log.add("by.device", device_id=device["id"])
    await log.add("by.space", device_id="gone", space_id=space)
    await log.add("elsewhere", device_id="other", space_id=space + 1)
    asked = len(await simulator.requests())

    assert await log.types(space_id=space) == ["by.device", "by.space"]
    assert await log.types(space_id=space, device_id=device["id"]) == ["by.device"]
    assert await log.types(space_id=space, device_id="gone") == []
    assert len(await simulator.requests()) == asked + 1


async def test_another_tenant_sees_nothing(log: Log, resources: Resources) -> None:
    await log.add("secret")
    log.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    page = (await log.client.get("/v1/events", params={"after": 0})).json()

    assert page["items"] == []
    assert page["next_after"] == 0


async def test_a_gap_is_told_and_never_silent(log: Log) -> None:
    await log.add(*"abcdef")
    await trim(log, 2)

    page = await log.page(after=1)
    none = await log.page(after=4)

    assert page.gap is not None
    assert (page.gap.first, page.gap.last, page.gap.reason) == (2, 4, "trimmed")
    assert [event.type for event in page.items] == ["e", "f"]
    assert none.gap is None


async def test_a_log_that_is_empty_by_now_tells_its_gap(log: Log) -> None:
    await log.add(*"abc")
    await trim(log, 0)

    page = await log.page(after=1)

    assert page.gap is not None
    assert (page.gap.first, page.gap.last, page.items, page.next_after) == (2, 3, [], 3)


async def test_a_restored_log_starts_again_and_says_so(log: Log) -> None:
    await log.add(*"abcdef")
    await restore(log, 3)

    page = await log.page(after=6)

    assert page.gap is not None
    assert (page.gap.first, page.gap.last, page.gap.reason) == (4, 6, "restored")
    assert [event.type for event in page.items] == ["a", "b", "c"]


# ── Consumers ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_consumer_starts_now_and_gets_each_event_until_it_says_that_it_has_it(log: Log) -> None:
    await log.add("before")
    assert await log.next() == {}
    await log.add("a", "b")

    first = await log.next()
    again = await log.next()
    second = await log.next(ack=first["ack"])
    nothing = await log.next(ack=second["ack"])

    assert first == again
    assert [first["event"]["type"], second["event"]["type"]] == ["a", "b"]
    assert first["event"]["id"] != second["event"]["id"]
    assert nothing == {}
    assert await log.next() == {}


async def test_a_consumer_may_start_at_the_beginning(log: Log) -> None:
    await log.add("a", "b")

    assert (await log.next(after=0))["event"]["type"] == "a"
    assert (await log.next("other", after=1))["event"]["type"] == "b"
    assert (await log.next("third", ack=1))["event"]["type"] == "b"
    assert (await log.next(after=1))["event"]["type"] == "a"


async def test_consumers_do_not_know_each_other(log: Log) -> None:
    await log.next("one")
    await log.next("two")
    await log.add("a")

    for name in ("one", "two"):
        assert (await log.next(name))["event"]["type"] == "a"
    assert await log.next("one", ack=1) == {}
    assert (await log.next("two"))["event"]["type"] == "a"


async def test_an_old_ack_changes_nothing_and_one_of_the_future_is_refused(log: Log) -> None:
    await log.add("a", "b")
    await log.next(after=0)
    await log.next(ack=2)

    assert await log.next(ack=1) == {}
    refused = await log.client.get("/v1/events/next", params={"consumer": "c", "ack": 3})

    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"path": "ack", "message": "The last event so far is 2."}]


async def test_a_consumer_chooses(log: Log) -> None:
    await log.add("a", "b", "c")

    chosen = await log.next(after=0, type="c")

    assert chosen["event"]["type"] == "c"
    assert await log.next(ack=chosen["ack"]) == {}


async def test_a_waiting_consumer_hears_at_once(log: Log) -> None:
    waiting = asyncio.create_task(log.next(wait_seconds=30))
    await until(lambda: feed_of(log))

    await log.add("a")

    assert (await asyncio.wait_for(waiting, 10))["event"]["type"] == "a"


async def test_waiting_ends_in_time(log: Log) -> None:
    assert await log.next(wait_seconds=0.05) == {}


async def test_a_consumer_is_told_of_a_gap_even_without_an_event(log: Log) -> None:
    await log.next(after=0)
    await log.add(*"abcd")
    await trim(log, 1)

    with_event = await log.next()
    without = await log.next(type="z")
    after = await log.next(type="z", ack=without["ack"])

    assert with_event["gap"] == {"first": 1, "last": 3, "reason": "trimmed"}
    assert with_event["event"]["type"] == "d"
    assert (without["gap"]["last"], without["ack"]) == (3, 3)
    assert after == {}


async def test_a_consumer_outlives_a_restored_log(log: Log) -> None:
    await log.add(*"abcdef")
    await log.next(after=0)
    await log.next(ack=6)
    await restore(log, 2)

    again = await log.next()
    following = await log.next(ack=again["ack"])

    assert again["gap"]["reason"] == "restored"
    assert (again["event"]["type"], following["event"]["type"]) == ("a", "b")


async def test_names_of_consumers_do_not_pile_up(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_CONSUMERS", 2)
    await log.next("one")
    await log.next("two")

    refused = await log.client.get("/v1/events/next", params={"consumer": "three"})

    assert refused.status_code == 409
    assert "one, two" in refused.json()["detail"]
    assert await log.next("two") == {}


async def test_a_name_that_is_none_is_refused(log: Log) -> None:
    assert (await log.client.get("/v1/events/next", params={"consumer": "a b"})).status_code == 422


async def test_the_tools_tell_the_same(log: Log) -> None:
    await log.add("a")

    next_one = await call(log.client, "get_next_event", consumer="agent", after=0)
    page = await call(log.client, "run_operation", operation="list_events", arguments={"after": 0})

    assert next_one["structuredContent"]["event"]["type"] == "a"
    assert next_one["structuredContent"]["ack"] == 1
    assert page["structuredContent"]["items"][0]["type"] == "a"


async def test_a_partner_has_a_log_and_no_watch(partner: httpx.AsyncClient, simulator: Simulator) -> None:
    assert (await partner.get("/v1/events/next", params={"consumer": "c", "wait_seconds": 0.1})).status_code == 200

    assert not [seen for seen in await simulator.requests() if seen["path"].endswith("/devices")]


# ── Live ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def feed_of(log: Log) -> Any:
    return log.resources.the(Feeds)._feeds.get(log.tenant)  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def following(
    log: Log, choice: EventChoice = EVERYTHING, **more: Any
) -> AsyncGenerator[AsyncGenerator[Delivery]]:
    async with aclosing(service.follow(log.resources, log.caller, choice, **more)) as deliveries, asyncio.timeout(20):
        yield deliveries


async def some(deliveries: AsyncGenerator[Delivery], count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += (await anext(deliveries)).events
    return found


async def test_it_begins_where_the_log_ends(log: Log) -> None:
    await log.add("before")
    async with following(log) as deliveries:
        start = await anext(deliveries)
        await log.add("a")
        await log.add("b")

        events = await some(deliveries, 2)

    assert start == Delivery(1)
    assert [event.type for event in events] == ["a", "b"]


async def test_it_resumes_after_a_position_out_of_the_log(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    await log.add(*"abcdef")
    async with following(log, after=1) as deliveries:
        events = await some(deliveries, 5)
        await log.add("g")
        events += await some(deliveries, 1)

    assert [event.sequence for event in events] == [2, 3, 4, 5, 6, 7]


async def test_who_is_slow_reads_from_the_log(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RECENT", 3)
    async with following(log) as slow, following(log) as quick:
        await anext(slow)
        await anext(quick)
        for kind in "abcdefgh":
            await log.add(kind)
            await some(quick, 1)

        events = await some(slow, 8)

    assert [event.type for event in events] == list("abcdefgh")


async def test_one_reader_serves_all_who_follow(log: Log) -> None:
    async with following(log) as one, following(log) as other:
        await anext(one)
        feed = feed_of(log)
        await anext(other)
        await log.add("a")

        events = [*await some(one, 1), *await some(other, 1)]

        assert feed_of(log) is feed
        assert feed.followers == 2
        assert events[0] is events[1]
    assert feed_of(log) is None


async def test_a_choice_is_followed_and_its_position_moves_on(log: Log) -> None:
    async with following(log, EventChoice(type="b"), idle_s=0.05) as deliveries:
        await anext(deliveries)
        await log.add("a", "b", "a")

        events = await some(deliveries, 1)
        while (idle := await anext(deliveries)).position < 3:
            assert not idle.events

    assert [event.type for event in events] == ["b"]
    assert idle == Delivery(3)


async def test_a_follower_is_told_of_a_gap(log: Log) -> None:
    await log.add(*"abcd")
    await trim(log, 1)
    async with following(log, after=0) as deliveries:
        await anext(deliveries)

        delivery = await anext(deliveries)

    assert delivery.gap is not None
    assert (delivery.gap.first, delivery.gap.last) == (1, 3)
    assert [event.type for event in delivery.events] == ["d"]


async def test_a_log_that_is_restored_while_it_is_followed_is_told(log: Log) -> None:
    await log.add(*"abcd")
    async with following(log) as deliveries:
        await anext(deliveries)
        await restore(log, 2)
        feed_of(log).wake()

        delivery = await anext(deliveries)

    assert delivery.gap is not None
    assert delivery.gap.reason == "restored"
    assert [event.type for event in delivery.events] == ["a", "b"]


@asynccontextmanager
async def replica(log: Log, settings: Settings) -> AsyncGenerator[Resources]:
    """Another process, as far as Redis and PostgreSQL can tell."""
    async with open_resources(settings, transport=log.resources.cloud.transport) as other:
        other.cloud.transport = httpx.MockTransport(lambda _: httpx.Response(500))
        yield other


async def test_redis_carries_the_news_to_other_processes(
    log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LOOK_EVERY_S", 60.0)
    async with replica(log, settings) as other, following(log) as deliveries:
        await anext(deliveries)
        await until(lambda: not log.resources.the(Feeds).alone)
        feed_of(log).wake()
        await service.append(other, log.tenant, [service.Draft("from.elsewhere", "webhook", {})])

        events = await some(deliveries, 1)

    assert events[0].type == "from.elsewhere"


async def test_a_flushed_redis_costs_nothing(log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LOOK_EVERY_S", 60.0)
    async with replica(log, settings) as other, following(log) as deliveries:
        await anext(deliveries)
        await log.add("a")
        await some(deliveries, 1)
        await until(lambda: not log.resources.the(Feeds).alone)
        redis: Any = log.resources.redis
        await redis.flushall()
        await service.append(other, log.tenant, [service.Draft("b", "webhook", {})])

        assert [event.type for event in await some(deliveries, 1)] == ["b"]


async def test_without_redis_the_log_is_looked_at(
    log: Log, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LOOK_ALONE_EVERY_S", 0.02)
    working, log.resources.redis = log.resources.redis, open_redis("redis://127.0.0.1:1/0")
    async with replica(log, settings) as other, following(log) as deliveries:
        await anext(deliveries)
        await service.append(other, log.tenant, [service.Draft("a", "webhook", {})])

        assert [event.type for event in await some(deliveries, 1)] == ["a"]
        await log.add("b")
        assert [event.type for event in await some(deliveries, 1)] == ["b"]
    await log.resources.redis.aclose()
    log.resources.redis = working


async def test_readers_are_bounded(log: Log) -> None:
    log.resources.settings = log.resources.settings.model_copy(update={"events_readers_per_tenant": 1})
    async with following(log) as one:
        await anext(one)

        with pytest.raises(TooManyReaders):
            async with following(log) as other:
                await anext(other)

        assert feed_of(log).followers == 1


async def test_who_follows_with_a_key_that_was_revoked_hears_no_more(
    log: Log, cloud: respx.MockRouter, resources: Resources
) -> None:
    async with following(log, idle_s=0.02) as deliveries:
        await anext(deliveries)
        cloud.routes.clear()
        cloud.route().respond(401, json={"error": "Not authorized"})
        resources.resolved_at.clear()

        with pytest.raises(XyteRefusedKey):
            await some(deliveries, 1)


async def test_two_tenants_follow_their_own(log: Log) -> None:
    other = caller_with(log.resources, ORGANIZATION_KEYS[1])
    async with (
        following(log) as ours,
        aclosing(service.follow(log.resources, other, EVERYTHING, idle_s=0.05)) as theirs,
    ):
        await anext(ours)
        await anext(theirs)
        await log.add("a")

        assert [event.type for event in await some(ours, 1)] == ["a"]
        assert await anext(theirs) == Delivery(0)
