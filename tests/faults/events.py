"""The runs of events: nothing lost, nothing of others, in order, in time; and the cloud asked only while needed."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import orjson

from app.auth import Caller, tenant_of
from app.events import service
from app.events.schemas import Draft
from app.simulator import ORGANIZATION_KEYS
from tests.faults.stage import Stage, Verdict, eventually, stage

ROUNDS = 3


class Replicas:
    """Two APIs on sockets of their own; either can be killed, and comes back."""

    def __init__(self, ours: Stage, count: int = 2) -> None:
        self._ours = ours
        self.sockets = [str(ours.folder / f"replica{number}.sock") for number in range(count)]
        self.pids = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> int:
        return self._ours.api(API_SOCKET=self.sockets[number])

    async def ready(self) -> None:
        for number in range(len(self.sockets)):
            assert await eventually(lambda number=number: self.answers(number), 30)

    async def answers(self, number: int) -> bool:
        with suppress(httpx.TransportError):
            async with self.client(number, ORGANIZATION_KEYS[0]) as client:
                return (await client.get("/healthz")).status_code == 200
        return False

    async def replace(self, number: int) -> None:
        """SIGKILL, and a new one in its place."""
        self._ours.kill(self.pids[number])
        self._ours.kills += 1
        self.pids[number] = self._start(number)

    @asynccontextmanager
    async def client(self, number: int, key: str) -> AsyncGenerator[httpx.AsyncClient]:
        transport = httpx.AsyncHTTPTransport(uds=self.sockets[number])
        headers = {"X-XYTE-API-KEY": key}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers, timeout=60
        ) as client:
            yield client


@dataclass
class Consumer:
    """One that counts what it gets, and drops what it has had."""

    tenant: str
    key: str
    numbers: list[int] = field(default_factory=list[int])
    ids: set[str] = field(default_factory=set[str])
    position: int = 0
    repeated: int = 0
    foreign: int = 0
    gaps: int = 0
    broken: int = 0

    def take(self, event: dict[str, Any]) -> None:
        if event["data"]["tenant"] != self.tenant:
            self.foreign += 1
        if event["id"] in self.ids:
            self.repeated += 1
        else:
            self.ids.add(event["id"])
            self.numbers.append(event["data"]["number"])
        self.position = event["sequence"]

    def faults(self, events: int) -> list[str]:
        found: list[str] = []
        if self.numbers != list(range(events)):
            found.append(f"{len(self.numbers)} of {events} events, sorted={self.numbers == sorted(self.numbers)}")
        if self.foreign:
            found.append(f"{self.foreign} foreign")
        if self.gaps:
            found.append(f"{self.gaps} gaps told though nothing was trimmed")
        return found


async def sse(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Server-sent events, one by one."""
    block: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            block[name] = value.strip()
        else:
            yield block
            block = {}


async def stream(replicas: Replicas, consumer: Consumer, events: int, dice: random.Random) -> None:
    """Follow, breaking off now and then, and come back at any replica with the last id."""
    while len(consumer.numbers) < events:
        patience = dice.randrange(200, 3_000)
        headers = {"Last-Event-ID": str(consumer.position)}
        try:
            async with (
                replicas.client(dice.randrange(len(replicas.sockets)), consumer.key) as client,
                client.stream("GET", "/v1/events/stream", headers=headers) as answer,
            ):
                async for block in sse(answer):
                    if block.get("event") == "log.gap":
                        consumer.gaps += 1
                    elif "data" in block:
                        consumer.take(orjson.loads(block["data"]))
                        patience -= 1
                    if patience <= 0 or len(consumer.numbers) >= events:
                        break
        except httpx.TransportError:
            await asyncio.sleep(0.05)
        consumer.broken += 1


async def one_by_one(replicas: Replicas, consumer: Consumer, events: int, dice: random.Random, name: str) -> None:
    """get_next_event, sometimes forgetting to acknowledge, at any replica."""
    ack: int | None = None
    while len(consumer.numbers) < events:
        with suppress(httpx.TransportError):
            async with replicas.client(dice.randrange(len(replicas.sockets)), consumer.key) as client:
                for _ in range(500):
                    asked: dict[str, Any] = {"consumer": name, "wait_seconds": 5, "after": 0}
                    asked |= {} if ack is None else {"ack": ack}
                    answer = (await client.get("/v1/events/next", params=asked)).json()
                    consumer.gaps += "gap" in answer and answer["gap"] is not None
                    if answer.get("event"):
                        consumer.take(answer["event"])
                        ack = None if dice.random() < 0.02 else answer["ack"]
                    if len(consumer.numbers) >= events:
                        break
        consumer.broken += 1
        await asyncio.sleep(0.02)


