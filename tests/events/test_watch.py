"""The live watch: only while somebody listens, by one process, each change once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx
import pytest
import respx
from sqlalchemy import text

from app.events import service, watch
from app.events.schemas import Event, EventChoice
from app.events.watch import Watches
from app.resources import Resources, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from app.telemetry import EVENT_LOOKS
from tests.events.conftest import Log, caller_with, counted
from tests.world import Simulator, until

FAST = {"events_watch_s": 0.05, "events_watch_slowest_s": 0.05}


@pytest.fixture(autouse=True)
def fast(log: Log) -> None:
    log.resources.settings = log.resources.settings.model_copy(update=FAST)


class Listener:
    """Follows in the background and remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.types: list[str] = []

    async def hears(self, kind: str, **data: Any) -> Event:
        def found() -> Event | None:
            return next((e for e in self.events if e.type == kind and data.items() <= e.data.items()), None)

        await until(found)
        event = found()
        assert event is not None
        return event


@asynccontextmanager
async def listening(resources: Resources, key: str = ORGANIZATION_KEYS[0], **choice: Any) -> AsyncGenerator[Listener]:
    listener = Listener()

    async def listen() -> None:
        deliveries = service.follow(resources, caller_with(resources, key), EventChoice(**choice))
        async with aclosing(deliveries):
            async for delivery in deliveries:
                listener.events += delivery.events
                listener.types += [event.type for event in delivery.events]

    running = asyncio.create_task(listen())
    try:
        yield listener
    finally:
        running.cancel()
        await asyncio.wait([running])


@asynccontextmanager
async def replica(log: Log, settings: Settings, cloud: respx.MockRouter) -> AsyncGenerator[Resources]:
    transport = httpx.MockTransport(cloud.async_handler)
    async with open_resources(settings.model_copy(update=FAST), transport=transport) as other:
        yield other


async def looks(simulator: Simulator) -> int:
    return sum(seen["path"] == "/core/v1/organization/devices" for seen in await simulator.requests())


async def looked(simulator: Simulator, more: int = 1) -> int:
    """Wait for so many more looks."""
    before = await looks(simulator)

    async def there_are_more() -> bool:
        return await looks(simulator) >= before + more

    await until(there_are_more)
    return await looks(simulator)


async def unplug(simulator: Simulator, device: dict[str, Any], *, plugged: bool = False) -> None:
    await simulator.admin("POST", f"devices/{device['id']}", {"plugged": plugged})
    simulator.tick(150)


