"""What goes back over the wire: a reply as it should be, or what a fault makes of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
from starlette.types import Receive, Scope, Send

from app.simulator.faults import Fault

TRANSPORT = "xyte.simulator.transport"
JSON = b"application/json; charset=utf-8"
HTML = b"text/html; charset=utf-8"
HUGE_BYTES = 32 * 1024 * 1024
PIECE_BYTES = 64 * 1024
FILLER = b"x" * PIECE_BYTES


class ConnectionCut(Exception):
    """The simulated network failed; raised only in process, where there is no connection to cut."""


@dataclass(slots=True)
class Reply:
    """A status and a body."""

    status: int
    body: bytes
    content_type: bytes = JSON
    retry_after: int | None = None

    @classmethod
    def of(cls, status: int, value: object) -> "Reply":
        return cls(status, b"" if status == 204 else orjson.dumps(value))


async def answer(scope: Scope, receive: Receive, send: Send, reply: Reply, fault: Fault | None = None) -> None:
    """Send the reply, or what the fault leaves of it."""
    if fault is None or fault.kind == "latency":
        await _whole(send, reply)
    elif fault.kind in ("reset", "lost_answer"):
        await _cut(scope, receive)
    elif fault.kind == "drip":
        await _pieces(send, reply, len(reply.body), _drip(reply.body, fault))
    elif fault.kind == "huge":
        size = fault.bytes or HUGE_BYTES
        await _pieces(send, reply, size + 2, _huge(size))
    else:
        await _whole(send, _spoilt(reply, fault))


def _spoilt(reply: Reply, fault: Fault) -> Reply:
    if fault.kind == "malformed":
        return Reply(reply.status or 200, (fault.body or '{"items": [{"id":').encode())
    if fault.kind == "empty":
        return Reply(reply.status or 200, b"")
    if fault.kind == "html_error":
        return Reply(fault.status, b"<html><body><h1>Something went wrong</h1></body></html>", HTML, fault.retry_after)
    body = fault.body.encode() if fault.body is not None else b'{"error":"Simulated failure"}'
    return Reply(fault.status, body, retry_after=fault.retry_after)


async def _whole(send: Send, reply: Reply) -> None:
    await _start(send, reply, len(reply.body))
    await send({"type": "http.response.body", "body": reply.body})


async def _pieces(send: Send, reply: Reply, size: int, pieces: AsyncIterator[bytes]) -> None:
    await _start(send, reply, size)
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, reply: Reply, size: int) -> None:
    headers = [(b"content-type", reply.content_type)] if size else []
    if reply.status != 204:
        headers.append((b"content-length", b"%d" % size))
    if reply.retry_after is not None:
        headers.append((b"retry-after", b"%d" % reply.retry_after))
    await send({"type": "http.response.start", "status": reply.status or 200, "headers": headers})


async def _drip(body: bytes, fault: Fault) -> AsyncIterator[bytes]:
    step = fault.bytes or 1
    for place in range(0, len(body), step):
        await asyncio.sleep(fault.seconds)
        yield body[place : place + step]


async def _huge(size: int) -> AsyncIterator[bytes]:
    """One very long JSON string."""
    yield b'"'
    for place in range(0, size, PIECE_BYTES):
        yield FILLER[: min(PIECE_BYTES, size - place)]
    yield b'"'


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection without a byte of answer."""
    extensions: dict[str, dict[str, asyncio.Transport]] = scope.get("extensions") or {}
    if TRANSPORT not in extensions:
        raise ConnectionCut
    extensions[TRANSPORT]["transport"].abort()
    while (await receive())["type"] != "http.disconnect":
        pass
