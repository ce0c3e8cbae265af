"""The guard: bounds before anything is parsed, a request id, one log line, and an answer whatever happens inside."""

import json
import logging
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import respx
from fastapi import FastAPI
from starlette.routing import Mount, Route

from app.guard import flaw_of, is_deeper, name_of
from app.main import create_app
from app.resources import Resources
from app.settings import Settings
from tests.raw import ask

JSON = {"content-type": "application/json"}
SECRET = "planted-secret-7f3a"


def fail(_request: Any) -> None:
    raise RuntimeError(f"{SECRET} at postgresql://user:password@host")


async def fail_late(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError(SECRET)


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """What can be received, one message after the other."""
    messages = [await receive(), await receive()]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(messages).encode()})


@pytest.fixture(scope="module")
def narrow_app(settings: Settings) -> FastAPI:
    """The application under any name, with narrow bounds, one foreign origin allowed, and routes that fail."""
    narrow = settings.model_copy(
        update={
            "allowed_hosts": ("*",),
            "cors_origins": ("https://console.example",),
            "body_limit_bytes": 200,
            "body_timeout_s": 0.05,
        }
    )
    application = create_app(narrow)
    application.router.routes[:0] = [Route("/fail", fail), Mount("/late", fail_late), Mount("/echo", echo)]
    return application


@pytest.fixture
def strict(narrow_app: FastAPI, resources: Resources) -> FastAPI:
    narrow_app.state.resources = resources
    return narrow_app


# ── Bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", ["201", "99999999999", "9" * 5000, "-1", "x", "1e3"])
async def test_a_body_that_announces_too_much_is_413_before_it_is_read(strict: FastAPI, length: str) -> None:
    answer = await ask(strict, "POST", "/v1/devices/claim", headers={"content-length": length, **JSON}, ending=False)

    assert answer.status_code == 413
    assert answer.json()["error"] == "body_too_large"
    assert "200" in answer.json()["detail"]


async def test_a_body_that_grows_too_long_is_413_as_soon_as_it_does(strict: FastAPI) -> None:
    headers = {"transfer-encoding": "chunked", **JSON}

    answer = await ask(strict, "POST", "/v1/devices/claim", headers=headers, pieces=[b" " * 60] * 4, ending=False)

    assert answer.status_code == 413


async def test_a_body_longer_than_it_announced_is_413(strict: FastAPI) -> None:
    answer = await ask(
        strict, "POST", "/v1/devices/claim", headers={"content-length": "2", **JSON}, pieces=[b" " * 300]
    )

    assert answer.status_code == 413


async def test_a_body_that_drips_is_408(strict: FastAPI) -> None:
    headers = {"content-length": "100", **JSON}

    answer = await ask(strict, "POST", "/v1/devices/claim", headers=headers, pieces=[b"{", b'"'], ending=False)

    assert answer.status_code == 408
    assert answer.json()["error"] == "body_timeout"
    assert answer.headers["connection"] == "close"


async def test_a_body_in_pieces_is_put_together(strict: FastAPI, cloud: respx.MockRouter) -> None:
    cloud.route().respond(json={"id": "d1"})
    headers = {"transfer-encoding": "chunked", **JSON}

    answer = await ask(strict, "PATCH", "/v1/devices/d1", headers=headers, pieces=[b'{"na', b'me": "L', b'eft"}'])

    assert answer.status_code == 200
    assert json.loads(cloud.calls.last.request.content) == {"name": "Left"}


async def test_after_the_body_comes_what_the_server_says(strict: FastAPI) -> None:
    answer = await ask(strict, "POST", "/echo/", headers={"content-length": "4"}, pieces=[b"bo", b"dy"])

    assert "b'body'" in answer.text
    assert "http.disconnect" in answer.text


async def test_a_caller_who_leaves_while_sending_gets_no_further(strict: FastAPI, cloud: respx.MockRouter) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def impatient(scope: Any, _receive: Any, send: Any) -> None:
        await strict(scope, gone, send)

    headers = {"content-length": "20", **JSON}
    answer = await ask(impatient, "PATCH", "/v1/devices/d1", headers=headers, pieces=[b'{"name": "Left"}'])

    assert answer.status_code == 422
    assert not cloud.calls


