"""One typed conversation with the cloud: quoting, sending, retrying, failing and parsing, once for all operations."""

import asyncio
import copy
import random
import re
import time
import unicodedata
import zlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from math import ceil
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, cast, get_args
from urllib.parse import quote, unquote, urlencode, urlsplit

import aiohttp
import httpx
import orjson
from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from starlette.responses import Response

from app.errors import (
    InvalidInput,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamRateLimit,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
    XyteRefusedKey,
)
from app.telemetry import UPSTREAM_REQUESTS, UPSTREAM_SECONDS
from app.xyte.breaker import Breaker
from app.xyte.memory import LISTS_REMEMBERED, Memory
from app.xyte.schemas.shapes import Page

Scope = Literal["organization", "partner", "device"]
Shape = TypeVar("Shape")
Query = BaseModel | Mapping[str, Any] | None

PREFIXES: dict[Scope, str] = {
    "organization": "/core/v1/organization",
    "partner": "/core/v1/partner",
    "device": "/v1/devices",
}
GZIP = 16 + zlib.MAX_WBITS
RETRIES = 2
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
FAILING_STATUSES = frozenset({502, 503, 504})
MAYBE_DONE = " The request may have been carried out: look before sending it again."
PLAIN = re.compile(r"[A-Za-z0-9_-]+")
MIME_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
NOTHING_SAID = {"success": True}
LONGEST_WAIT_S = 300.0
REFUSED_FOR_S = 60.0
REFUSED_REMEMBERED = 10_000
WHOLE_BELIEVED_FOR_S = 30.0
WHOLE_PAGES = 200


class Answer(Response, Generic[Shape]):
    """What Xyte said, handed on byte for byte; `value` is the same parsed, `Shape` is what it is documented to be."""

    media_type = "application/json"

    def __init__(self, content: bytes, value: Any, status_code: int = 200) -> None:
        super().__init__(content, status_code)
        self.value = value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(get_args(source)[0])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the cloud, read to its end."""

    status: int
    headers: httpx.Headers
    content: bytes


class Planned(Exception):
    """What a dry run would have sent."""

    def __init__(self, method: str, path: str, body: Any) -> None:
        super().__init__(method, path)
        self.method = method
        self.path = path
        self.body = body


class MimeType(str):
    """The one kind of value in a path that has a slash and is a single segment all the same."""

    __slots__ = ()


class Budget(Protocol):
    """A caller's allowance towards Xyte, which shrinks when Xyte asks to slow down."""

    async def spend(self, fingerprint: str) -> None: ...

    async def halve(self, fingerprint: str) -> None: ...


@dataclass
class Cloud:
    """What all conversations of a process share: the connections, the breakers, and which keys were refused.

    Devices register at `entry_url` and then talk to `device_hub_url`; the other scopes live at `base_url`.
    """

    transport: httpx.AsyncBaseTransport
    base_url: str
    budget: Budget
    entry_url: str = ""
    device_hub_url: str = ""
    timeout_s: float = 15.0
    answer_limit_bytes: int = 5 * 1024 * 1024
    breaker: Breaker = field(default_factory=Breaker)
    breakers: dict[str, Breaker] = field(default_factory=dict[str, Breaker])
    refused: dict[tuple[str, Scope], float] = field(default_factory=dict[tuple[str, Scope], float])
    memory: Memory = field(default_factory=Memory)
    lists: Memory = field(default_factory=partial(Memory, LISTS_REMEMBERED))
    under_way: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    async def unbroken(self, work: Coroutine[Any, Any, Shape]) -> Shape:
        """Do it to its end, even if the one who waits for it is cancelled."""
        doing = asyncio.create_task(work)
        self.under_way.add(doing)
        doing.add_done_callback(self._ended)
        return await asyncio.shield(doing)

    def _ended(self, doing: asyncio.Task[Any]) -> None:
        self.under_way.discard(doing)
        if not doing.cancelled():
            doing.exception()  # so that asyncio does not miss whoever would have looked at it

    async def close(self) -> None:
        """Let what is under way end, then hang up."""
        if self.under_way:
            await asyncio.wait(self.under_way)
        await self.transport.aclose()

    def breaker_of(self, host: str) -> Breaker:
        """One for each host: a failing entry host says nothing about the hub."""
        return self.breaker if host == self.base_url else self.breakers.setdefault(host, Breaker())

    def check_refusal(self, fingerprint: str, scope: Scope) -> None:
        """Raise if Xyte refused this key for this scope within the last minute."""
        refused_at = self.refused.get((fingerprint, scope))
        if refused_at is None:
            return
        if time.monotonic() - refused_at < REFUSED_FOR_S:
            raise XyteRefusedKey
        del self.refused[fingerprint, scope]

    def remember_refusal(self, fingerprint: str, scope: Scope) -> None:
        if len(self.refused) >= REFUSED_REMEMBERED:
            self.refused.clear()
        self.refused[fingerprint, scope] = time.monotonic()


