"""Keys: where they may stand, what they look like, and where they never go."""

import json
import logging
import time
from collections.abc import Callable

import httpx
import pytest
import respx
from fastapi import FastAPI

from app.auth import Caller
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from app.telemetry import JsonFormatter
from tests.raw import KEY, ask, sent
from tests.world import Simulator, call, mcp

OTHER = ORGANIZATION_KEYS[1]
FORMS = [
    {"x-xyte-api-key": KEY},
    {"x-xyte-api-key": f" {KEY}\t"},
    {"authorization": KEY},
    {"authorization": f"Bearer {KEY}"},
    {"authorization": f"bearer {KEY}"},
    {"authorization": f"BEARER \t  {KEY}  "},
    {"authorization": f"  bEaReR\t{KEY}"},
    {"x-xyte-api-key": KEY, "authorization": f"Bearer {KEY}"},
    {"x-xyte-api-key": KEY, "authorization": KEY},
    {"x-xyte-api-key": "", "authorization": KEY},
    {"x-xyte-api-key": KEY, "authorization": "Bearer "},
]
ABSENT = [
    {},
    {"x-xyte-api-key": ""},
    {"x-xyte-api-key": " \t"},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "bearer   "},
    {"cookie": f"X-XYTE-API-KEY={KEY}; authorization={KEY}"},
    {"x-api-key": KEY},
    {"xyte-api-key": KEY},
]
MALFORMED = [
    "k" * 31,
    "k" * 513,
    "k" * 20 + " " + "k" * 20,
    "k" * 20 + "\t" + "k" * 20,
    "k" * 39 + "é",
    "k" * 40 + "\xa0",
    "k" * 40 + "\x7f",
    f"Basic {KEY}",
    f"x bearer {KEY}",
    f"Bearer bearer {KEY}",
]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, object]]]:
    """The log as it is written."""
    caplog.set_level(logging.DEBUG)
    form = JsonFormatter()
    return lambda: [
        json.loads(form.format(record)) for record in caplog.records if record.name.startswith("app.access")
    ]


@pytest.mark.parametrize("headers", FORMS)
async def test_a_key_may_stand_in_either_header_in_any_usual_form(
    app: FastAPI, resources: Resources, simulator: Simulator, headers: dict[str, str]
) -> None:
    answer = await ask(app, "GET", "/v1/devices", headers=headers, key=None)

    assert answer.status_code == 200, answer.text
    assert (await simulator.requests())[-1]["tenant"] == "Harbor Light Group"


@pytest.mark.parametrize("headers", ABSENT)
async def test_without_a_key_the_answer_is_401_and_says_how_to_send_one(
    app: FastAPI, resources: Resources, simulator: Simulator, headers: dict[str, str]
) -> None:
    answer = await ask(app, "GET", "/v1/devices", headers=headers, key=None)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="xyte"')
    assert answer.json()["error"] == "missing_xyte_key"
    assert await simulator.requests() == []


@pytest.mark.parametrize("key", MALFORMED)
@pytest.mark.parametrize("header", ["x-xyte-api-key", "authorization"])
async def test_what_cannot_be_a_key_is_403(
    app: FastAPI, resources: Resources, simulator: Simulator, header: str, key: str
) -> None:
    answer = await ask(app, "GET", "/v1/devices", headers={header: key}, key=None)

    assert answer.status_code == 403
    assert answer.json()["error"] == "invalid_xyte_key"
    assert key not in answer.text
    assert await simulator.requests() == []


@pytest.mark.parametrize("length", [32, 512])
async def test_the_shortest_and_the_longest_key_reach_the_cloud(
    anonymous: httpx.AsyncClient, simulator: Simulator, length: int
) -> None:
    answer = await anonymous.get("/v1/devices", headers={"X-XYTE-API-KEY": "k" * length})

    assert answer.json()["error"] == "xyte_refused_key"
    assert len(await simulator.requests()) == 1


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-xyte-api-key", KEY.encode()), (b"authorization", f"Bearer {OTHER}".encode())],
        [(b"x-xyte-api-key", KEY.encode()), (b"x-xyte-api-key", OTHER.encode())],
        [(b"authorization", KEY.encode()), (b"authorization", f"Bearer {OTHER}".encode())],
        [(b"x-xyte-api-key", KEY.encode()), (b"authorization", b"short")],
    ],
)
async def test_two_different_keys_are_400(
    app: FastAPI, resources: Resources, headers: list[tuple[bytes, bytes]]
) -> None:
    answer = await ask(app, "GET", "/v1/devices", headers=headers, key=None)

    assert answer.status_code == 400
    assert answer.json()["error"] == "conflicting_xyte_keys"
    assert KEY not in answer.text


@pytest.mark.parametrize("name", ["X-XYTE-API-KEY", "authorization", "api_key", "key", "access_token"])
async def test_a_key_in_the_query_is_no_key(anonymous: httpx.AsyncClient, name: str) -> None:
    answer = await anonymous.get("/v1/devices", params={name: KEY})

    assert answer.status_code == 401
    assert answer.json()["error"] == "missing_xyte_key"


