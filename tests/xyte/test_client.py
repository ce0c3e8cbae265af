"""The conversation with the cloud, over a real connection where it counts."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
import respx
from fastapi import FastAPI
from pydantic import BaseModel

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
from app.resources import Resources, open_transport
from app.settings import Settings
from app.xyte.client import Cloud, MimeType, Planned, Scope, XyteClient, segment
from app.xyte.schemas.shapes import Received
from tests.raw import KEY, ask
from tests.world import Simulator, call

TRAVERSALS = [
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "../..",
    "..%2F..",
    "%2e%2e%2f",
    "..\\..",
    "..%5c",
    "%252e%252e",
    "..%252f",
    "a/../b",
    "a%2Fb",
    "/",
    "\\",
    "..%00",
    "a\x00",
    "a\n",
    "a\x7f",
    "a\x85",
    "\ud800",
    "",
]
RAW_TRAVERSALS = [
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2E%2E",
    "%2e.",
    ".%2e",
    "..%2f",
    "..%2F..",
    "%2e%2e%2f%2e%2e",
    "../..",
    "..%5c",
    "..\\",
    "%252e%252e",
    "%252e%252e%252f",
    "..%252f..",
    "%2f",
    "a%2fb",
    "..%00",
    "%00",
    "..%0d%0a",
    "%c0%ae%c0%ae",
    "..;",
    "....//",
    "",
    "..?x=1",
    "%ef%bc%8e%ef%bc%8e",
]


@dataclass
class Allowance:
    """A budget that only counts."""

    spent: int = 0
    halved: int = 0

    async def spend(self, fingerprint: str) -> None:
        self.spent += 1

    async def halve(self, fingerprint: str) -> None:
        self.halved += 1


@dataclass
class Script:
    """A cloud that answers as it is told, the last answer again and again."""

    answers: list[httpx.Response | Exception] = field(default_factory=list[httpx.Response | Exception])
    seen: list[httpx.Request] = field(default_factory=list[httpx.Request])

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def allowance() -> Allowance:
    return Allowance()


@pytest.fixture
def scripted(script: Script, allowance: Allowance) -> Cloud:
    return Cloud(httpx.MockTransport(script), "https://hub.test", allowance, "https://entry.test", "https://eu.test")


@pytest.fixture
def xyte(scripted: Cloud) -> XyteClient:
    return XyteClient(scripted, KEY, "fingerprint")


def of(scope: Scope, cloud: Cloud) -> XyteClient:
    return XyteClient(cloud, KEY, "fingerprint", scope)


def answer(status: int = 200, value: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=value, headers={name.replace("_", "-"): said for name, said in headers.items()})


# ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", TRAVERSALS)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "page", "one", "known"])
async def test_a_value_that_would_leave_its_segment_is_refused_before_there_is_a_url(
    xyte: XyteClient, script: Script, method: str, value: str
) -> None:
    with pytest.raises(InvalidInput):
        await getattr(xyte, method)(Received, "devices", "d1", "commands", value)

    assert script.seen == []


@pytest.mark.parametrize("value", ["../text", "text/..", "a/b/c", "text/", "/plain", ".a/b", "text/%2e%2e"])
def test_even_a_media_type_cannot_leave_its_segment(value: str) -> None:
    with pytest.raises(InvalidInput):
        segment(MimeType(value))


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("d1", "d1"),
        (7, "7"),
        ("a b", "a%20b"),
        ("a?b#c&d", "a%3Fb%23c%26d"),
        ("ä:@", "%C3%A4%3A%40"),
        ("a..b", "a..b"),
        ("100%", "100%25"),
        (MimeType("text/plain"), "text%2Fplain"),
    ],
)
async def test_everything_else_is_percent_encoded(
    xyte: XyteClient, script: Script, value: str | int, quoted: str
) -> None:
    script.answers = [answer(value={})]

    await xyte.get(Received, "devices", value)

    assert script.seen[0].url.raw_path.decode() == f"/core/v1/organization/devices/{quoted}"


@pytest.mark.parametrize("raw", RAW_TRAVERSALS)
@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v1/devices/d1/commands/"), ("GET", "/v1/devices/")])
async def test_no_path_of_rest_leaves_its_segments(
    app: FastAPI, resources: Resources, simulator: Simulator, method: str, path: str, raw: str
) -> None:
    refusal = await ask(app, method, path + raw)

    assert refusal.status_code == 422, refusal.text
    assert refusal.json()["error"] == "invalid_input"
    assert await simulator.requests() == []


@pytest.mark.parametrize(
    "raw", ["..%2f..%2fpartner", "%2e%2e/devices", "devices/d1%2fcommands", "/devices", "devices/"]
)
async def test_no_path_below_v1_is_read_in_two_ways(
    app: FastAPI, resources: Resources, simulator: Simulator, raw: str
) -> None:
    refusal = await ask(app, "GET", "/v1/" + raw)

    assert refusal.status_code == 422
    assert await simulator.requests() == []


async def test_a_server_that_gives_no_raw_path_is_served_too(app: FastAPI, resources: Resources) -> None:
    async def forgetful(scope: Any, receive: Any, send: Any) -> None:
        await app({name: value for name, value in scope.items() if name != "raw_path"}, receive, send)

    refusal = await ask(forgetful, "DELETE", "/v1/devices/d1/commands/..")

    assert refusal.status_code == 422


@pytest.mark.parametrize("value", [value for value in TRAVERSALS if value != "\ud800"])
async def test_no_tool_leaves_its_segments(client: httpx.AsyncClient, simulator: Simulator, value: str) -> None:
    for tool, arguments in (
        ("cancel_command", {"device_id": "d1", "command_id": value, "confirm": value}),
        ("cancel_command", {"device_id": value, "command_id": "c1", "confirm": "c1"}),
        ("get_device", {"device_id": value}),
    ):
        result = await client.post(
            "/mcp/x/all",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
        )

        body = result.json()
        problem = body["error"]["data"] if "error" in body else json.loads(body["result"]["content"][0]["text"])
        assert problem["status"] == 422, problem
    assert await simulator.requests() == []


class Asked(BaseModel):
    name: str | None = None
    merged: bool | None = None
    state: list[str] | None = None


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        (None, ""),
        ({}, ""),
        (Asked(), ""),
        (Asked(name="a b&c=d", merged=True), "name=a+b%26c%3Dd&merged=true"),
        ({"merged": False, "page": 2}, "merged=false&page=2"),
        (Asked(state=["a", "b"]), "state=a&state=b"),
    ],
)
async def test_a_query_holds_what_was_asked_for(xyte: XyteClient, script: Script, query: Any, sent: str) -> None:
    script.answers = [answer(value={})]

    await xyte.get(Received, "devices", query=query)

    assert script.seen[0].url.query.decode() == sent


@pytest.mark.parametrize(
    ("body", "content", "kind"),
    [
        (None, b"", None),
        ({"a": "ä"}, '{"a":"ä"}'.encode(), "application/json"),
        ([], b"[]", "application/json"),
        (Asked(name="a", merged=True), b'{"name":"a","merged":true}', "application/json"),
        (b"\x00raw", b"\x00raw", "application/octet-stream"),
    ],
)
async def test_a_body_goes_as_json_or_as_the_bytes_it_is(
    xyte: XyteClient, script: Script, body: Any, content: bytes, kind: str | None
) -> None:
    script.answers = [answer(value={})]

    await xyte.post(Received, "devices", body=body)

    assert script.seen[0].content == content
    assert script.seen[0].headers.get("content-type") == kind
    assert script.seen[0].headers["authorization"] == KEY


@pytest.mark.parametrize("body", [{"a": 2**70}, {"a": "\ud800"}])
async def test_what_json_cannot_carry_is_refused(xyte: XyteClient, script: Script, body: Any) -> None:
    with pytest.raises(InvalidInput):
        await xyte.post(Received, "devices", body=body)

    assert script.seen == []


@pytest.mark.parametrize(
    ("scope", "url"),
    [
        ("organization", "https://hub.test/core/v1/organization/x"),
        ("partner", "https://hub.test/core/v1/partner/x"),
        ("device", "https://eu.test/v1/devices/x"),
    ],
)
async def test_each_scope_has_its_place(scripted: Cloud, script: Script, scope: Scope, url: str) -> None:
    script.answers = [answer(value={})]

    await of(scope, scripted).get(Received, "x")

    assert str(script.seen[0].url) == url


async def test_a_device_registers_at_the_entry_host_without_a_key(scripted: Cloud, script: Script) -> None:
    script.answers = [answer(value={})]

    await of("device", scripted).at_entry().without_key().post(Received, body={})

    assert str(script.seen[0].url) == "https://entry.test/v1/devices"
    assert "authorization" not in script.seen[0].headers


async def test_a_dry_run_reads_and_does_not_write(scripted: Cloud, script: Script) -> None:
    script.answers = [answer(value={"id": "d1"})]
    dry = XyteClient(scripted, KEY, "fingerprint", dry_run=True)

    read = await dry.get(Received, "devices", "d1")
    with pytest.raises(Planned) as plan:
        await dry.patch(Received, "devices", "d1", body={"name": "a"})

    assert read.value == {"id": "d1"}
    assert (plan.value.method, plan.value.path) == ("PATCH", "/core/v1/organization/devices/d1")
    assert plan.value.body == {"name": "a"}
    with pytest.raises(Planned) as plan:
        await dry.post(Received, "dumps", body=b"12345")
    assert plan.value.body == "5 bytes"
    assert len(script.seen) == 1


async def test_what_hardly_changes_is_asked_for_once(xyte: XyteClient, scripted: Cloud, script: Script) -> None:
    script.answers = [answer(value={"id": "m1"})]

    values = [(await xyte.known(Received, "models", "m1")).value for _ in range(3)]
    other = await XyteClient(scripted, KEY, "another").known(Received, "models", "m1")

    assert [*values, other.value] == [{"id": "m1"}] * 4
    assert len(script.seen) == 2


# ── What is tried again ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_read_is_tried_three_times(xyte: XyteClient, script: Script, allowance: Allowance, status: int) -> None:
    script.answers = [answer(status, {"error": "later"}, retry_after="0")]

    with pytest.raises(UpstreamProblem) as failure:
        await xyte.get(Received, "devices")

    assert failure.value.upstream_status == status
    assert failure.value.retry_safe
    assert len(script.seen) == allowance.spent == 3


async def test_a_read_that_succeeds_in_the_end_is_a_success(xyte: XyteClient, script: Script) -> None:
    script.answers = [httpx.ConnectError("no"), answer(502, {}, retry_after="0"), answer(value={"id": "d1"})]

    assert (await xyte.get(Received, "devices", "d1")).value == {"id": "d1"}
    assert len(script.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 501])
async def test_what_would_fail_again_is_not_tried_again(xyte: XyteClient, script: Script, status: int) -> None:
    script.answers = [answer(status, {"error": "no"})]

    with pytest.raises(UpstreamProblem):
        await xyte.get(Received, "devices")

    assert len(script.seen) == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize(
    "failure",
    [
        answer(429, {}, retry_after="0"),
        answer(502, {}),
        answer(503, {}, retry_after="0"),
        answer(504, {}),
        httpx.ConnectError("no"),
        httpx.ReadError("cut"),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_what_changes_something_is_sent_once(
    xyte: XyteClient, script: Script, method: str, failure: httpx.Response | Exception
) -> None:
    script.answers = [failure]

    with pytest.raises(UpstreamProblem):
        await getattr(xyte, method)(Received, "devices", "d1")

    assert len(script.seen) == 1


async def test_a_wait_that_xyte_asks_for_is_kept(xyte: XyteClient, script: Script) -> None:
    script.answers = [answer(503, {}, retry_after="0.4"), answer(value={})]
    started = time.monotonic()

    await xyte.get(Received, "devices")

    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize(("said", "told"), [("30", 30), ("7.2", 8), ("99999999999", 300), ("9" * 400, 1), ("soon", 1)])
async def test_a_wait_longer_than_the_deadline_is_told_to_the_caller(
    xyte: XyteClient, scripted: Cloud, script: Script, allowance: Allowance, said: str, told: int
) -> None:
    scripted.timeout_s = 0.05
    script.answers = [answer(429, {}, retry_after=said)]

    with pytest.raises(UpstreamRateLimit) as refusal:
        await xyte.get(Received, "devices")

    assert refusal.value.retry_after_s == told
    assert len(script.seen) == 1
    assert allowance.halved == 1
    assert refusal.value.headers["Retry-After"] == str(told)


@pytest.mark.parametrize("said", ["inf", "nan", "-1", "1e9", "Wed, 21 Oct 2026 07:28:00 GMT", "٣", ""])
async def test_a_wait_that_is_no_number_is_a_second(xyte: XyteClient, script: Script, said: str) -> None:
    script.answers = [httpx.Response(429, headers=[(b"retry-after", said.encode())])]

    with pytest.raises(UpstreamRateLimit) as refusal:
        await xyte.post(Received, "devices")

    assert refusal.value.retry_after_s == 1


async def test_waiting_for_one_tenant_is_no_failure_of_the_cloud(
    xyte: XyteClient, scripted: Cloud, script: Script
) -> None:
    scripted.timeout_s = 0.4
    script.answers = [answer(429, {}, retry_after="0.15")]

    for _ in range(3):
        with pytest.raises(UpstreamRateLimit):
            await xyte.get(Received, "devices")

    assert not any(failed for _, failed in scripted.breaker._outcomes)  # pyright: ignore[reportPrivateUsage]


# ── What comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206])
@pytest.mark.parametrize("content", [b"", b"  \n"])
async def test_any_2xx_without_a_body_is_a_success(
    xyte: XyteClient, script: Script, status: int, content: bytes
) -> None:
    script.answers = [httpx.Response(status, content=content)]

    done = await xyte.delete(Received, "devices", "d1")

    assert done.value == {"success": True}
    assert done.body == b'{"success":true}'


@pytest.mark.parametrize(
    "content", [b"<html>hello</html>", b'{"items": [{"id":', b"\xff\xfe", b'{"a": NaN}', b'"\\ud800"', b"[" * 5000]
)
@pytest.mark.parametrize(("method", "safe"), [("get", True), ("post", False), ("page", True)])
async def test_what_is_not_json_is_said_to_be_so(
    xyte: XyteClient, script: Script, method: str, safe: bool, content: bytes
) -> None:
    script.answers = [httpx.Response(200, content=content)]

    with pytest.raises(UpstreamMalformed) as failure:
        await getattr(xyte, method)(Received, "devices")

    assert failure.value.retry_safe is safe
    assert ("may have been carried out" in failure.value.detail) is not safe
    assert "html" not in failure.value.detail


async def test_unknown_fields_reach_the_caller_byte_for_byte(
    client: httpx.AsyncClient, cloud: respx.MockRouter
) -> None:
    said = b'{ "id":"d1", "new_field": {"deep": [1, null, 2.50, "\\u00e4"]}, "big": 12345678901234567890123 }'
    cloud.route().respond(content=said)

    received = await client.get("/v1/devices/d1")

    assert received.content == said
    assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "xyte_refused"),
        (403, "xyte_forbidden"),
        (404, "xyte_not_found"),
        (409, "xyte_conflict"),
        (418, "xyte_refused"),
        (422, "xyte_invalid"),
        (499, "xyte_refused"),
    ],
)
async def test_a_refusal_of_xyte_comes_with_its_status_and_its_words(
    client: httpx.AsyncClient, cloud: respx.MockRouter, status: int, error: str
) -> None:
    cloud.route().respond(status, json={"error": "Device not in space"})

    refusal = await client.delete("/v1/devices/d1")

    assert refusal.status_code == status
    body = refusal.json()
    assert (body["error"], body["source"], body["upstream_status"]) == (error, "xyte", status)
    assert (body["xyte_message"], body["retry_safe"]) == ("Device not in space", False)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"error": "a"}', "a"),
        (b'{"message": "b", "errors": ["c"]}', "b"),
        (b'{"errors": ["c"]}', "['c']"),
        (b'{"error": "%s"}' % (b"x" * 900), "x" * 500),
        (b'["a"]', None),
        (b"<html>", None),
    ],
)
async def test_the_words_of_a_refusal_are_found_and_shortened(
    xyte: XyteClient, script: Script, content: bytes, words: str | None
) -> None:
    script.answers = [httpx.Response(422, content=content)]

    with pytest.raises(UpstreamRefused) as refusal:
        await xyte.post(Received, "devices")

    assert refusal.value.message == words


@pytest.mark.parametrize(("method", "safe"), [("get", True), ("post", False)])
async def test_a_failure_says_whether_to_look_first(xyte: XyteClient, script: Script, method: str, safe: bool) -> None:
    script.answers = [answer(500, {"error": "secret stack"})]

    with pytest.raises(UpstreamFailed) as failure:
        await getattr(xyte, method)(Received, "devices")

    assert failure.value.retry_safe is safe
    assert failure.value.upstream_status == 500
    assert ("look before" in failure.value.detail) is not safe


async def test_a_401_for_a_partner_s_ticket_is_a_missing_ticket(scripted: Cloud, script: Script) -> None:
    partner = of("partner", scripted)
    script.answers = [answer(401, {"error": "Not authorized"})]

    with pytest.raises(UpstreamRefused) as missing:
        await partner.get(Received, "tickets", "t1")
    again = len(scripted.refused)
    with pytest.raises(XyteRefusedKey):
        await partner.get(Received, "tickets")

    assert missing.value.status == 404
    assert (again, len(scripted.refused)) == (0, 1)


async def test_a_device_s_key_that_is_refused_for_one_device_is_not_refused_for_all(
    scripted: Cloud, script: Script
) -> None:
    script.answers = [answer(401, {"error": "Not authorized"})]

    with pytest.raises(XyteRefusedKey):
        await of("device", scripted).get(Received, "d1")

    assert scripted.refused == {}


ROW = {"id": "d1", "unknown": 1}
ENVELOPES: list[tuple[Any, dict[str, Any]]] = [
    ([ROW], {"items": [ROW], "has_more": False}),
    ([], {"items": [], "has_more": False}),
    ({"items": [ROW], "has_next_page": True}, {"items": [ROW], "next_page": 3, "has_more": True}),
    ({"items": [ROW], "has_next_page": False}, {"items": [ROW], "has_more": False}),
    ({"items": [ROW], "next_page": 7}, {"items": [ROW], "next_page": 7, "has_more": True}),
    ({"items": [ROW], "next_page": None}, {"items": [ROW], "has_more": False}),
    ({"items": [ROW], "next_page": True}, {"items": [ROW], "next_page": 3, "has_more": True}),
    ({"items": [ROW], "next_page": None, "has_next_page": True}, {"items": [ROW], "next_page": 3, "has_more": True}),
    (
        {"data": [ROW], "page_info": {"has_next": True, "total_count": 9}},
        {"items": [ROW], "next_page": 3, "has_more": True, "total": 9},
    ),
    ({"data": [ROW], "page_info": {"has_next": False}}, {"items": [ROW], "has_more": False}),
    ({"data": [ROW], "page_info": ["has_next"]}, {"items": [ROW], "has_more": False}),
    ({"spaces": [ROW], "total_count": 1}, {"items": [ROW], "has_more": False, "total": 1}),
    ({"devices": [ROW, ROW]}, {"items": [ROW, ROW], "next_page": 3, "has_more": True}),
    (ROW, {"items": [ROW], "has_more": False}),
    ("row", {"items": ["row"], "has_more": False}),
    (None, {"items": [], "has_more": False}),
]


@pytest.mark.parametrize(("said", "page"), ENVELOPES)
async def test_every_envelope_becomes_the_same_page(
    xyte: XyteClient, script: Script, said: Any, page: dict[str, Any]
) -> None:
    script.answers = [answer(value=said)]

    received = await xyte.page(Received, "devices", query={"page": 2, "per_page": 2})

    assert received.value == {"page": 2, "per_page": 2} | page
    assert orjson.loads(received.body) == received.value


async def test_a_list_that_is_not_paged_has_one_page(xyte: XyteClient, script: Script) -> None:
    script.answers = [answer(value={"items": [ROW, ROW]})]

    assert (await xyte.page(Received, "assets")).value == {"items": [ROW, ROW], "page": 1, "has_more": False}


async def test_a_list_without_a_body_is_empty(xyte: XyteClient, script: Script) -> None:
    script.answers = [httpx.Response(204)]

    assert (await xyte.page(Received, "devices")).value["items"] == []


@pytest.mark.parametrize(
    ("said", "one"), [({"data": [ROW]}, ROW), (ROW, ROW), ([ROW, {}], ROW), ({"data": []}, {}), (None, {})]
)
async def test_one_thing_is_found_in_any_envelope(xyte: XyteClient, script: Script, said: Any, one: Any) -> None:
    script.answers = [answer(value=said)]

    received = await xyte.one(Received, "devices", "d1")

    assert received.value == one
    assert orjson.loads(received.body) == one


# ── Over a real connection ───────────────────────────────────────────────────────────────────────────────────────────

Talk = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """A server that speaks as badly as it is told to, and remembers each request."""

    talk: Talk
    requests: list[str] = field(default_factory=list[str])

    async def heard(self, reader: asyncio.StreamReader) -> str:
        """Wait for a request; its request line."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
        )
        await reader.readexactly(length)
        self.requests.append(head.split("\r\n")[0])
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.talk(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(talk: Talk) -> AsyncGenerator[tuple[Server, str]]:
    server = Server(talk)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@pytest.fixture
async def transport(settings: Settings) -> AsyncIterator[httpx.AsyncBaseTransport]:
    opened = open_transport(settings)
    yield opened
    await opened.aclose()


@pytest.fixture
def at(transport: httpx.AsyncBaseTransport, allowance: Allowance) -> Callable[..., XyteClient]:
    """A client that really connects."""

    def connect(url: str, **settings: Any) -> XyteClient:
        return XyteClient(Cloud(transport, url, allowance, **settings), KEY, "fingerprint")

    return connect


OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"id":"d1"}'