@pytest.mark.parametrize("door", ["/v1/devices/claim", "/", "/mcp"])
async def test_json_that_is_nested_too_deeply_is_refused_at_every_door(client: httpx.AsyncClient, door: str) -> None:
    answer = await client.post(door, content="[" * 500 + "]" * 500, headers=JSON)

    assert answer.status_code == 422
    assert "32 levels" in answer.text


@pytest.mark.parametrize(
    ("body", "deeper"),
    [
        (b"[[[]]]", False),
        (b"[[[[]]]]", True),
        (b'{"a":{"b":{"c":1}}}', False),
        (b'{"a":{"b":{"c":{}}}}', True),
        (b"[[],[],[],[],[]]", False),
        (b'["[[[[[[[["]', False),
        (b'["\\"[[[[[[", []]', False),
        (b'["\\\\", [[[]]]]', True),
        (b"[[[" * 10_000, True),
        (b"]]]]][[[[", False),
        (b'"[[[[[[', True),
    ],
)
def test_depth_is_counted_outside_of_texts(body: bytes, deeper: bool) -> None:
    assert is_deeper(body, 3) is deeper


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1, "b": [1.5, -2, null, "\\u00e4", "\\\\u0000", "\\ud83d\\ude00"]}',
        '{"a": {"b": 1}, "c": {"b": 2}}',
        "123456789012345678",
        "\ufeff{}",
        "1e308",
        "not json",
        "",
    ],
)
def test_sound_json_and_what_nobody_can_read_has_no_flaw(body: str) -> None:
    assert flaw_of(body.encode()) is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"x": [{"a": 1, "b": 2, "\\u0061": 3}]}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b"[-1e999]", "too large"),
        (b"1234567890123456789", "digits"),
        (b"[" + b"9" * 5000 + b"]", "digits"),
        (b'"a\\u0000b"', "NUL"),
        (b'"a\\\\\\u0000b"', "NUL"),
        (b'"\\ud800"', "UTF-8"),
        (b'{"\\udfff": 1}', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xff"', "UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-8"),
        ('{"a": 1}'.encode("utf-32-be"), "UTF-8"),
    ],
)
def test_json_that_readers_take_differently_has_a_flaw(body: bytes, word: str) -> None:
    flaw = flaw_of(body)

    assert flaw is not None
    assert word in flaw


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["evil.example", "", "localhost.evil.example", "evil.example:80", "[::2]:80", "[::1]"])
@pytest.mark.parametrize("path", ["/v1/devices", "/docs", "/"])
async def test_a_host_that_is_not_ours_is_421(anonymous: httpx.AsyncClient, host: str, path: str) -> None:
    answer = await anonymous.get(path, headers={"Host": host})

    assert answer.status_code == 421
    assert answer.json()["error"] == "unknown_host"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LocalHost:1", "127.0.0.1:8000"])
async def test_our_host_is_ours_with_any_port_and_in_any_case(anonymous: httpx.AsyncClient, host: str) -> None:
    assert (await anonymous.get("/healthz", headers={"Host": host})).status_code == 200


