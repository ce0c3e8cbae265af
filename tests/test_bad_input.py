"""Bad input at every door: a 4xx problem or a tool's error, never a 500, never a traceback, never the key."""

import json
from typing import Any

import httpx
import pytest
import respx
from fastapi import FastAPI

from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from tests.raw import KEY, ask
from tests.world import Simulator

JSON = {"content-type": "application/json"}
CLAIM = "/v1/devices/claim"
DEVICE = "/v1/devices/d1"
COMMANDS = "/v1/devices/d1/commands"
HISTORIES = "/v1/devices/histories"

# name, method, target, headers, body
REQUESTS: list[tuple[str, str, str, dict[str, str], bytes]] = [
    ("nul in a name", "PATCH", DEVICE, JSON, b'{"name": "a\\u0000b"}'),
    ("raw nul in a name", "PATCH", DEVICE, JSON, b'{"name": "a\x00b"}'),
    ("lone surrogate", "PATCH", DEVICE, JSON, b'{"name": "\\ud800"}'),
    ("lone surrogate as a name", "PATCH", DEVICE, JSON, b'{"configuration": {"\\udfff": 1}}'),
    ("raw surrogate", "PATCH", DEVICE, JSON, b'{"name": "\xed\xa0\x80"}'),
    ("not utf-8", "PATCH", DEVICE, JSON, b'{"name": "\xff\xfe"}'),
    ("utf-16", "PATCH", DEVICE, JSON, '{"name": "a"}'.encode("utf-16")),
    ("utf-32", "PATCH", DEVICE, JSON, '{"name": "a"}'.encode("utf-32")),
    ("nan", "PATCH", DEVICE, JSON, b'{"configuration": {"a": NaN}}'),
    ("infinity", "PATCH", DEVICE, JSON, b'{"configuration": {"a": Infinity}}'),
    ("minus infinity", "PATCH", DEVICE, JSON, b'{"configuration": {"a": -Infinity}}'),
    ("too large a float", "PATCH", DEVICE, JSON, b'{"configuration": {"a": 1e999}}'),
    ("too large an integer", "PATCH", DEVICE, JSON, b'{"configuration": {"a": 1%s}}' % (b"0" * 30)),
    ("an integer of 5000 digits", "PATCH", DEVICE, JSON, b'{"configuration": {"a": 1%s}}' % (b"0" * 5000)),
    ("a huge space id", "POST", CLAIM, JSON, b'{"space_id": 99999999999999999999, "cloud_id": "c"}'),
    ("a fraction as an id", "POST", CLAIM, JSON, b'{"space_id": 1.5, "cloud_id": "c"}'),
    ("depth 500", "PATCH", DEVICE, JSON, b'{"configuration": %s}' % (b'{"a":' * 500 + b"1" + b"}" * 500)),
    ("depth 500 of lists", "PATCH", DEVICE, JSON, b"[" * 500 + b"]" * 500),
    ("the same name twice", "PATCH", DEVICE, JSON, b'{"name": "a", "name": "b"}'),
    ("the same inner name twice", "PATCH", DEVICE, JSON, b'{"configuration": {"a": 1, "\\u0061": 2}}'),
    ("no json", "PATCH", DEVICE, JSON, b"hello"),
    ("half of json", "PATCH", DEVICE, JSON, b'{"name": "a"'),
    ("json and more", "PATCH", DEVICE, JSON, b'{"name": "a"} x'),
    ("an empty body", "PATCH", DEVICE, JSON, b""),
    ("null", "PATCH", DEVICE, JSON, b"null"),
    ("a list", "PATCH", DEVICE, JSON, b'[{"name": "a"}]'),
    ("a text", "PATCH", DEVICE, JSON, b'"name"'),
    ("a number", "PATCH", DEVICE, JSON, b"7"),
    ("nothing to change", "PATCH", DEVICE, JSON, b"{}"),
    ("an unknown field", "PATCH", DEVICE, JSON, b'{"name": "a", "nmae": "b"}'),
    ("a field of python", "PATCH", DEVICE, JSON, b'{"name": "a", "__class__": "b"}'),
    ("a text for an object", "PATCH", DEVICE, JSON, b'{"configuration": "x"}'),
    ("a list for a text", "PATCH", DEVICE, JSON, b'{"name": ["a"]}'),
    ("too long a name", "PATCH", DEVICE, JSON, b'{"name": "%s"}' % (b"a" * 300)),
    ("an empty name", "PATCH", DEVICE, JSON, b'{"name": ""}'),
    ("a name of blanks", "PATCH", DEVICE, JSON, b'{"name": "   "}'),
    ("no command", "POST", COMMANDS, JSON, b"{}"),
    ("parameters that are a list", "POST", COMMANDS, JSON, b'{"name": "a", "extra_params": [1]}'),
    ("a file that is a path", "POST", COMMANDS, JSON, b'{"name": "a", "file_id": "../../etc/passwd"}'),
    ("four shadows", "POST", DEVICE + "/merge", JSON, b'{"with_device_ids": ["a", "b", "c", "d"]}'),
    ("a shadow that is a path", "POST", DEVICE + "/split", JSON, b'{"shadow_device_id": "a/b"}'),
    ("form data", "PATCH", DEVICE, {"content-type": "application/x-www-form-urlencoded"}, b"name=a"),
    ("plain text", "PATCH", DEVICE, {"content-type": "text/plain"}, b'{"name": "a"}'),
    ("no content type", "PATCH", DEVICE, {}, b'{"name": "a"}'),
    ("an absurd content type", "PATCH", DEVICE, {"content-type": "a" * 5000}, b'{"name": "a"}'),
    ("a content type that is none", "PATCH", DEVICE, {"content-type": ";;;/=,"}, b'{"name": "a"}'),
    ("a multipart without a boundary", "PATCH", DEVICE, {"content-type": "multipart/form-data"}, b"x"),
    ("page zero", "GET", "/v1/devices?page=0", {}, b""),
    ("page minus one", "GET", "/v1/devices?page=-1", {}, b""),
    ("a page of text", "GET", "/v1/devices?page=one", {}, b""),
    ("a huge page", "GET", "/v1/devices?page=" + "9" * 30, {}, b""),
    ("an endless page", "GET", "/v1/devices?page=" + "9" * 5000, {}, b""),
    ("too many rows", "GET", "/v1/devices?per_page=101", {}, b""),
    ("no rows", "GET", "/v1/devices?per_page=0", {}, b""),
    ("rows that are not a number", "GET", "/v1/devices?per_page=NaN", {}, b""),
    ("an unknown filter", "GET", "/v1/devices?sort=name", {}, b""),
    ("a space that is no number", "GET", "/v1/devices?space_id=a;drop", {}, b""),
    ("an empty number", "GET", "/v1/devices?page=", {}, b""),
    ("nul in a filter", "GET", HISTORIES + "?name=a%00b", {}, b""),
    ("a status there is not", "GET", HISTORIES + "?status=on", {}, b""),
    ("a time that is none", "GET", HISTORIES + "?from=yesterday", {}, b""),
    ("a time beyond the calendar", "GET", HISTORIES + "?from=99999999999999999999", {}, b""),
    ("an infinite time", "GET", HISTORIES + "?from=inf", {}, b""),
    ("a time that is not a number", "GET", HISTORIES + "?to=nan", {}, b""),
    ("the end before the start", "GET", HISTORIES + "?from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z", {}, b""),
    ("too long a time", "GET", HISTORIES + "?from=2026-01-01T00:00:00Z&to=2026-02-02T00:00:00Z", {}, b""),
    ("a device that is a glob", "GET", HISTORIES + "?device_id=*", {}, b""),
    ("too long a filter", "GET", HISTORIES + "?name=" + "a" * 300, {}, b""),
    ("a glob in the path", "GET", "/v1/devices/*", {}, b""),
    ("a hash tag in the path", "GET", "/v1/devices/{a}", {}, b""),
    ("a new line in the path", "GET", "/v1/devices/a%0ab", {}, b""),
    ("not utf-8 in the path", "GET", "/v1/devices/%ff%fe", {}, b""),
    ("a long id", "GET", "/v1/devices/" + "a" * 5000, {}, b""),
    ("quotes in the path", "GET", "/v1/devices/'%20OR%20'1'='1", {}, b""),
    ("a forged status of commands", "GET", COMMANDS + "?status=finished", {}, b""),
    ("an absurd origin", "GET", "/v1/devices", {"origin": "http://[:::"}, b""),
    ("an absurd host", "GET", "/v1/devices", {"host": "[" * 3000}, b""),
    ("an absurd length", "PATCH", DEVICE, {"content-length": "9" * 5000, **JSON}, b""),
    ("an empty number as a length", "PATCH", DEVICE, {"content-length": "", **JSON}, b"{}"),
]


