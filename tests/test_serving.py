"""A server that is told to end: what it still answers, and that nobody's request is lost."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from sse_starlette import EventSourceResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.serving import Server
from app.stack import free_port
from tests.world import until

EXIT_LOOK_S = 0.5  # how often sse-starlette looks whether it is to tear its answers
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Slow:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})


class Running:
    """A server in this process, told to end without a signal."""

    def __init__(self, app: ASGIApp, drain_s: float) -> None:
        self.announced = asyncio.Event()
        self.port = free_port(0)
        config = uvicorn.Config(app, port=self.port, lifespan="off", log_config=None, http="httptools")
        self.server = Server(config, self.announced.set, drain_s)
        self.url = f"http://127.0.0.1:{self.port}"

    async def closed(self) -> None:
        """Wait until it listens no more."""
        await until(lambda: not self.server.servers[0].sockets)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.server.handle_exit(number, None)


@asynccontextmanager
async def running(
    drain_s: float = 0.0, *, let: bool = True, app: ASGIApp | None = None
) -> AsyncGenerator[tuple[Running, Slow]]:
    slow = Slow()
    if let:
        slow.let.set()
    one = Running(app or slow, drain_s)
    config = one.server.config
    config.load()
    one.server.lifespan = config.lifespan_class(config)
    await one.server.startup()

    async def serve() -> None:
        await one.server.main_loop()
        await one.server.shutdown()

    serving = asyncio.create_task(serve())
    yield one, slow
    one.end()
    one.end()
    slow.let.set()
    async with asyncio.timeout(10):
        await serving


async def test_while_it_drains_it_answers_and_asks_to_connect_anew() -> None:
    async with running(drain_s=30) as (one, _), httpx.AsyncClient(base_url=one.url) as client:
        before = await client.get("/")
        one.end()
        await one.announced.wait()

        answer = await client.get("/")
        again = await client.get("/")

    assert "connection" not in before.headers
    assert [answer.text, again.text] == ["answered", "answered"]
    assert answer.headers["connection"] == "close"


async def test_a_request_under_way_is_finished() -> None:
    async with running(let=False) as (one, app), httpx.AsyncClient(base_url=one.url) as client:
        asking = asyncio.create_task(client.get("/"))
        await app.asked.wait()
        one.end()
        await one.announced.wait()
        app.let.set()

        assert (await asking).text == "answered"


async def test_an_answer_that_tells_of_progress_is_not_torn() -> None:
    asked, let = asyncio.Event(), asyncio.Event()

    async def parts() -> AsyncGenerator[str]:
        yield "begun"
        asked.set()
        await let.wait()
        yield "done"

    async def progress(scope: Scope, receive: Receive, send: Send) -> None:
        await EventSourceResponse(parts())(scope, receive, send)

    async with (
        running(drain_s=30, app=progress) as (one, _),
        httpx.AsyncClient(base_url=one.url, timeout=30) as client,
    ):
        asking = asyncio.create_task(client.get("/"))
        await asked.wait()
        one.end()
        await one.announced.wait()
        begun_in_the_drain = asyncio.create_task(client.get("/"))
        await asyncio.wait({asking}, timeout=EXIT_LOOK_S * 2)
        let.set()

        for answer in await asyncio.gather(asking, begun_in_the_drain):
            assert answer.text.split() == ["data:", "begun", "data:", "done"]


async def test_a_connection_made_before_the_door_closed_gets_its_answer() -> None:
    async with running() as (one, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        one.end()
        await one.closed()
        writer.write(GET)

        assert b"answered" in await reader.read()
        writer.close()


async def test_connections_that_nobody_has_taken_yet_are_taken_when_the_door_closes() -> None:
    async with running() as (one, _):
        connections = [await asyncio.open_connection("127.0.0.1", one.port) for _ in range(20)]
        one.end()
        for _, writer in connections:
            writer.write(GET)

        answers = [await reader.read() for reader, _ in connections]

        assert all(b"answered" in answer for answer in answers)
        for _, writer in connections:
            writer.close()


async def test_after_that_nobody_listens() -> None:
    async with running() as (one, _):
        one.end()

        await one.closed()
        await asyncio.sleep(0.05)  # the copies of the door are closed in the same turn or the next

        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", one.port)


async def test_the_keyboard_ends_it_without_a_drain() -> None:
    async with running(drain_s=30) as (one, _):
        one.end(signal.SIGINT)
        await one.closed()

        assert not one.announced.is_set()