async def test_a_refused_connection_says_that_nothing_was_sent(at: Callable[..., XyteClient]) -> None:
    for method in ("post", "get"):
        with pytest.raises(UpstreamUnreachable) as failure:
            await getattr(at("http://127.0.0.1:1"), method)(Received, "devices")

        assert failure.value.retry_safe
        assert "nothing was sent" in failure.value.detail


async def cut_after_the_request(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)


async def cut_in_the_answer(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id"')
    await writer.drain()


async def cut_in_the_head(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await writer.drain()


async def reset(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.transport.abort()


async def garbage(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.write(b"SSH-2.0-OpenSSH\r\nHTTP\r\n\r\n")
    await writer.drain()


async def endless_header(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    "talk", [cut_after_the_request, cut_in_the_answer, cut_in_the_head, reset, garbage, endless_header]
)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
async def test_a_change_whose_answer_is_lost_is_sent_once_and_says_look_first(
    at: Callable[..., XyteClient], talk: Talk, method: str
) -> None:
    async with listening(talk) as (server, url):
        with pytest.raises(UpstreamUnreachable) as failure:
            await getattr(at(url), method)(Received, "devices", "d1")

    assert not failure.value.retry_safe
    assert "look before sending it again" in failure.value.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize("talk", [cut_after_the_request, cut_in_the_answer, garbage])
async def test_a_read_whose_answer_is_lost_is_tried_again(at: Callable[..., XyteClient], talk: Talk) -> None:
    async with listening(talk) as (server, url):
        with pytest.raises(UpstreamUnreachable) as failure:
            await at(url).get(Received, "devices", "d1")

    assert failure.value.retry_safe
    assert len(server.requests) == 3


async def answer_once_then_cut_the_next(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await server.heard(reader)
    writer.write(OK)
    await writer.drain()
    await server.heard(reader)


async def answer_once_then_close(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await server.heard(reader)
    writer.write(OK)
    await writer.drain()


@pytest.mark.parametrize("method", ["put", "delete", "post", "patch"])
async def test_a_change_on_a_kept_connection_that_is_cut_is_not_sent_twice(
    at: Callable[..., XyteClient], method: str
) -> None:
    async with listening(answer_once_then_cut_the_next) as (server, url):
        xyte = at(url)
        await xyte.get(Received, "devices", "d1")
        with pytest.raises(UpstreamUnreachable) as failure:
            await getattr(xyte, method)(Received, "devices", "d1")

    assert [line.split()[0] for line in server.requests] == ["GET", method.upper()]
    assert not failure.value.retry_safe


@pytest.mark.parametrize("method", ["put", "delete", "post", "patch"])
async def test_a_change_after_the_server_closed_the_kept_connection_is_sent_at_most_once(
    at: Callable[..., XyteClient], method: str
) -> None:
    async with listening(answer_once_then_close) as (server, url):
        xyte = at(url)
        await xyte.get(Received, "devices", "d1")
        with suppress(UpstreamUnreachable):
            await getattr(xyte, method)(Received, "devices", "d1")

    assert sum(line.startswith(method.upper()) for line in server.requests) <= 1


async def test_connections_are_kept(at: Callable[..., XyteClient]) -> None:
    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        while True:
            await server.heard(reader)
            writer.write(OK)
            await writer.drain()

    connections: list[asyncio.StreamWriter] = []
    async with listening(talk) as (server, url):
        xyte = at(url)
        for _ in range(3):
            assert (await xyte.get(Received, "devices", "d1")).value == {"id": "d1"}
        connections[0].close()

    assert (len(server.requests), len(connections)) == (3, 1)


@pytest.mark.parametrize(("method", "safe"), [("get", True), ("post", False)])
async def test_a_body_that_drips_is_cut_at_the_deadline(at: Callable[..., XyteClient], method: str, safe: bool) -> None:
    async def drip(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(drip) as (server, url):
        xyte = at(url, timeout_s=0.3)
        started = time.monotonic()
        with pytest.raises(UpstreamTimeout) as failure:
            await getattr(xyte, method)(Received, "devices")
        took = time.monotonic() - started

    assert 0.25 < took < 2.0
    assert failure.value.retry_safe is safe
    assert len(server.requests) == 1
    assert xyte._cloud.breaker._outcomes[-1][1]  # pyright: ignore[reportPrivateUsage]  it counts as a failure


def telling(body: bytes, encoding: str = "") -> Talk:
    async def tell(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.heard(reader)
        encoded = f"content-encoding: {encoding}\r\n" if encoding else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{encoded}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return tell


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b'"' + b"x" * 200_000 + b'"', ""),
        (gzip.compress(b'"' + b"\0" * 50_000_000), "gzip"),
    ],
    ids=["long", "bomb"],
)
async def test_an_answer_over_the_limit_is_refused(at: Callable[..., XyteClient], body: bytes, encoding: str) -> None:
    async with listening(telling(body, encoding)) as (server, url):
        with pytest.raises(UpstreamTooLarge) as failure:
            await at(url, answer_limit_bytes=100_000).get(Received, "devices")

    assert "100000 bytes" in failure.value.detail
    assert failure.value.upstream_status == 200
    assert len(server.requests) == 1


async def test_an_answer_of_exactly_the_limit_is_read(at: Callable[..., XyteClient]) -> None:
    text = b'"' + b"x" * 99_998 + b'"'
    for body, encoding in ((text, ""), (gzip.compress(text), "gzip")):
        async with listening(telling(body, encoding)) as (_, url):
            received = await at(url, answer_limit_bytes=100_000).get(Received, "devices")

        assert received.body == text


@pytest.mark.parametrize(("method", "safe"), [("get", True), ("post", False)])
async def test_an_answer_that_cannot_be_decompressed_is_said_to_be_so(
    at: Callable[..., XyteClient], method: str, safe: bool
) -> None:
    async with listening(telling(b"not gzip at all", "gzip")) as (_, url):
        with pytest.raises(UpstreamMalformed) as failure:
            await getattr(at(url), method)(Received, "devices")

    assert failure.value.retry_safe is safe


async def test_a_cookie_of_one_caller_does_not_reach_the_next(at: Callable[..., XyteClient]) -> None:
    heads: list[str] = []

    async def talk(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nset-cookie: session=1\r\nconnection: close\r\n\r\n"))
        await writer.drain()

    async with listening(talk) as (_, url):
        for _ in range(2):
            await at(url).get(Received, "devices")

    assert len(heads) == 2
    assert not any("cookie" in head for head in heads)


async def test_a_slow_cloud_is_a_504_problem_over_both_doors(
    client: httpx.AsyncClient, cloud: respx.MockRouter
) -> None:
    cloud.route().mock(side_effect=httpx.ReadTimeout)

    over_rest = (await client.get("/v1/devices/d1")).json()
    over_mcp = json.loads((await call(client, "get_device", device_id="d1"))["content"][0]["text"])

    assert over_rest["status"] == over_mcp["status"] == 504
    assert over_rest["error"] == over_mcp["error"] == "xyte_timeout"
    assert over_rest["retry_safe"] is over_mcp["retry_safe"] is True