def harmless(answer: httpx.Response) -> None:
    """The pass rule."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert "Traceback" not in answer.text
    assert KEY not in answer.text


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"), [row[1:] for row in REQUESTS], ids=[r[0] for r in REQUESTS]
)
async def test_rest_answers_bad_input_with_a_problem(
    app: FastAPI,
    resources: Resources,
    cloud: respx.MockRouter,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    framing = {} if "content-length" in headers or not body else {"content-length": str(len(body))}

    answer = await ask(app, method, target, headers=headers | framing, pieces=[body])

    harmless(answer)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert not cloud.calls


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "text/plain"}, b'{"name": "a"}'),
        ({}, b'{"name": "a"}'),
        ({"content-type": "application/x-www-form-urlencoded"}, b"name=a"),
    ],
)
async def test_a_body_of_another_kind_is_415(
    app: FastAPI, resources: Resources, headers: dict[str, str], body: bytes
) -> None:
    answer = await ask(app, "PATCH", DEVICE, headers=headers | {"content-length": str(len(body))}, pieces=[body])

    assert answer.status_code == 415
    assert answer.json()["error"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_a_body_of_json_may_be_called_so_in_any_usual_way(
    client: httpx.AsyncClient, cloud: respx.MockRouter, kind: str
) -> None:
    cloud.route().respond(json={"id": "d1"})

    answer = await client.patch(DEVICE, content=b'{"name": "a"}', headers={"Content-Type": kind})

    assert answer.status_code == 200


def request_of(arguments: str, tool: str = "update_device") -> bytes:
    return b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "%s", "arguments": %s}}' % (
        tool.encode(),
        arguments.encode("utf-8", "surrogatepass"),
    )


# Tools are called at /mcp/x/all, so that all of them are there.
ENVELOPES: list[tuple[str, bytes]] = [
    ("no json", b"hello"),
    ("empty", b""),
    ("half", b'{"jsonrpc": "2.0"'),
    ("null", b"null"),
    ("a batch", b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]'),
    ("an empty batch", b"[]"),
    ("a number", b"1"),
    ("no version", b'{"id": 1, "method": "ping"}'),
    ("another version", b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}'),
    ("no method", b'{"jsonrpc": "2.0", "id": 1}'),
    ("a number as method", b'{"jsonrpc": "2.0", "id": 1, "method": 1}'),
    ("an unknown method", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/destroy"}'),
    ("a truth as id", b'{"jsonrpc": "2.0", "id": true, "method": "ping"}'),
    ("an object as id", b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}'),
    ("a fraction as id", b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}'),
    ("an id of 30 digits", b'{"jsonrpc": "2.0", "id": 1%s, "method": "ping"}' % (b"0" * 30)),
    ("an id with a surrogate", b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "ping"}'),
    ("an id with nul", b'{"jsonrpc": "2.0", "id": "\\u0000", "method": "ping"}'),
    ("two ids", b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}'),
    ("parameters that are a list", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [1]}'),
    ("parameters that are null", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": null}'),
    ("no tool", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}'),
    ("a tool that is a number", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 1}}'),
    ("an unknown tool", request_of("{}", "delete_everything")),
    ("a tool called after a method of python", request_of("{}", "__init__")),
    ("a list as meta", b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": [1]}}'),
    ("no uri", b'{"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {}}'),
    ("an absurd level", b'{"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": "loud"}}'),
    (
        "depth 500",
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": %s}' % (b'{"a":' * 500 + b"1" + b"}" * 500),
    ),
    ("arguments that are a list", request_of("[1]")),
    ("arguments that are a text", request_of('"d1"')),
    ("nan in an argument", request_of('{"device_id": "d1", "configuration": {"a": NaN}}')),
    ("1e999 in an argument", request_of('{"device_id": "d1", "configuration": {"a": 1e999}}')),
    ("a surrogate in an argument", request_of('{"device_id": "d1", "name": "\\ud800"}')),
    ("a raw surrogate in an argument", request_of('{"device_id": "d1", "name": "\ud800"}')),
    ("nul in an argument", request_of('{"device_id": "d1", "name": "a\\u0000b"}')),
    ("30 digits in an argument", request_of('{"device_id": "d1", "configuration": {"a": 1%s}}' % ("0" * 30))),
    ("an argument twice", request_of('{"device_id": "d1", "device_id": "d2", "name": "a"}')),
    ("a 200 KB id", request_of('{"device_id": "%s"}' % ("a" * 200_000), "get_device")),
]

ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("update_device", {}),
    ("update_device", {"device_id": "d1"}),
    ("update_device", {"device_id": "d1", "nmae": "a"}),
    ("update_device", {"device_id": "d1", "name": ["a"]}),
    ("update_device", {"device_id": "d1", "name": None, "configuration": 7}),
    ("update_device", {"device_id": ["d1"], "name": "a"}),
    ("update_device", {"device_id": {"id": "d1"}, "name": "a"}),
    ("update_device", {"device_id": "d1", "name": "a" * 300}),
    ("update_device", {"device_id": "d1", "name": "a", "authorization": ORGANIZATION_KEYS[1]}),
    ("get_device", {"device_id": None}),
    ("get_device", {"device_id": 7}),
    ("get_device", {"device_id": ""}),
    ("get_device", {"device_id": "../../partner"}),
    ("get_device", {"device_id": "d1", "fields": "name"}),
    ("get_device", {"device_id": "d1", "fields": [1]}),
    ("get_device", {"device_id": "d1", "__proto__": {}}),
    ("list_devices", {"page": 0}),
    ("list_devices", {"page": 10**18 - 1}),
    ("list_devices", {"page": "first"}),
    ("list_devices", {"per_page": 1.5}),
    ("list_devices", {"per_page": 101}),
    ("list_devices", {"space_id": "; drop"}),
    ("list_device_histories", {"from": "yesterday"}),
    ("list_device_histories", {"from": 1e300}),
    ("list_device_histories", {"from": -1e300}),
    ("list_device_histories", {"from": "2026-01-01", "to": "2026-03-01"}),
    ("list_device_histories", {"status": "on"}),
    ("send_command", {"device_id": "d1"}),
    ("send_command", {"device_id": "d1", "name": ""}),
    ("send_command", {"device_id": "d1", "name": "power_on", "extra_params": []}),
    ("send_command", {"device_id": "d1", "name": "power_on", "dry_run": True, "file_id": "../x"}),
    ("claim_device", {"space_id": 10**19, "cloud_id": "c"}),
    ("claim_device", {"space_id": 1}),
    ("claim_device", {"space_id": 1, "mac": "m"}),
    ("merge_device", {"device_id": "d1", "with_device_ids": "d2"}),
    ("delete_device", {"device_id": "..", "confirm": ".."}),
    ("delete_device", {"device_id": "d1", "confirm": ["d1"]}),
    ("delete_device", {"device_id": "d1", "confirm": "d2"}),
    ("run_operation", {"operation": "run_operation", "arguments": {"operation": "list_devices"}}),
    ("run_operation", {"operation": "nothing"}),
    ("run_operation", {"operation": "get_device", "arguments": "d1"}),
    ("run_operation", {"operation": "get_device", "arguments": {"device_id": "../x"}}),
    ("find_operations", {"query": ""}),
    ("find_operations", {"query": "x" * 201}),
]


@pytest.mark.parametrize("body", [row[1] for row in ENVELOPES], ids=[row[0] for row in ENVELOPES])
async def test_mcp_answers_bad_envelopes_with_an_error(
    app: FastAPI, resources: Resources, cloud: respx.MockRouter, body: bytes
) -> None:
    answer = await ask(app, "POST", "/mcp/x/all", headers={"content-length": str(len(body)), **JSON}, pieces=[body])

    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    assert KEY not in answer.text
    said = answer.json()
    assert said["jsonrpc"] == "2.0"
    assert "error" in said or said["result"]["isError"]
    assert "pydantic" not in answer.text
    assert not cloud.calls


@pytest.mark.parametrize(("tool", "arguments"), ARGUMENTS)
async def test_a_tool_answers_bad_arguments_with_an_error(
    client: httpx.AsyncClient, cloud: respx.MockRouter, tool: str, arguments: dict[str, Any]
) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}

    answer = await client.post("/mcp/x/all", json=call)

    assert answer.status_code < 500
    said = answer.json()
    problem = said["error"] if "error" in said else json.loads(said["result"]["content"][0]["text"])
    assert "error" in said or said["result"]["isError"]
    assert problem.get("status", 400) < 500, problem
    assert ORGANIZATION_KEYS[1] not in answer.text
    assert not cloud.calls


async def test_the_next_good_request_is_served(client: httpx.AsyncClient, simulator: Simulator) -> None:
    for _, body in ENVELOPES[:20]:
        await client.post("/mcp", content=body, headers=JSON)

    assert (await client.get("/v1/devices")).status_code == 200


# ── The cloud as the attacker ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (200, {}, b"<html>"),
        (200, {}, b'{"items": [{"id"'),
        (200, {}, b'{"items": NaN}'),
        (200, {}, b"\xff"),
        (302, {"location": "https://evil.example"}, b""),
        (304, {}, b""),
        (401, {}, b"<html>"),
        (403, {}, b'{"error": {"nested": [1]}}'),
        (404, {}, b'{"error": null}'),
        (422, {}, b'["wrong"]'),
        (429, {"retry-after": "99999999999"}, b""),
        (429, {"retry-after": "inf"}, b""),
        (429, {"retry-after": "nan"}, b""),
        (429, {"retry-after": "-1"}, b""),
        (500, {}, b"<html>"),
        (503, {"retry-after": "1e400"}, b""),
        (599, {}, b""),
    ],
)
@pytest.mark.parametrize("path", ["/v1/devices", "/v1/organization"])
async def test_whatever_the_cloud_says_there_is_a_problem(
    client: httpx.AsyncClient,
    cloud: respx.MockRouter,
    path: str,
    status: int,
    headers: dict[str, str],
    content: bytes,
) -> None:
    cloud.route().respond(status, headers=headers, content=content)

    answer = await client.get(path)

    assert answer.status_code >= 400
    assert answer.status_code != 500
    assert answer.json()["source"] == "xyte"
    assert "Traceback" not in answer.text


ODDITIES: list[Any] = [
    None,
    [],
    {},
    "text",
    7,
    True,
    {"items": None},
    {"items": "x", "next_page": []},
    {"items": [None, 1, "a"], "page_info": 7, "next_page": "two"},
    {"data": [{}], "page_info": "has_next"},
]


@pytest.mark.parametrize("value", ODDITIES)
@pytest.mark.parametrize("tool", ["list_devices", "get_device"])
async def test_whatever_json_the_cloud_says_there_is_an_answer(
    client: httpx.AsyncClient, cloud: respx.MockRouter, value: Any, tool: str
) -> None:
    cloud.route().respond(json=value)
    arguments = {} if tool == "list_devices" else {"device_id": "d1"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}

    over_rest = await client.get("/v1/devices" if tool == "list_devices" else "/v1/devices/d1")
    over_mcp = (await client.post("/mcp/x/all", json=call)).json()

    assert over_rest.status_code == 200
    assert "isError" not in over_mcp["result"] or not over_mcp["result"]["isError"]