async def test_every_host_is_ours_if_the_operator_says_so(strict: FastAPI) -> None:
    answer = await ask(strict, "GET", "/healthz", headers={"host": "any.example"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "name"), [("a.example:80", "a.example"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")]
)
def test_a_host_has_a_name_without_its_port(host: str, name: str) -> None:
    assert name_of(host) == name


FOREIGN = ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost:1", "http://[", "", "x"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_elsewhere_may_not_call(client: httpx.AsyncClient, cloud: respx.MockRouter, origin: str) -> None:
    answer = await client.get("/v1/devices", headers={"Origin": origin})

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "foreign_origin"
    assert "access-control-allow-origin" not in answer.headers
    assert not cloud.calls


@pytest.mark.parametrize("path", ["/", "/mcp", "/mcp/x/all"])
async def test_an_mcp_client_hears_of_a_foreign_origin_in_json_rpc(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(
        path, json={"jsonrpc": "2.0", "id": 9, "method": "ping"}, headers={"Origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert answer.json()["jsonrpc"] == "2.0"
    assert answer.json()["error"]["data"]["error"] == "foreign_origin"


async def test_an_origin_without_a_host_to_compare_with_is_foreign(strict: FastAPI) -> None:
    answer = await ask(strict, "GET", "/healthz", headers={"host": "", "origin": "null"})

    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost", "https://LOCALHOST"])
async def test_our_own_pages_may_call(client: httpx.AsyncClient, origin: str) -> None:
    assert (await client.get("/v1/devices", headers={"Origin": origin})).status_code == 200


async def test_an_allowed_origin_sees_every_answer(strict: FastAPI) -> None:
    origin = {"origin": "https://console.example"}

    refused = await ask(strict, "GET", "/v1/devices", headers=origin, key=None)
    missing = await ask(strict, "GET", "/nowhere", headers=origin)
    foreign = await ask(strict, "GET", "/v1/devices", headers={"origin": "https://evil.example"})

    for answer, status in ((refused, 401), (missing, 404)):
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "https://console.example"
        assert "RateLimit" in answer.headers["access-control-expose-headers"]
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_browser_may_ask_first_without_a_key(strict: FastAPI) -> None:
    headers = {
        "origin": "https://console.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-xyte-api-key, content-type",
    }

    answer = await ask(strict, "OPTIONS", "/v1/devices", headers=headers, key=None)

    assert answer.status_code == 200
    assert "x-xyte-api-key" in answer.headers["access-control-allow-headers"].lower()


async def test_without_allowed_origins_a_browser_is_told_nothing(anonymous: httpx.AsyncClient) -> None:
    headers = {"Origin": "https://console.example", "Access-Control-Request-Method": "GET"}

    answer = await anonymous.options("/v1/devices", headers=headers)

    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


# ── Request id, headers, log ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_id_that_is_a_uuid_is_kept(client: httpx.AsyncClient) -> None:
    mine = str(uuid4())

    answer = await client.get("/nowhere", headers={"X-Request-ID": mine})

    assert answer.headers["x-request-id"] == answer.json()["request_id"] == mine


@pytest.mark.parametrize("given", ["", "1", "a b", "x" * 5000, "0b0f6a4e-7a0e-4d53-9f0e-6f3f5a1c2d3e\n", "é"])
async def test_any_other_request_id_is_replaced(app: FastAPI, resources: Resources, given: str) -> None:
    answer = await ask(app, "GET", "/nowhere", headers={"x-request-id": given})

    assert str(UUID(answer.headers["x-request-id"])) == answer.json()["request_id"] != given


@pytest.mark.parametrize("path", ["/v1/devices", "/nowhere", "/healthz", "/docs"])
async def test_every_answer_has_the_headers_that_browsers_heed(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


async def test_the_log_has_one_line_a_request_and_none_for_probes(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    answers = [await client.get(path) for path in ("/v1/devices", "/nowhere", "/healthz", "/readyz", "/metrics")]

    lines = [vars(record) for record in caplog.records if record.name == "app.access"]
    assert [line["status"] for line in lines] == [200, 404]
    assert [line["outcome"] for line in lines] == ["OK", "not_found"]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers[:2]]
    assert (lines[0]["operation"], lines[0]["route"]) == ("list_devices", "/v1/devices")
    assert lines[0]["ms"] > 0


async def test_an_unforeseen_failure_is_a_500_problem_without_its_text(
    strict: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(strict, "GET", "/fail")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "internal_error"
    assert SECRET not in answer.text + str(answer.headers)
    assert "Traceback" not in answer.text
    unforeseen = [record for record in caplog.records if record.exc_info]
    assert [vars(record)["request_id"] for record in unforeseen] == [answer.json()["request_id"]]


async def test_a_failure_after_the_answer_began_adds_nothing_to_it(
    strict: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(strict, "GET", "/late/now")

    assert (answer.status_code, answer.content) == (200, b"")
    assert [record.message for record in caplog.records if record.exc_info] == ["unforeseen"]


async def test_what_is_no_http_passes_the_guard(app: FastAPI, resources: Resources) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/v1/devices",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    await app(scope, receive, send)

    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_probe_may_call_by_any_address(anonymous: httpx.AsyncClient, path: str) -> None:
    answer = await anonymous.get(path, headers={"Host": "10.1.2.3:8000"})

    assert answer.status_code == 200
