"""The fast lane and the SDK give the same answer to the same request, in both eras."""

from typing import Any

import httpx
import orjson
import pytest
from starlette.datastructures import Headers

from app.mcp.fastlane import FastLane, era_of
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
        ({}, {"Mcp-Param-Device": "x"}),
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