async def test_a_device_that_is_unplugged_goes_offline_and_comes_back(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        await unplug(simulator, device)
        offline = await listener.hears("device.offline", name=device["name"])
        opened = await listener.hears("incident.opened", device_id=device["id"])
        await unplug(simulator, device, plugged=True)
        await listener.hears("device.online", name=device["name"])
        await listener.hears("incident.closed", incident_id=opened.data["incident_id"])

    assert (offline.source, offline.device_id) == ("watch", device["id"])
    assert offline.space_id is not None
    assert [event.device_id for event in listener.events].count(device["id"]) >= 4
    assert listener.types.count("device.offline") == 1


async def test_nobody_listens_nobody_looks(log: Log, simulator: Simulator) -> None:
    await log.next()
    assert await looks(simulator) == 0
    async with listening(log.resources):
        await looked(simulator)
    await until(lambda: not log.resources.the(Watches)._ending)  # pyright: ignore[reportPrivateUsage]
    rested = await looks(simulator)
    await asyncio.sleep(0.3)

    assert await looks(simulator) == rested
    assert ORGANIZATION_KEYS[0] not in repr(vars(log.resources.the(Watches)))


async def test_what_changed_while_nobody_looked_is_told_at_the_next_look(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources):
        await looked(simulator, 2)
    await unplug(simulator, device)

    async with listening(log.resources) as listener:
        await listener.hears("device.offline", name=device["name"])


async def test_a_view_that_is_too_old_is_only_a_beginning(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources):
        await looked(simulator, 2)
    await until(lambda: not log.resources.the(Watches)._ending)  # pyright: ignore[reportPrivateUsage]
    async with log.resources.engine.begin() as db:
        await db.execute(text("UPDATE event_watches SET looked_at = now() - interval '8 days'"))
    await unplug(simulator, device)

    async with listening(log.resources) as listener:
        await looked(simulator, 2)

    assert "device.offline" not in listener.types


async def test_one_of_two_processes_looks_and_both_hear(
    log: Log, simulator: Simulator, settings: Settings, cloud: respx.MockRouter
) -> None:
    device = await simulator.a_device("LX")
    async with (
        replica(log, settings, cloud) as other,
        listening(log.resources) as here,
        listening(other) as there,
    ):
        await looked(simulator, 4)
        async with log.resources.engine.connect() as db:
            holders = (await db.execute(text("SELECT count(DISTINCT holder) FROM event_watches"))).scalar_one()
        await unplug(simulator, device)
        for listener in (here, there):
            await listener.hears("device.offline", name=device["name"])
        await looked(simulator, 4)

    assert holders == 1
    assert here.types.count("device.offline") == there.types.count("device.offline") == 1


async def test_another_process_takes_over_and_neither_repeats_nor_loses(
    log: Log, simulator: Simulator, settings: Settings, cloud: respx.MockRouter
) -> None:
    first, second = await simulator.a_device("LX"), None
    async with replica(log, settings, cloud) as other, listening(other) as there:
        async with listening(log.resources):
            await looked(simulator, 2)
            await unplug(simulator, first)
            await there.hears("device.offline", name=first["name"])
        second = await simulator.a_device("LX")
        await unplug(simulator, second)
        await there.hears("device.offline", name=second["name"])

    offline = [event.device_id for event in there.events if event.type == "device.offline"]
    assert offline == [first["id"], second["id"]]


async def test_two_that_look_at_once_tell_it_once(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    slow, quick = (watch.Watch(log.resources, log.tenant, name) for name in ("slow", "quick"))
    for one in (slow, quick):
        one.callers.append(log.caller)
    before: Any = {}
    async with watch.repository.as_tenant(log.resources, log.tenant) as db:
        claim = await watch.repository.claim(db, log.tenant, "slow", watch.timedelta(seconds=9))
    assert claim is not None
    await slow._look(claim, None)  # pyright: ignore[reportPrivateUsage]
    async with watch.repository.as_tenant(log.resources, log.tenant) as db:
        claim = await watch.repository.claim(db, log.tenant, "slow", watch.timedelta(seconds=9))
        before = await watch.repository.view_of(db, log.tenant, watch.timedelta(days=1))
    assert claim is not None
    await unplug(simulator, device)
    overtaken = counted(EVENT_LOOKS.labels("overtaken"))

    await quick._look(claim, before)  # pyright: ignore[reportPrivateUsage]
    await slow._look(claim, before)  # pyright: ignore[reportPrivateUsage]

    types = await log.types(type="device.offline")
    assert types == ["device.offline"]
    assert counted(EVENT_LOOKS.labels("overtaken")) == overtaken + 1


async def test_commands_and_tickets_are_told(log: Log, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DEVICES_A_LOOK", 1_000)
    device = await simulator.a_device("LX")
    ticket = (await log.client.get("/v1/tickets")).json()["items"][0]
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        sent = await log.client.post(f"/v1/devices/{device['id']}/commands", json={"name": "reboot"})
        await listener.hears("command.pending", command_id=sent.json()["id"])
        simulator.tick(300)
        await listener.hears("command.done", command_id=sent.json()["id"])
        await log.client.post(f"/v1/tickets/{ticket['id']}/resolved")
        await listener.hears("ticket.closed", ticket_id=ticket["id"])


async def test_a_failing_cloud_is_asked_again_and_nothing_is_made_up(
    log: Log, simulator: Simulator, cloud: respx.MockRouter
) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        fault = {"kind": "status", "status": 500, "path": "*/incidents", "times": 3}
        await simulator.admin("POST", "faults", fault)
        await unplug(simulator, device)
        await listener.hears("device.offline", name=device["name"])

    assert "device.removed" not in listener.types


async def test_a_cloud_that_asks_to_slow_down_is_left_alone_for_as_long(
    log: Log, simulator: Simulator, cloud: respx.MockRouter
) -> None:
    await log.client.get("/v1/devices")
    before = counted(EVENT_LOOKS.labels("failed"))
    cloud.routes.clear()
    cloud.route().respond(429, headers={"Retry-After": "100"}, json={})

    async def waits_long() -> bool:
        async with log.resources.engine.connect() as db:
            wait = await db.execute(text("SELECT extract(epoch FROM look_at - now())::float FROM event_watches"))
            return 90 < wait.scalar_one() <= 100

    async with listening(log.resources):
        await until(lambda: counted(EVENT_LOOKS.labels("failed")) > before)
        await until(waits_long)


async def test_a_listener_s_refused_key_is_used_no_more(log: Log, simulator: Simulator) -> None:
    watches = log.resources.the(Watches)
    refused = caller_with(log.resources, "a fake key that Xyte does not know 000001".replace(" ", "-"))
    device = await simulator.a_device("LX")
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        async with watches.listening(refused, log.tenant):
            await looked(simulator, 4)
            await unplug(simulator, device)
            await listener.hears("device.offline", name=device["name"])

    asked = [seen for seen in await simulator.requests() if seen["status"] == 401]
    assert 1 <= len(asked) <= 5


async def test_what_a_key_may_not_see_is_not_told_as_gone(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        await simulator.admin("POST", "faults", {"kind": "status", "status": 403, "path": "*/tickets"})
        await unplug(simulator, device)
        await listener.hears("device.offline", name=device["name"])

    assert "ticket.closed" not in listener.types


async def test_a_device_that_is_deleted_is_told_as_removed(log: Log, simulator: Simulator) -> None:
    device = await simulator.a_device("LX")
    async with listening(log.resources) as listener:
        await looked(simulator, 2)
        deleted = await log.client.delete(f"/v1/devices/{device['id']}")
        assert deleted.status_code == 200
        await listener.hears("device.removed", name=device["name"])


async def test_a_mistake_of_ours_does_not_end_the_watch(
    log: Log, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    working, broken = watch.commands_of, asyncio.Event()

    async def failing(*_: Any) -> None:
        broken.set()
        raise LookupError

    monkeypatch.setattr(watch, "commands_of", failing)
    async with listening(log.resources), asyncio.timeout(10):
        await broken.wait()
        await until(lambda: "a look at the cloud failed" in caplog.text)
        monkeypatch.setattr(watch, "commands_of", working)
        await looked(simulator, 2)
