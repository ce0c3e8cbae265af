"""The load generator: keep-alive connections that ask, check and ask again, at a few microseconds a turn."""

import asyncio
import gc
import re
import time
from asyncio import Transport
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import cast

from tests.bench.upstream import DEVICE_IDS
from tests.bench.workloads import FIRST_ID, Checker, Exchange, Kind, Request

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
SESSION = re.compile(rb"\r\nmcp-session-id: *([^\r]+)", re.IGNORECASE)
LAST_CHUNK = b"0\r\n\r\n"
DEVICES = tuple(device_id.encode() for device_id in DEVICE_IDS)
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Window:
    """What was seen of one contender in one stretch of time."""

    seconds: float
    requests: int
    cpu_s: float
    load_cpu_s: float
    latencies_s: list[float] = field(repr=False)


@dataclass
class Run:
    """What the connections of one window share."""

    exchange: Exchange
    checker: Checker
    next_id: int = FIRST_ID
    measuring: bool = False
    stopping: bool = False
    latencies_s: list[float] = field(default_factory=list[float])

    def count(self, began: float) -> None:
        if self.measuring:
            self.latencies_s.append(time.perf_counter() - began)


class Connection(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self.run = run
        self.transport: Transport
        self.ready = asyncio.Event()
        self.closed = asyncio.Event()
        self.finished = False
        self.session = b""
        self.sessions: list[bytes] = []
        self.received = b""
        self.length: int | None = None
        self.asked: Request
        self.request_id = b""
        self.device_id = b""
        self.conversation = self.converse()

    def converse(self) -> Generator[Request, None, None]:
        yield from self.run.exchange.once
        self.ready.set()
        while not self.run.stopping:
            began = time.perf_counter()
            yield from self.run.exchange.repeated
            self.run.count(began)
        for session in self.sessions:
            self.session = session
            yield self.run.exchange.goodbye

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(Transport, transport)
        self.ask()

    def ask(self) -> None:
        request = next(self.conversation, None)
        if request is None:
            self.finished = True
            self.transport.close()
            return
        if request.kind is Kind.INITIALIZE:
            self.session = b""
        self.run.next_id += 1
        self.asked = request
        self.request_id = b"%d" % self.run.next_id
        self.device_id = DEVICES[self.run.next_id % len(DEVICES)]
        self.transport.write(request.wire(self.session, self.request_id, self.device_id))

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        if self.length is None:
            self.measure()
        if self.length is None or len(self.received) < self.length:
            return
        head, _, body = self.received.partition(b"\r\n\r\n")
        if CHUNKED.search(head):
            body = joined(body)
        self.received, self.length = b"", None
        self.take(head, body)

    def measure(self) -> None:
        """Find out how long the answer is: from its length, or, in chunks, from having seen the last one."""
        place = self.received.find(b"\r\n\r\n")
        if place < 0:
            return
        head = self.received[:place]
        if CHUNKED.search(head):
            if self.received.endswith(LAST_CHUNK):
                self.length = len(self.received)
            return
        found = LENGTH.search(head)
        self.length = place + 4 + (int(found[1]) if found else 0)

    def take(self, head: bytes, body: bytes) -> None:
        status = int(head[9:12])
        self.run.checker.check(self.asked.kind, status, body, self.request_id, self.device_id)
        if self.asked.kind is Kind.INITIALIZE and (found := SESSION.search(head)):
            self.session = b"Mcp-Session-Id: %b\r\n" % found[1]
            self.sessions.append(self.session)
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished:
            self.run.checker.reject(f"connection lost: {exc!r}")
        self.ready.set()
        self.closed.set()


def joined(chunks: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        end = chunks.index(b"\r\n", at)
        size = int(chunks[at:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(chunks[end + 2 : end + 2 + size])
        at = end + 4 + size


async def probe(port: int, exchange: Exchange, checker: Checker) -> None:
    """One exchange on one connection, to see whether the contender can do it at all."""
    run = Run(exchange, checker, stopping=True)
    once = Exchange(exchange.once + exchange.repeated, (), exchange.goodbye)
    run.exchange = once
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(run), "127.0.0.1", port)
    await closed([connection], run)


async def drive(
    port: int,
    exchange: Exchange,
    checker: Checker,
    cpu_s: Callable[[], float],
    *,
    connections: int,
    warm_s: float,
    window_s: float,
) -> Window:
    """Load one contender: greet, warm up, measure, let what is under way end, hang up."""
    loop = asyncio.get_running_loop()
    run = Run(exchange, checker)
    gc.collect()
    gc.disable()
    opened = [(await loop.create_connection(lambda: Connection(run), "127.0.0.1", port))[1] for _ in range(connections)]
    try:
        await asyncio.wait_for(asyncio.gather(*(one.ready.wait() for one in opened)), PATIENCE_S)
        await asyncio.sleep(warm_s)
        cpu_before, load_before, began = cpu_s(), time.process_time(), time.perf_counter()
        run.measuring = True
        await asyncio.sleep(window_s)
        run.measuring = False
        seconds = time.perf_counter() - began
        used, load_used = cpu_s() - cpu_before, time.process_time() - load_before
    finally:
        run.stopping = True
        await closed(opened, run)
        gc.enable()
    return Window(seconds, len(run.latencies_s), used, load_used, run.latencies_s)


async def closed(opened: list[Connection], run: Run) -> None:
    try:
        await asyncio.wait_for(asyncio.gather(*(one.closed.wait() for one in opened)), PATIENCE_S)
    except TimeoutError:
        run.checker.reject(f"no answer within {PATIENCE_S:.0f} s")
        for one in opened:
            one.transport.abort()