class XyteClient:
    """The cloud as one caller sees it in one scope. A path is given in segments, never as text put together."""

    def __init__(
        self, cloud: Cloud, key: str, fingerprint: str, scope: Scope = "organization", *, dry_run: bool = False
    ) -> None:
        self._cloud = cloud
        self._headers = {"authorization": key, "accept": "application/json", "accept-encoding": "gzip"}
        self._fingerprint = fingerprint
        self._dry_run = dry_run
        self._scope: Scope = scope
        self._host = cloud.device_hub_url if scope == "device" else cloud.base_url

    def at_entry(self) -> Self:
        """The same conversation at the host where devices register."""
        other = copy.copy(self)
        other._host = self._cloud.entry_url
        return other

    def without_key(self) -> Self:
        """The same conversation where the body itself says who asks: no Authorization is sent."""
        other = copy.copy(self)
        other._headers = {name: value for name, value in self._headers.items() if name != "authorization"}
        return other

    async def get(self, _shape: type[Shape], *path: str | int, query: Query = None) -> Answer[Shape]:
        """Read one thing."""
        return await self._ask("GET", path, query=query)

    async def one(self, _shape: type[Shape], *path: str | int) -> Answer[Shape]:
        """Read one thing that comes bare, or as the only row of a list."""
        answer: Answer[Any] = await self._ask("GET", path)
        found = rows(answer.value)
        first: Any = found[0] if found else {}
        return Answer(orjson.dumps(first), first)

    async def known(self, _shape: type[Shape], *path: str | int) -> Answer[Shape]:
        """Read one thing that hardly changes: this key's last answer is believed for some minutes."""
        place = (self._fingerprint, self._scope, *path)
        remembered: Answer[Shape] | None = self._cloud.memory.recall(place)
        if remembered is not None:
            return remembered
        answer: Answer[Shape] = await self._ask("GET", path)
        self._cloud.memory.keep(place, answer)
        return answer

    async def page(self, _shape: type[Shape], *path: str | int, query: Query = None) -> Answer[Page[Shape]]:
        """Read one page of a list; whatever envelope Xyte uses, the answer is a Page."""
        answer: Answer[Any] = await self._ask("GET", path, query=query)
        page = paged(answer.value, parameters(query))
        return Answer(orjson.dumps(page), page)

    async def whole(
        self, *path: str | int, query: Mapping[str, Any] | None = None, believed_for_s: float = WHOLE_BELIEVED_FOR_S
    ) -> list[dict[str, Any]]:
        """All rows of a list, as this key saw them no longer ago than that; one reading serves all who ask at once."""
        place = (self._fingerprint, self._scope, "whole", *path, urlencode(parameters(query)))

        async def read() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            for number in range(1, WHOLE_PAGES + 1):
                asked = {**(query or {}), "page": number, "per_page": 100}
                page: dict[str, Any] = (await self.page(dict[str, Any], *path, query=asked)).value
                found += (row for row in page["items"] if isinstance(row, dict))
                if not page["has_more"]:
                    return found
            raise UpstreamTooLarge(f"Xyte lists more than {WHOLE_PAGES * 100} {path[0]}: too many to look through.")

        return await self._cloud.lists.fresh(place, believed_for_s, read)

    async def post(self, _shape: type[Shape], *path: str | int, body: Any = None) -> Answer[Shape]:
        return await self._ask("POST", path, body=body)

    async def put(self, _shape: type[Shape], *path: str | int, body: Any = None) -> Answer[Shape]:
        return await self._ask("PUT", path, body=body)

    async def patch(self, _shape: type[Shape], *path: str | int, body: Any = None) -> Answer[Shape]:
        return await self._ask("PATCH", path, body=body)

    async def delete(self, _shape: type[Shape], *path: str | int) -> Answer[Shape]:
        return await self._ask("DELETE", path)

    async def _ask(self, method: str, path: tuple[str | int, ...], *, query: Query = None, body: Any = None) -> Any:
        url = "/".join((self._host + PREFIXES[self._scope], *(segment(part) for part in path)))
        if asked := parameters(query):
            url = f"{url}?{urlencode(asked, doseq=True)}"
        if isinstance(body, BaseModel):
            body = body.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self._dry_run and method != "GET":
            raise Planned(method, urlsplit(url).path, f"{len(body)} bytes" if isinstance(body, bytes) else body)
        self._cloud.check_refusal(self._fingerprint, self._scope)
        if method == "GET":
            return await self._exchange(method, url, None, path)
        # whoever asked for a change may go away, but what is on its way is not torn off: half sent is the worst
        return await self._cloud.unbroken(self._exchange(method, url, body, path))

    async def _exchange(self, method: str, url: str, body: Any, path: tuple[str | int, ...]) -> Answer[Any]:
        """A request and its answer within the deadline, measured."""
        started = time.perf_counter()
        outcome = "error"
        try:
            async with asyncio.timeout(self._cloud.timeout_s):
                reply = await (self._read(url) if method == "GET" else self._send(method, url, body))
            outcome = str(reply.status)
            return await self._understand(reply, method, path)
        except TimeoutError:
            outcome = "timeout"
            self._cloud.breaker_of(self._host).record(failed=True)
            raise timed_out(method, self._cloud.timeout_s) from None
        finally:
            UPSTREAM_REQUESTS.labels(self._scope, method, outcome).inc()
            UPSTREAM_SECONDS.labels(self._scope).observe(time.perf_counter() - started)

    async def _read(self, url: str) -> Reply:
        """GET, tried again where that may help and time is left."""
        deadline = time.monotonic() + self._cloud.timeout_s
        for attempt in range(1, RETRIES + 1):
            pause_s = random.uniform(0.05, 0.25) * attempt  # noqa: S311  jitter, not a secret
            try:
                reply = await self._send("GET", url, None)
            except UpstreamUnreachable:
                pass
            else:
                pause_s = retry_after_s(reply, pause_s)
                left_s = deadline - time.monotonic()
                if reply.status not in RETRIED_STATUSES or pause_s > left_s / 2:
                    return reply
            await asyncio.sleep(pause_s)
        return await self._send("GET", url, None)

    async def _send(self, method: str, url: str, body: Any) -> Reply:
        """One request, one answer read to its end; whatever breaks on the way is a problem."""
        cloud = self._cloud
        breaker = cloud.breaker_of(self._host)
        breaker.check()
        await cloud.budget.spend(self._fingerprint)
        content, headers = self._written(body)
        try:
            response = await cloud.transport.handle_async_request(
                httpx.Request(method, address(url), headers=headers, content=content)
            )
            try:
                reply = Reply(response.status_code, response.headers, await self._body_of(response))
            finally:
                await response.aclose()
        except (httpx.TransportError, aiohttp.ClientError) as failure:
            breaker.record(failed=True)
            raise broken(method, failure, cloud.timeout_s) from None
        except zlib.error:
            raise UpstreamMalformed("Xyte's answer cannot be decompressed.", retry_safe=method == "GET") from None
        breaker.record(failed=reply.status in FAILING_STATUSES)
        return reply

    def _written(self, body: Any) -> tuple[bytes | None, dict[str, str]]:
        """A body and the headers that go with it: bytes as they are, all else as JSON."""
        if body is None:
            return None, self._headers
        if isinstance(body, bytes):
            return body, self._headers | {"content-type": "application/octet-stream"}
        try:
            content = orjson.dumps(body)
        except orjson.JSONEncodeError:
            raise InvalidInput("The body holds a number or a text that JSON cannot carry.") from None
        return content, self._headers | {"content-type": "application/json"}

    async def _body_of(self, response: httpx.Response) -> bytes:
        limit = self._cloud.answer_limit_bytes
        gunzip = zlib.decompressobj(GZIP) if response.headers.get("content-encoding") == "gzip" else None
        chunks: list[bytes] = []
        size = 0
        async for raw in cast("httpx.AsyncByteStream", response.stream):
            # never more than one byte over the limit, so that a bomb does not go off before it is seen
            chunk = gunzip.decompress(raw, limit + 1 - size) if gunzip else raw
            size += len(chunk)
            if size > limit:
                raise UpstreamTooLarge(
                    f"Xyte's answer is longer than {limit} bytes. Ask for fewer rows or a shorter time.",
                    upstream_status=response.status_code,
                )
            chunks.append(chunk)
        return b"".join(chunks)

    async def _understand(self, reply: Reply, method: str, path: tuple[str | int, ...]) -> Answer[Any]:
        if 200 <= reply.status < 300:
            return accepted(reply, retry_safe=method == "GET")
        if reply.status == 401:
            if self._scope == "partner" and path[0] == "tickets" and len(path) > 1:
                raise UpstreamRefused(404, message_of(reply))  # this is how a missing ticket is answered there
            if self._scope != "device":  # a device's key is refused for any other device, and stays good for its own
                self._cloud.remember_refusal(self._fingerprint, self._scope)
            raise XyteRefusedKey
        if reply.status == 429:
            await self._cloud.budget.halve(self._fingerprint)
            raise UpstreamRateLimit(max(1, ceil(retry_after_s(reply, 1))))
        raise refused(reply, method)