async def by_both_doors(replicas: Replicas, consumer: Consumer, events: int, dice: random.Random) -> None:
    """A tenth one by one, the rest from the stream."""
    await one_by_one(replicas, consumer, events // 10, dice, "counter")
    await stream(replicas, consumer, events, dice)


async def write(ours: Stage, tenant: str, events: int, dice: random.Random, seconds: float) -> None:
    """So many events, some at a time, over that time."""
    number = 0
    started = time.monotonic()
    while number < events:
        some = min(dice.randrange(1, 20), events - number)
        drafts = [Draft("test.count", "webhook", {"tenant": tenant, "number": number + one}) for one in range(some)]
        await service.append(ours.resources, tenant, drafts)
        number += some
        await asyncio.sleep(max(0.0, started + seconds * number / events - time.monotonic()))


async def delivery(events: int = 10_000, deaths: int = 10, seconds: float = 60.0, *, durable: bool = True) -> Verdict:
    """Two tenants, three consumers each; readers break off, replicas are killed, Redis is flushed."""
    dice = random.Random(7)
    async with stage(durable=durable, overrides={"EVENTS_WATCH_S": "5"}) as ours:
        replicas = Replicas(ours)
        await replicas.ready()
        started = time.monotonic()
        consumers: list[Consumer] = []
        reading: list[Coroutine[Any, Any, None]] = []
        writing: list[Coroutine[Any, Any, None]] = []
        for key in ORGANIZATION_KEYS[:2]:
            tenant = await tenant_of(ours.resources, Caller(key, ours.resources.fingerprint(key)))
            three = [Consumer(tenant, key) for _ in range(3)]
            reading += [stream(replicas, one, events, random.Random(dice.random())) for one in three[:2]]
            reading.append(by_both_doors(replicas, three[2], events, random.Random(dice.random())))
            writing.append(write(ours, tenant, events, random.Random(dice.random()), seconds))
            consumers += three
        readers = [asyncio.create_task(one) for one in reading]
        writers = [asyncio.create_task(one) for one in writing]
        for death in range(deaths):
            await asyncio.sleep(seconds / (deaths + 1))
            await replicas.replace(dice.randrange(2))
            if death == deaths // 2:
                async with ours.redis() as redis:
                    await redis.flushall()
        await asyncio.gather(*writers)
        written = time.monotonic()
        _, late = await asyncio.wait(readers, timeout=max(60.0, events / 50))
        for one in late:
            one.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        verdict = Verdict(commands=2 * events, kills=ours.kills, seconds=round(time.monotonic() - started, 1))
        verdict.more = {
            "consumers": len(consumers),
            "reader_breaks": sum(one.broken for one in consumers),
            "repeated": sum(one.repeated for one in consumers),
            "caught_up_after_s": round(time.monotonic() - written, 1),
        }
        for one in consumers:
            verdict.faults += one.faults(events)
        return verdict


async def raw_stream(socket: str, key: str, query: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream as cheap as can be, after its first bytes."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"GET /v1/events/stream{query} HTTP/1.1\r\nHost: localhost\r\nX-XYTE-API-KEY: {key}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    await reader.readuntil(b"\n\n")
    return reader, writer


async def latency(streams: int = 200, events: int = 150, every_s: float = 0.1) -> Verdict:
    """From just before an INSERT to each of many readers of one process."""
    async with stage(durable=True, overrides={"EVENTS_WATCH_S": "30", "EVENTS_WATCH_SLOWEST_S": "60"}) as ours:
        replicas = Replicas(ours, 1)
        await replicas.ready()
        started = time.monotonic()
        tenant = await tenant_of(ours.resources, ours.caller)
        sent_at: list[float] = []
        times: list[float] = []

        async def read(reader: asyncio.StreamReader) -> None:
            for _ in range(events):
                block = await reader.readuntil(b'"mark":')
                number = int((await reader.readuntil(b"}")).strip(b"}"))
                times.append(time.monotonic() - sent_at[number])
                assert block

        open_streams = [await raw_stream(replicas.sockets[0], ours.key) for _ in range(streams)]
        readers = [asyncio.create_task(read(reader)) for reader, _ in open_streams]
        for number in range(events):
            sent_at.append(time.monotonic())
            await service.append(ours.resources, tenant, [Draft("test.mark", "webhook", {"mark": number})])
            await asyncio.sleep(max(0.0, sent_at[-1] + every_s - time.monotonic()))
        _, late = await asyncio.wait(readers, timeout=30)
        for one in late:
            one.cancel()
        for _, writer in open_streams:
            writer.close()
        verdict = Verdict(commands=events, seconds=round(time.monotonic() - started, 1))
        cuts = quantiles(times, n=100)
        verdict.more = {
            "streams": streams,
            "samples": len(times),
            "median_ms": round(median(times) * 1000, 1),
            "p99_ms": round(cuts[98] * 1000, 1),
            "worst_ms": round(max(times) * 1000, 1),
        }
        verdict.faults += [] if cuts[98] <= 0.1 else ["p99 is over 100 ms"]
        verdict.faults += [f"{len(late)} readers missed events"] if late else []
        return verdict


def memory_kib(pid: int) -> int:
    """What a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def comings_and_goings(times: int = 1_000, idle: int = 1_000) -> Verdict:
    """Memory over many connects and disconnects, and with many idle streams."""
    async with stage(durable=False) as ours:
        replicas = Replicas(ours, 1)
        await replicas.ready()
        started = time.monotonic()

        async def come_and_go(count: int) -> None:
            for _ in range(count // 20):
                some = await asyncio.gather(*(raw_stream(replicas.sockets[0], ours.key) for _ in range(20)))
                for _, writer in some:
                    writer.close()

        async def readers() -> float:
            async with replicas.client(0, ours.key) as client:
                told = (await client.get("/metrics")).text
            line = next(line for line in told.splitlines() if line.startswith("xyte_event_readers "))
            return float(line.split()[1])

        async def gone() -> bool:
            return await readers() == 0

        held: list[int] = []
        await come_and_go(times)
        for _ in range(ROUNDS):
            assert await eventually(gone, 20)
            held.append(memory_kib(replicas.pids[0]))
            await come_and_go(times)
        left = await eventually(gone, 20)
        held.append(memory_kib(replicas.pids[0]))
        many = [await raw_stream(replicas.sockets[0], ours.key) for _ in range(idle)]
        with_idle = memory_kib(replicas.pids[0])
        for _, writer in many:
            writer.close()
        verdict = Verdict(commands=0, seconds=round(time.monotonic() - started, 1))
        verdict.more = {
            "connects": times * (ROUNDS + 1),
            "rss_mib": [round(one / 1024, 1) for one in held],
            f"rss_mib_with_{idle}_idle": round(with_idle / 1024, 1),
        }
        verdict.faults += [] if held[-1] - held[0] < 3 * 1024 else ["memory grows"]
        verdict.faults += [] if left else [f"{await readers()} readers left behind"]
        return verdict


async def watch(interval_s: float = 2.0) -> Verdict:
    """A device is unplugged while a listener hangs at either replica, and again after the looking one was killed."""
    lively = {
        "SIMULATOR_SPEED": "20",
        "SIMULATOR_TELEMETRY_SECONDS": "5",
        "SIMULATOR_OFFLINE_AFTER_SECONDS": "20",
    }
    overrides = {"EVENTS_WATCH_S": str(interval_s), "EVENTS_WATCH_SLOWEST_S": str(interval_s)}
    async with stage(durable=False, simulator=lively, overrides=overrides) as ours:
        replicas = Replicas(ours)
        await replicas.ready()
        started = time.monotonic()
        verdict = Verdict()
        heard: list[tuple[int, float, dict[str, Any]]] = []

        async def listen(number: int) -> None:
            while True:
                with suppress(httpx.TransportError):
                    async with (
                        replicas.client(number, ours.key) as client,
                        client.stream("GET", "/v1/events/stream", params={"type": "device."}) as answer,
                    ):
                        async for block in sse(answer):
                            if "data" in block:
                                heard.append(  # noqa: PERF401  as they come
                                    (number, time.monotonic(), orjson.loads(block["data"]))
                                )
                await asyncio.sleep(0.05)

        async def polls() -> int:
            rows = (await ours.simulator.get("/_simulator/requests")).json()["requests"]
            return sum(row["path"] == "/core/v1/organization/devices" for row in rows)

        async def is_offline(device_id: str) -> bool:
            devices = (await ours.simulator.get("/_simulator/devices")).json()["devices"]
            return not next(one for one in devices if one["id"] == device_id)["online"]

        async def offline_heard(device_id: str, count: int) -> bool:
            return len({one for one, _, event in heard if event["device_id"] == device_id}) >= count

        async def unplug(device_id: str, listeners: int) -> float:
            await ours.simulator.post(f"/_simulator/devices/{device_id}", json={"plugged": False})
            assert await eventually(lambda: is_offline(device_id), 30, every=0.02)
            fell = time.monotonic()
            if not await eventually(lambda: offline_heard(device_id, listeners), 60, every=0.01):
                verdict.faults.append("device.offline was not heard")
                return 60.0
            return max(at for _, at, event in heard if event["device_id"] == device_id) - fell

        before = await polls()
        await asyncio.sleep(2 * interval_s)
        silent = await polls() - before
        listeners = [asyncio.create_task(listen(number)) for number in range(2)]
        await eventually(lambda: at_least(polls, before + 2), 20)
        waits = [await unplug(device_id, 2) for device_id in ours.devices[:2]]
        alone: list[float] = []
        for number in range(2):  # one listener, whichever replica it hangs on
            listeners[number].cancel()
            await asyncio.sleep(0.2)
            alone.append(await unplug(ours.devices[2 + number], 1))
            listeners[number] = asyncio.create_task(listen(number))
            await asyncio.sleep(0.2)
        await replicas.replace(0)
        after_kill = await unplug(ours.devices[4], 1)
        for one in listeners:
            one.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        await asyncio.sleep(0.5)
        rested = await polls()
        await asyncio.sleep(3 * interval_s)
        still = await polls() - rested
        page = [event for _, _, event in heard if event["type"] == "device.offline"]
        repeated = len({event["id"] for event in page}) - len({event["device_id"] for event in page})
        verdict.kills, verdict.seconds = ours.kills, round(time.monotonic() - started, 1)
        verdict.more = {
            "interval_s": interval_s,
            "both_s": [round(one, 2) for one in waits],
            "one_listener_s": [round(one, 2) for one in alone],
            "after_kill_s": round(after_kill, 2),
            "polls_without_listeners": [silent, still],
            "told_twice": repeated,
        }
        verdict.faults += [] if max(*waits, *alone) <= 2 * interval_s else ["later than two intervals"]
        verdict.faults += [] if not silent and not still else ["polled without a listener"]
        verdict.faults += [] if not repeated else ["told twice"]
        return verdict


async def noisy(events: int = 100_000, marks: int = 50) -> Verdict:
    """One tenant writes without pause; how soon another one hears of its own events."""
    async with stage(durable=True, overrides={"EVENTS_WATCH_S": "60", "EVENTS_WATCH_SLOWEST_S": "60"}) as ours:
        replicas = Replicas(ours, 1)
        await replicas.ready()
        started = time.monotonic()
        loud, quiet = [
            await tenant_of(ours.resources, Caller(key, ours.resources.fingerprint(key)))
            for key in ORGANIZATION_KEYS[:2]
        ]

        async def shout() -> None:
            for _ in range(events // 100):
                await service.append(ours.resources, loud, [Draft("test.noise", "webhook", {})] * 100)

        reader, writer = await raw_stream(replicas.sockets[0], ORGANIZATION_KEYS[1])
        shouting = asyncio.create_task(shout())
        times: list[float] = []
        for number in range(marks):
            sent = time.monotonic()
            await service.append(ours.resources, quiet, [Draft("test.mark", "webhook", {"mark": number})])
            await reader.readuntil(f'"mark":{number}}}'.encode())
            times.append(time.monotonic() - sent)
            await asyncio.sleep(0.1)
        during = not shouting.done()
        await shouting
        writer.close()
        verdict = Verdict(commands=events + marks, seconds=round(time.monotonic() - started, 1))
        verdict.more = {"median_ms": round(median(times) * 1000, 1), "worst_ms": round(max(times) * 1000, 1)}
        verdict.more["written_meanwhile"] = during
        verdict.faults += [] if median(times) <= 0.1 else ["the quiet tenant waits"]
        return verdict


async def at_least(count: Callable[[], Coroutine[Any, Any, int]], number: int) -> bool:
    return await count() >= number


Run = Callable[[], Coroutine[Any, Any, Verdict]]

RUNS: dict[str, Run] = {
    "events-delivery": delivery,
    "events-latency": latency,
    "events-memory": comings_and_goings,
    "events-noisy": noisy,
    "events-watch": watch,
}
QUICK: dict[str, Run] = {"events-delivery": lambda: delivery(400, 2, 4.0, durable=False)}
