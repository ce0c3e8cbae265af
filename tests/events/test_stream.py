"""Server-sent events as they go over the wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import respx
from fastapi import FastAPI

from app.doorbell import end
from app.events import repository, service
from app.events.feed import Feeds
from app.resources import Resources
from tests.events.conftest import Log
from tests.raw import KEY, scope_of
from tests.world import until


class Listener:
    """A client that reads what it likes, and leaves when it likes."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.arrived.set()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    async def until(self, words: str) -> None:
        async with asyncio.timeout(10):
            while words not in self.text:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def listening(app: FastAPI, query: str = "", **headers: str) -> AsyncGenerator[Listener]:
    listener = Listener()
    given = {"host": "localhost", "x-xyte-api-key": KEY} | {name.replace("_", "-"): headers[name] for name in headers}
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = scope_of("GET", f"/v1/events/stream{query}", raw)
    running = asyncio.create_task(app(scope, listener.receive, listener.send))
    try:
        await listener.until("\n\n")
        yield listener
        listener.left.set()
        async with asyncio.timeout(10):
            await running
    finally:
        await end(running)


async def test_each_event_has_id_type_and_data(app: FastAPI, log: Log) -> None:
    await log.add("before")
    async with listening(app) as listener:
        await log.add("door.opened", device_id="d1")
        await listener.until("door.opened")
        await listener.until("}\n\n")

    event = (await log.page()).items[-1]
    assert listener.status == 200
    assert listener.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert listener.headers[b"x-accel-buffering"] == b"no"
    assert listener.headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in listener.headers
    expected = "retry: 2000\nid: 1\n\nid: 2\nevent: door.opened\ndata: "
    assert listener.text == expected + event.json_bytes.decode() + "\n\n"


async def test_the_last_id_resumes_and_comes_before_the_query(app: FastAPI, log: Log) -> None:
    await log.add("a", "b", "c")
    async with listening(app, "?after=0", last_event_id="2") as listener:
        await listener.until("event: c")
    async with listening(app, "?after=1") as other:
        await other.until("event: c")

    assert "event: b" not in listener.text
    assert "event: b" in other.text
    assert "event: a" not in other.text


@pytest.mark.parametrize("told", ["x", "-1", "1" * 30, "٣"])
async def test_an_id_that_is_none_is_a_422(app: FastAPI, log: Log, told: str) -> None:
    answer = await log.client.get("/v1/events/stream", headers={b"Last-Event-ID": told.encode()})

    assert answer.status_code == 422


async def test_a_gap_is_an_event_of_its_own(app: FastAPI, log: Log) -> None:
    await log.add("a", "b", "c")
    async with repository.transaction(log.resources) as db:
        await repository.trim(db, 1, repository.timedelta(days=1), 10)
    async with listening(app, "?after=0") as listener:
        await listener.until("event: c")

    gap = 'id: 2\nevent: log.gap\ndata: {"first":1,"last":2,"reason":"trimmed"}\n\nid: 3\nevent: c\n'
    assert gap in listener.text


async def test_silence_is_kept_alive_and_tells_the_position(
    app: FastAPI, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IDLE_S", 0.05)
    async with listening(app, "?type=b") as listener:
        await log.add("a")
        await listener.until(": keep-alive\nid: 1\n\n")


async def test_a_key_that_is_revoked_ends_it(
    app: FastAPI, log: Log, resources: Resources, cloud: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "IDLE_S", 0.05)
    async with listening(app) as listener:
        cloud.routes.clear()
        cloud.route().respond(401, json={"error": "Not authorized"})
        resources.resolved_at.clear()
        await listener.until("event: log.problem")

        await until(lambda: not listener.messages[-1].get("more_body", True))

    assert "xyte_refused_key" in listener.text


async def test_too_many_readers_are_a_429_before_the_first_byte(app: FastAPI, log: Log) -> None:
    log.resources.settings = log.resources.settings.model_copy(update={"events_readers_per_tenant": 1})
    async with listening(app):
        answer = await log.client.get("/v1/events/stream")

    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_readers")


async def test_who_leaves_leaves_nothing_behind(app: FastAPI, log: Log, resources: Resources) -> None:
    for _ in range(20):
        async with listening(app):
            pass

    feeds = resources.the(Feeds)
    assert feeds._feeds == {}  # pyright: ignore[reportPrivateUsage]
    await until(lambda: not feeds._ending)  # pyright: ignore[reportPrivateUsage]


async def test_a_process_that_is_told_to_stop_lets_its_readers_go(app: FastAPI, log: Log, resources: Resources) -> None:
    waiting = asyncio.create_task(log.next(wait_seconds=40))
    async with listening(app) as listener:
        await until(lambda: resources.the(Feeds)._feeds[log.tenant].followers == 2)  # pyright: ignore[reportPrivateUsage]
        resources.the(Feeds).leave()

        await until(lambda: not listener.messages[-1].get("more_body", True))

    assert await asyncio.wait_for(waiting, 10) == {}
