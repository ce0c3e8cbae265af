"""The fast lane and the SDK give the same answer to the same request, in both eras."""

import asyncio
from typing import Any, cast

import httpx
import orjson
import pytest
import respx
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from app.mcp.fastlane import FastLane, era_of, unless_gone
from app.mcp.results import Outcome
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def request(era: str, method: str, params: dict[str, Any], identity: Any = 1) -> tuple[dict[str, Any], dict[str, str]]:
    """A plain request and its headers."""
    headers = {"Accept": "application/json", "X-Request-ID": REQUEST_ID}
    if era == "legacy":
        return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}, headers
    headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    headers |= {"Mcp-Name": params["name"]} if "name" in params else {}
    arguments = params.get("arguments")
    if params.get("name") == "get_device" and isinstance(arguments, dict) and "device_id" in arguments:
        headers["Mcp-Param-Device-Id"] = str(cast("dict[str, Any]", arguments)["device_id"])
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": {**params, "_meta": META}}, headers


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("tools/list", {}),
    ("tools/call", {"name": "get_device", "arguments": {"device_id": "DEVICE"}}),
    ("tools/call", {"name": "get_device", "arguments": {"device_id": "DEVICE", "fields": ["id", "name"]}}),
    ("tools/call", {"name": "list_devices"}),
    ("tools/call", {"name": "list_devices", "arguments": {"per_page": 2}}),
    ("tools/call", {"name": "get_device", "arguments": {"device_id": "../x", "wrong": 1}}),
    ("tools/call", {"name": "get_device", "arguments": {"device_id": "nowhere"}}),
    ("tools/call", {"name": "send_command", "arguments": {"device_id": "DEVICE", "name": "power_on", "dry_run": True}}),
    ("tools/call", {"name": "delete_device", "arguments": {"device_id": "DEVICE"}}),
    ("tools/call", {"name": "nonsense", "arguments": {}}),
    ("tools/call", {"arguments": {}}),
    ("tools/call", {"name": "get_device", "arguments": "text"}),
    ("tools/nonsense", {}),
]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(("method", "params"), CALLS)
@pytest.mark.parametrize("path", ["/mcp", "/mcp/x/all", "/mcp/readonly"])
async def test_both_lanes_answer_alike(
    client: httpx.AsyncClient,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    era: str,
    path: str,
    method: str,
    params: dict[str, Any],
) -> None:
    device = await simulator.a_device("projector")
    text = orjson.dumps(params).decode().replace("DEVICE", device["id"])
    message, headers = request(era, method, orjson.loads(text))
    fast = await client.post(path, json=message, headers=headers)

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(FastLane, "answer", nothing)
    slow = await client.post(path, json=message, headers=headers)

    assert fast.status_code == slow.status_code
    assert fast.json() == slow.json()


@pytest.mark.parametrize(
    ("header", "status"),
    [("DEVICE", 200), (" DEVICE ", 200), ("=?base64?REVWSUNF?=", 200), ("other", 400), ("", 400), (None, 400)],
)
async def test_both_lanes_compare_an_argument_with_its_header(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, header: str | None, status: int
) -> None:
    message, headers = request("modern", "tools/call", {"name": "get_device", "arguments": {"device_id": "DEVICE"}})
    del headers["Mcp-Param-Device-Id"]
    headers |= {} if header is None else {"Mcp-Param-Device-Id": header}
    fast = await client.post("/mcp", json=message, headers=headers)

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(FastLane, "answer", nothing)
    slow = await client.post("/mcp", json=message, headers=headers)

    assert fast.status_code == slow.status_code == status
    assert fast.json() == slow.json()


GREETING = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


@pytest.mark.parametrize("path", ["/mcp", "/mcp/readonly"])
@pytest.mark.parametrize(
    "params",
    [
        *({**GREETING, "protocolVersion": version} for version in ("2024-11-05", "2025-03-26", "2025-06-18")),
        *({**GREETING, "protocolVersion": version} for version in ("2025-11-25", "2026-07-28", "nonsense")),
        {"protocolVersion": "2025-11-25"},
        {"protocolVersion": 5, **GREETING},
    ],
)
async def test_both_lanes_greet_alike(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, params: dict[str, Any]
) -> None:
    message, headers = request("legacy", "initialize", params)
    fast = await client.post(path, json=message, headers=headers)

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(FastLane, "answer", nothing)
    slow = await client.post(path, json=message, headers=headers)

    assert fast.status_code == slow.status_code
    assert fast.json() == slow.json()


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_plain_calls_take_the_fast_lane(era: str) -> None:
    message, headers = request(era, "tools/call", {"name": "list_devices", "arguments": {}})

    chosen = era_of(as_headers(headers), message)

    assert chosen == era


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        ({"_meta": "text"}, {}),
        ({"_meta": {"other": 1}}, {}),
        ({"_meta": META | {"io.modelcontextprotocol/clientInfo": {}}}, {}),
        ({"_meta": META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": 5}}}, {}),
        ({}, {"Mcp-Name": "other"}),
        ({}, {"MCP-Protocol-Version": "2099-01-01"}),
    ],
)
def test_what_is_unusual_is_left_to_the_sdk(change: dict[str, Any], headers: dict[str, str]) -> None:
    message, usual = request("modern", "tools/call", {"name": "list_devices", "arguments": {}})
    message["params"] |= change

    assert era_of(as_headers(usual | headers), message) is None


def as_headers(headers: dict[str, str]) -> Headers:
    """As Starlette has them."""
    return Headers({name.lower(): value for name, value in headers.items()})


async def test_a_slow_read_ends_when_its_caller_hangs_up(
    app: FastAPI, resources: Resources, cloud: respx.MockRouter
) -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def never(_request: httpx.Request) -> httpx.Response:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        raise AssertionError("nothing but its caller ends it")

    cloud.route().mock(side_effect=never)
    message, headers = request("legacy", "tools/call", {"name": "list_devices", "arguments": {}})
    headers |= {"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
    gone = asyncio.Event()

    async def through(scope: Scope, receive: Receive, send: Send) -> None:
        async def leaving() -> Message:
            given = await receive() if not asked.is_set() else None
            return given or {"type": "http.disconnect"}

        await app(scope, leaving, send)
        gone.set()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=through), base_url="http://localhost") as client:
        answer = await client.post("/mcp", json=message, headers=headers)

    assert (answer.status_code, answer.content) == (408, b"")
    assert stopped.is_set()
    assert gone.is_set()


async def test_a_cancellation_of_another_kind_is_passed_on() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def work() -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    running = asyncio.create_task(unless_gone(work(), receive))
    await asyncio.sleep(0)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
