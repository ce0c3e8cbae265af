"""The first thing every request meets: bounds, a request id, one log line, and an answer whatever happens inside."""

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTimeout, BodyTooLarge, ForeignOrigin, InvalidInput, Problem, Unforeseen, UnknownHost
from app.settings import Settings
from app.telemetry import REQUESTS_IN_PROGRESS, count_request

logger = logging.getLogger("app.access")

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
LONGEST_NUMBER = 18
CLIENT_GONE = 499
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
OUTGOING = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
}

Render = Callable[[Scope, Problem], Response]


class Guard:
    """Refuses what is too large, too slow, too deep, or meant for another host, before anything is parsed."""

    def __init__(self, app: ASGIApp, settings: Settings, render: Render) -> None:
        self.app = app
        self.settings = settings
        self.render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state: dict[str, Any] = scope.setdefault("state", {})
        asked_id = headers.get("x-request-id", "")
        state["request_id"] = asked_id if UUID.fullmatch(asked_id) else str(uuid4())
        answer = Outgoing(send, state)
        started = time.perf_counter()
        try:
            with REQUESTS_IN_PROGRESS.track_inprogress():
                await self._pass(scope, receive, answer, headers)
        except Exception as failure:
            if not isinstance(failure, Problem):
                logger.exception("unforeseen", extra={"request_id": state["request_id"]})
            if not answer.status:
                problem = failure if isinstance(failure, Problem) else Unforeseen()
                await self.render(scope, problem)(scope, receive, answer)
        finally:
            if scope["path"] not in QUIET:
                note_request(scope, answer, started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self._check_names(scope["path"], headers)
        if "content-length" in headers or "transfer-encoding" in headers:
            body = await self._body(receive, headers)
            scope["state"]["body"] = body
            # a flaw is said by whoever admits the caller, for the key comes first
            if "json" in headers.get("content-type", "").lower() and (flaw := flaw_of(body)):
                scope["state"]["flaw"] = InvalidInput(flaw)
            receive = replayed(body, receive)
        await self.app(scope, receive, send)

    def _check_names(self, path: str, headers: Headers) -> None:
        """Host and Origin: a page elsewhere must not reach a gateway in its visitor's network.

        A probe or a scraper calls by address; it sends no Origin and is told nothing secret.
        """
        host = headers.get("host", "")
        allowed = self.settings.allowed_hosts
        if path not in QUIET and "*" not in allowed and name_of(host).lower() not in allowed:
            raise UnknownHost
        origin = headers.get("origin")
        if origin is None or origin in self.settings.cors_origins:
            return
        if not host or origin.partition("://")[2].lower() != host.lower():
            raise ForeignOrigin

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        limit = self.settings.body_limit_bytes
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > LONGEST_NUMBER or int(declared) > limit:
            raise BodyTooLarge(limit)
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                body = await whole(receive, limit)
        except TimeoutError:
            raise BodyTimeout(self.settings.body_timeout_s) from None
        if is_deeper(body, self.settings.json_depth):
            raise InvalidInput(f"The body's JSON is nested more than {self.settings.json_depth} levels deep.")
        return body


class Outgoing:
    """Sends an answer with the headers that all answers have."""

    def __init__(self, send: Send, state: dict[str, Any]) -> None:
        self._send = send
        self._state = state
        self.status = 0
        self.began = 0.0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.began = time.perf_counter()
            headers = dict(OUTGOING)
            headers[b"x-request-id"] = self._state["request_id"].encode()
            if decision := self._state.get("decision"):
                rate = decision.rate
                headers[b"ratelimit-policy"] = f'"default";q={rate.units};w={rate.seconds:g}'.encode()
                headers[b"ratelimit"] = f'"default";r={decision.left};t={decision.reset_s}'.encode()
            given: list[tuple[bytes, bytes]] = message.get("headers", [])
            for name, _ in given:
                headers.pop(name, None)
            message["headers"] = [*given, *headers.items()]
        await self._send(message)


def name_of(host: str) -> str:
    """A Host header without its port."""
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


async def whole(receive: Receive, limit: int) -> bytes:
    """A request's body, or a problem as soon as it is longer than the limit."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that first gives the body already read."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def is_deeper(body: bytes, limit: int) -> bool:
    """Whether JSON is nested deeper than the limit, without parsing it."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for token in TOKENS.finditer(body):
        mark = token[0]
        if mark in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif mark in b"]}":
            depth -= 1
    return False


class Ambiguous(Exception):
    """JSON that two readers understand differently."""


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(members)
    if len(fields) < len(members):
        raise Ambiguous("The body's JSON has an object with the same name twice.")
    return fields


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise Ambiguous(f"The body's JSON has an integer of more than {LONGEST_NUMBER} digits.")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Ambiguous("The body's JSON has a number that is too large.")
    return number


def _constant(name: str) -> Any:
    raise Ambiguous(f"The body has {name}, which JSON does not know.")


STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def flaw_of(body: bytes) -> str | None:
    """Why JSON is not fit to be handed on, though lenient readers take it; what no reader takes is left to them."""
    try:
        text = body.decode("utf-8-sig")
        value = STRICT.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except Ambiguous as flaw:
        return str(flaw)
    except UnicodeError:
        return "The body's text is not UTF-8."
    except json.JSONDecodeError:
        return "The body's text is not UTF-8." if b"\0" in body else None
    return "The body's text holds a NUL character." if NUL.search(text) else None


def route_of(scope: Scope) -> str | None:
    """The path of the route that was taken, with the prefix that FastAPI keeps beside the route."""
    if route := scope["state"].get("route"):
        return route
    context = scope.get("fastapi", {}).get("effective_route_context")
    return getattr(context or scope.get("route"), "path", None)


def note_request(scope: Scope, answer: Outgoing, started: float) -> None:
    """Count it and log one line: by its route, for a path may hold what the caller should not have put there."""
    ended = time.perf_counter()
    route, status = route_of(scope), answer.status or CLIENT_GONE
    count_request(Request(scope), route or "none", status, (answer.began or ended) - started)
    state = scope["state"]
    caller = state.get("caller")
    line = {
        "request_id": state["request_id"],
        "method": scope["method"],
        "route": route,
        "operation": state.get("operation") or getattr(scope.get("route"), "name", None),
        "status": status,
        "ms": round((ended - started) * 1000, 1),
        "key_id": caller.key_id if caller else None,
        "outcome": state.get("outcome") or (HTTPStatus(status).phrase if answer.status else "Client Closed Request"),
    }
    if "trace_id" in state:
        line["trace_id"] = state["trace_id"]
    logger.info("request", extra=line)