address = lru_cache(1024)(httpx.URL)
"""A URL, parsed: the same ones are asked again and again, and parsing takes longer than all else about a request."""


def segment(value: str | int) -> str:
    """One segment of a path. Dots would be resolved and slashes would split it, so both are refused, also encoded."""
    text = str(value)
    if isinstance(value, MimeType) and MIME_TYPE.fullmatch(text):
        return quote(text, safe="")
    if PLAIN.fullmatch(text):
        return text
    decoded = text
    while (further := unquote(decoded)) != decoded:
        decoded = further
    if not decoded.strip(".") or any(mark in "/\\" or unicodedata.category(mark) in ("Cc", "Cs") for mark in decoded):
        raise InvalidInput(
            "An id in the path is not an id.",
            [{"path": "path", "message": "An id is not empty and has no dots alone, slashes or control characters."}],
        )
    return quote(text, safe="")


def parameters(query: Query) -> dict[str, Any]:
    """A query as Xyte takes it: nothing that was not asked for, times already converted by their model."""
    if query is None:
        return {}
    asked = query.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(query, BaseModel) else query
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in asked.items()}


def paged(value: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Any of Xyte's five list envelopes as one: a bare array, items, data, or the plural name of the resource."""
    page = int(asked.get("page", 1))
    per_page = asked.get("per_page")
    items = rows(value)
    envelope = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    next_page = envelope.get("next_page")
    page_info: Any = envelope.get("page_info")
    info = cast("dict[str, Any]", page_info) if isinstance(page_info, dict) else {}
    told = [envelope[name] for name in ("next_page", "has_next_page") if name in envelope]
    told += [info["has_next"]] if "has_next" in info else []
    more = any(bool(said) for said in told) if told else (per_page is not None and 0 < per_page <= len(items))
    if isinstance(value, list):
        more = False
    result: dict[str, Any] = {"items": items, "page": page}
    if per_page is not None:
        result["per_page"] = per_page
    if more:
        result["next_page"] = next_page if isinstance(next_page, int) and next_page is not True else page + 1
    result["has_more"] = more
    total = info.get("total_count", envelope.get("total_count"))
    return result if total is None else result | {"total": total}


def rows(value: Any) -> list[Any]:
    """The rows of a list answer."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    if isinstance(value, dict):
        envelope = cast("dict[str, Any]", value)
        for name in ("items", "data", "devices", "spaces", "incidents", "tickets"):
            if isinstance(envelope.get(name), list):
                return envelope[name]
    return [] if value in (None, NOTHING_SAID) else [value]


def accepted(reply: Reply, *, retry_safe: bool) -> Answer[Any]:
    """A 2xx: its bytes as they are, or a plain success where there are none."""
    if not reply.content.strip():
        return Answer(orjson.dumps(NOTHING_SAID), NOTHING_SAID)
    try:
        return Answer(reply.content, orjson.loads(reply.content))
    except orjson.JSONDecodeError:
        detail = "Xyte answered with something that is not JSON." + ("" if retry_safe else MAYBE_DONE)
        raise UpstreamMalformed(detail, upstream_status=reply.status, retry_safe=retry_safe) from None


def refused(reply: Reply, method: str) -> UpstreamProblem:
    """What a status that is neither success, 401 nor 429 means."""
    status = reply.status
    if 400 <= status < 500:
        return UpstreamRefused(status, message_of(reply))
    if status < 400:
        return UpstreamFailed("Xyte answered with a redirect, which is not followed.", upstream_status=status)
    safe = method == "GET"
    detail = f"Xyte failed with status {status}." + ("" if safe else MAYBE_DONE)
    return UpstreamFailed(detail, upstream_status=status, retry_safe=safe)


def broken(method: str, failure: Exception, timeout_s: float) -> UpstreamProblem:
    """A connection that failed; only one that was never made proves that nothing was sent.

    The aiohttp transport calls any lost connection a ConnectTimeout, so its cause is what counts.
    """
    safe = method == "GET"
    if isinstance(failure.__cause__, aiohttp.ClientConnectorError) or type(failure) is httpx.ConnectError:
        return UpstreamUnreachable("No connection to Xyte; nothing was sent.", retry_safe=True)
    if isinstance(failure, httpx.TimeoutException) and not isinstance(failure, httpx.ConnectTimeout):
        return timed_out(method, timeout_s)
    detail = "The connection to Xyte broke before its answer." + ("" if safe else MAYBE_DONE)
    return UpstreamUnreachable(detail, retry_safe=safe)


def timed_out(method: str, timeout_s: float) -> UpstreamTimeout:
    """No answer in time."""
    safe = method == "GET"
    detail = f"Xyte did not answer within {timeout_s:g} s." + ("" if safe else MAYBE_DONE)
    return UpstreamTimeout(detail, retry_safe=safe)


def message_of(reply: Reply) -> str | None:
    """Xyte's own words for a refusal, shortened; its errors have no code."""
    try:
        body: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    said = cast("dict[str, Any]", body)
    message = said.get("error") or said.get("message") or said.get("errors")
    if message is None and said:  # a refusal of several rows at once tells of each
        message = orjson.dumps(said).decode()
    return None if message is None else str(message)[:500]


def retry_after_s(reply: Reply, otherwise: float) -> float:
    """Seconds that Xyte asks to wait, as a number; the form with a date is not known to occur."""
    said = reply.headers.get("retry-after", "")
    return min(float(said), LONGEST_WAIT_S) if re.fullmatch(r"\d{1,15}(\.\d+)?", said, re.ASCII) else otherwise
