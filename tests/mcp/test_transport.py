"""The endpoint: every protocol version, every envelope, and nothing that the SDK would let out."""

from typing import Any

import httpx
import httpx2
import orjson
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app.mcp.server import GatewayMCP
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call, mcp

KEY = {"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
MODERN = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
SECRET = "postgres://user:planted-secret@host/db"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/"])
async def test_the_official_client_works_in_both_eras_at_each_path(
    app: FastAPI, resources: Resources, simulator: Simulator, mode: Any, path: str
) -> None:
    device = await simulator.a_device("projector")
    transport = httpx2.ASGITransport(app=app)
    async with (
        httpx2.AsyncClient(transport=transport, headers=KEY) as http,
        Client(streamable_http_client(f"http://localhost{path}", http_client=http), mode=mode) as client,
    ):
        tools = await client.list_tools()
        listed = await client.call_tool("list_devices", {"per_page": 3})
        sent = await client.call_tool("send_command", {"device_id": device["id"], "name": "power_on"})
        wrong = await client.call_tool("get_device", {"device_id": "x/y"})

    assert "send_command" in {tool.name for tool in tools.tools}
    assert listed.structured_content is not None
    assert len(listed.structured_content["items"]) == 3
    assert not sent.is_error
    assert wrong.is_error


async def test_a_projector_is_powered_on_through_the_root_path(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")

    sent = await call(client, "send_command", device_id=device["id"], name="power_on")
    simulator.tick(10)
    commands = await call(client, "get_device_commands", device_id=device["id"])
    now = await call(client, "get_device", device_id=device["id"])

    command = next(
        row for row in commands["structuredContent"]["items"] if row["id"] == sent["structuredContent"]["id"]
    )
    assert command["status"] == "done"
    assert now["structuredContent"]["state"]["power"] == "on"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_every_handshake_version_is_answered_with_itself(client: httpx.AsyncClient, version: str) -> None:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}

    answer = await mcp(client, "initialize", params)

    assert answer["result"]["protocolVersion"] == version


async def test_the_newest_version_is_discovered(client: httpx.AsyncClient) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "server/discover"}
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}

    answer = await client.post("/mcp", json=message, headers=headers)

    assert MODERN in answer.json()["result"]["supportedVersions"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
async def test_only_post_is_spoken(client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/mcp")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_xyte_key"),
        ({"X-XYTE-API-KEY": "x" * 31}, 403, "invalid_xyte_key"),
        ({"X-XYTE-API-KEY": "x" * 32, "Authorization": "y" * 32}, 400, "conflicting_xyte_keys"),
    ],
)
async def test_a_missing_or_bad_key_is_a_jsonrpc_error(
    anonymous: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    message = {"jsonrpc": "2.0", "id": "abc", "method": "tools/list"}

    answer = await anonymous.post("/mcp", json=message, headers=headers)

    body = answer.json()
    assert answer.status_code == status
    assert body["id"] == "abc"
    assert body["error"]["code"] == -31000 - status
    assert body["error"]["data"]["error"] == code
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert "resource_metadata" not in answer.headers.get("WWW-Authenticate", "")


async def test_the_61st_call_is_a_jsonrpc_429_with_retry_after(client: httpx.AsyncClient, resources: Resources) -> None:
    nothing_back = {"rate_limit_per_minute": 1, "rate_limit_burst": 60}
    resources.settings = resources.settings.model_copy(update=nothing_back)

    answers = [await client.post("/mcp", json={"jsonrpc": "2.0", "id": n, "method": "ping"}) for n in range(61)]

    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert answers[-1].json()["error"]["data"]["error"] == "rate_limit"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{nonsense", -32700),
        (b"", -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'"text"', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
    ],
)
async def test_a_bad_envelope_gets_one_clean_error(client: httpx.AsyncClient, body: bytes, code: int) -> None:
    answer = await client.post("/mcp", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert "pydantic" not in answer.text


async def test_a_version_in_the_body_needs_its_header(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


async def test_a_body_that_is_not_json_is_a_415(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp", content=b"x", headers={"Content-Type": "text/plain"})

    assert answer.status_code == 415
    assert answer.json()["error"]["data"]["error"] == "unsupported_media_type"


async def test_a_notification_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert answer.status_code == 202


async def test_an_answer_nobody_asked_for_does_no_harm(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "result": {}})

    assert answer.status_code == 202


async def test_an_unknown_path_below_is_a_404(client: httpx.AsyncClient) -> None:
    answer = await client.post("/mcp/nonsense", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

    assert answer.status_code == 404


async def test_a_client_that_streams_gets_a_stream_from_the_sdk(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
        headers={"Accept": "application/json, text/event-stream"},
    )

    assert answer.headers["Content-Type"].startswith("text/event-stream")


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("method", ["tools/list", "tools/call", "server/discover", "initialize"])
async def test_no_exceptions_text_reaches_a_client(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, era: str, method: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(GatewayMCP, "_asked", fail)
    monkeypatch.setattr(GatewayMCP, "listed", fail)
    monkeypatch.setattr("app.mcp.server.instructions_for", fail)
    params: dict[str, Any] = {"name": "whoami", "arguments": {}} if method == "tools/call" else {}
    headers: dict[str, str] = {}
    if era == "modern":
        params["_meta"] = META
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method} | (
            {"Mcp-Name": "whoami"} if "name" in params else {}
        )

    answer = await client.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers
    )

    assert "planted-secret" not in answer.text
    assert orjson.loads(answer.content)


async def test_discovery_of_an_authorization_server_is_a_json_404(anonymous: httpx.AsyncClient) -> None:
    paths = [
        "oauth-protected-resource",
        "oauth-protected-resource/mcp",
        "oauth-authorization-server",
        "openid-configuration",
    ]
    for path in paths:
        answer = await anonymous.get(f"/.well-known/{path}")

        assert answer.status_code == 404
        assert answer.json()["error"] == "not_found"


async def test_arguments_never_carry_a_key(client: httpx.AsyncClient) -> None:
    result = await call(client, "get_device", device_id="d", **{"x-xyte-api-key": "k" * 40, "authorization": "k" * 40})

    assert result["isError"]
    assert "Unknown argument" in result["content"][0]["text"]
    assert "kkkk" not in result["content"][0]["text"]