async def test_a_key_in_the_body_is_no_key(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/v1/devices/claim", json={"space_id": 1, "X-XYTE-API-KEY": KEY})

    assert answer.status_code == 401


async def test_a_key_among_tool_arguments_is_no_key(anonymous: httpx.AsyncClient) -> None:
    arguments = {"X-XYTE-API-KEY": KEY, "authorization": KEY}

    answer = await mcp(anonymous, "tools/call", {"name": "list_devices", "arguments": arguments})

    assert answer["error"]["data"]["error"] == "missing_xyte_key"


@pytest.mark.parametrize("name", ["X-XYTE-API-KEY", "x_xyte_api_key", "authorization", "Authorization"])
async def test_a_tool_argument_cannot_replace_the_key(client: httpx.AsyncClient, name: str) -> None:
    result = await call(client, "list_devices", **{name: OTHER})

    assert result["isError"]
    assert json.loads(result["content"][0]["text"])["error"] == "invalid_input"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/devices"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/devices/d1/commands/..%2f.."),
        ("DELETE", "/v1/devices"),
        ("PROPFIND", "/v1/devices"),
        ("GET", "/healthz/"),
        ("POST", "/mcp"),
        ("POST", "/"),
        ("OPTIONS", "*"),
    ],
)
async def test_who_calls_is_asked_before_what_is_called(
    app: FastAPI, resources: Resources, method: str, target: str
) -> None:
    answer = await ask(app, method, target, headers={"content-type": "application/json"}, key=None)

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/devices", "/v1/nothing", "/v1", "/healthz/", "/v2/devices"])
async def test_an_unknown_path_with_a_key_is_404(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


async def test_a_target_that_is_no_path_is_404(app: FastAPI, resources: Resources) -> None:
    answer = await ask(app, "OPTIONS", "*")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/devices", "GET"),
        ("POST", "/v1/devices/d1", "DELETE, GET, PATCH"),
        ("PROPFIND", "/v1/devices/claim", "DELETE, GET, PATCH, POST"),
        ("PUT", "/healthz", "GET"),
    ],
)
async def test_a_wrong_method_is_405_and_names_the_right_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert answer.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize("body", ['{"space_id": ', "[", '{"a": NaN}', "9" * 5000, '{"space_id": "x"}'])
async def test_a_broken_body_without_a_key_is_401(anonymous: httpx.AsyncClient, body: str) -> None:
    answer = await anonymous.post("/v1/devices/claim", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 401


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer   {}"])
async def test_the_cloud_gets_the_bare_key(
    anonymous: httpx.AsyncClient, cloud: respx.MockRouter, resources: Resources, form: str
) -> None:
    await anonymous.get("/v1/devices", headers={"Authorization": form.format(KEY), "Cookie": "a=b", "X-Mine": "1"})

    (request,) = sent(cloud)
    assert request.headers["authorization"] == KEY
    assert request.url.host == "hub.xyte.test"
    assert set(request.headers) <= {"authorization", "accept", "accept-encoding", "host"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_redirect_is_refused_and_the_key_stays_here(
    client: httpx.AsyncClient, cloud: respx.MockRouter, status: int, method: str
) -> None:
    cloud.route().respond(status, headers={"Location": "https://elsewhere.test/"})

    answer = await client.request(method, "/v1/devices/d1")

    assert answer.status_code == 502
    assert answer.json()["error"] == "xyte_failed"
    assert answer.json()["upstream_status"] == status
    assert {request.url.host for request in sent(cloud)} == {"hub.xyte.test"}


async def test_a_refused_key_is_refused_from_memory(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    route = cloud.route().respond(401, json={"error": "Not authorized"})

    answers = [await client.get(path) for path in ("/v1/devices", "/v1/devices/d1", "/v1/organization")]

    assert [answer.json()["error"] for answer in answers] == ["xyte_refused_key"] * 3
    assert {answer.status_code for answer in answers} == {401}
    assert all("invalid_token" in answer.headers["www-authenticate"] for answer in answers)
    assert route.call_count == 1


async def test_a_refusal_is_forgotten_after_a_minute(
    client: httpx.AsyncClient, resources: Resources, simulator: Simulator
) -> None:
    resources.cloud.refused[resources.fingerprint(KEY), "organization"] = time.monotonic() - 60

    answer = await client.get("/v1/devices")

    assert answer.status_code == 200
    assert resources.cloud.refused == {}


async def test_a_refusal_is_remembered_for_the_whole_minute(
    client: httpx.AsyncClient, resources: Resources, simulator: Simulator
) -> None:
    resources.cloud.refused[resources.fingerprint(KEY), "organization"] = time.monotonic() - 58

    answer = await client.get("/v1/devices")

    assert answer.json()["error"] == "xyte_refused_key"
    assert await simulator.requests() == []


async def test_a_key_refused_in_one_scope_is_asked_for_in_another(resources: Resources) -> None:
    resources.cloud.remember_refusal("fingerprint", "organization")

    resources.cloud.check_refusal("fingerprint", "partner")


async def test_memory_of_refusals_is_bounded(resources: Resources) -> None:
    for number in range(10_001):
        resources.cloud.remember_refusal(str(number), "organization")

    assert list(resources.cloud.refused) == [("10000", "organization")]


def test_a_caller_does_not_show_the_key() -> None:
    caller = Caller(KEY, "ab" * 32)

    assert KEY not in repr(caller)
    assert "ab" * 32 not in repr(caller)
    assert caller.key_id == "ab" * 6


async def test_the_log_knows_a_caller_by_the_key_id_alone(
    client: httpx.AsyncClient, resources: Resources, lines: Callable[[], list[dict[str, object]]]
) -> None:
    await client.get("/v1/devices")
    await call(client, "list_devices")
    await client.get(f"/v1/devices/{KEY}")
    await client.get("/v1/devices", params={"space_id": KEY})

    written = lines()
    assert {line["key_id"] for line in written} == {resources.fingerprint(KEY)[:12]}
    assert [line["operation"] for line in written] == ["list_devices", "list_devices", "get_device", "list_devices"]
    assert KEY not in json.dumps(written)
    assert resources.fingerprint(KEY) not in json.dumps(written)
