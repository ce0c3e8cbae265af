"""Events as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Self

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.doorbell import end
from app.errors import Problem
from app.events.schemas import Delivery

RETRY_MS = 2_000


class EventStream(Response):
    """Sends until the client leaves. What goes wrong before the first byte is an ordinary problem."""

    media_type = "text/event-stream"

    def __init__(self, first: Delivery | None = None, rest: AsyncGenerator[Delivery] | None = None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._rest = rest

    @classmethod
    async def of(cls, deliveries: AsyncGenerator[Delivery]) -> Self:
        """A stream that has begun."""
        return cls(await anext(deliveries), deliveries)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(sending, leaving)
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send) -> None:
        assert self._first is not None
        assert self._rest is not None
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        start = f"retry: {RETRY_MS}\nid: {self._first.position}\n\n".encode()
        await send({"type": "http.response.body", "body": start, "more_body": True})
        async with aclosing(self._rest):
            try:
                async for delivery in self._rest:
                    body = b"".join(frames(delivery))
                    await send({"type": "http.response.body", "body": body, "more_body": True})
            except Problem as problem:
                told = b"event: log.problem\ndata: %b\n\n" % orjson.dumps(problem.body())
                await send({"type": "http.response.body", "body": told, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def left(receive: Receive) -> None:
    """Until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def frames(delivery: Delivery) -> Iterator[bytes]:
    """As they go over the wire; an id without an event only tells where a reader stands."""
    if delivery.gap:
        told = orjson.dumps(delivery.gap.model_dump())
        before = delivery.events[0].sequence - 1 if delivery.events else delivery.position
        yield b"id: %d\nevent: log.gap\ndata: %b\n\n" % (before, told)
    for event in delivery.events:
        yield b"id: %d\nevent: %b\ndata: %b\n\n" % (event.sequence, event.type.encode(), event.json_bytes)
    if not delivery.events and not delivery.gap:
        yield b": keep-alive\nid: %d\n\n" % delivery.position
