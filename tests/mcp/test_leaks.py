"""A secret in an exception reaches no client, in no era and by no method; an error of the cloud says what to do."""

from typing import Any

import httpx
import orjson
import pytest
import respx

from app.mcp.completions import Completions
from app.mcp.resources import Shelf
from app.mcp.server import GatewayMCP
from app.mcp.subscriptions import Listening
from tests.world import call

MODERN = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}
SECRET = "postgres://user:planted-secret@host/db"

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}),
    ("server/discover", {}),
    ("ping", {}),
    ("tools/list", {}),
    ("tools/call", {"name": "whoami", "arguments": {}}),
    ("tools/call", {"name": "delete_device", "arguments": {"device_id": "d1"}}),
    (
        "tools/call",
        {"name": "run_operation", "arguments": {"operation": "get_device", "arguments": {"device_id": "d"}}},
    ),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "xyte://devices/d1"}),
    ("resources/read", {"uri": "xyte://docs/connect"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "reboot_device", "arguments": {"device": "d1"}}),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "xyte://devices/{device_id}"},
            "argument": {"name": "device_id", "value": "d"},
        },
    ),
    ("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["xyte://tasks/t1"]}}),
    ("logging/setLevel", {"level": "debug"}),
    ("nonsense/method", {}),
]


async def ask(client: httpx.AsyncClient, era: str, method: str, params: dict[str, Any], accept: str) -> httpx.Response:
    headers = {"Accept": accept}
    if era == "modern":
        params = {**params, "_meta": META}
        headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if name := params.get("name") or params.get("uri"):
            headers["Mcp-Name"] = name
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await client.post("/mcp/x/all", json=message, headers=headers)


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream"])
@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(("method", "params"), REQUESTS)
async def test_no_exceptions_text_reaches_a_client(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    era: str,
    method: str,
    params: dict[str, Any],
    accept: str,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(SECRET)

    for owner, name in (
        (GatewayMCP, "_asked"),
        (GatewayMCP, "listed"),
        (GatewayMCP, "_ask"),
        (Shelf, "listed"),
        (Shelf, "templates"),
        (Shelf, "find"),
        (Completions, "complete"),
        (Listening, "__call__"),
    ):
        monkeypatch.setattr(owner, name, fail)
    for place in ("server.instructions_for", "prompts.offered", "prompts.filled"):
        monkeypatch.setattr(f"app.mcp.{place}", fail)

    answer = await ask(client, era, method, params, accept)

    assert "planted-secret" not in answer.text
    assert "RuntimeError" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.content


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_an_exception_below_an_operation_is_masked_too(
    client: httpx.AsyncClient, cloud: respx.MockRouter, era: str
) -> None:
    cloud.route().mock(side_effect=RuntimeError(SECRET))

    for method, params in REQUESTS:
        answer = await ask(client, era, method, params, "application/json")

        assert "planted-secret" not in answer.text


STATUSES: list[tuple[int, str, str]] = [
    (400, "xyte_refused", "refused"),
    (401, "xyte_refused_key", "does not accept this key"),
    (403, "xyte_forbidden", "may not do this"),
    (404, "xyte_not_found", "list operations"),
    (409, "xyte_conflict", "state does not allow"),
    (422, "xyte_invalid", "wrong or missing"),
    (429, "xyte_rate_limit", "Try again in"),
    (500, "xyte_failed", ""),
    (502, "xyte_failed", ""),
    (503, "xyte_failed", ""),
    (504, "xyte_failed", ""),
]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(("status", "error", "words"), STATUSES)
async def test_each_status_of_the_cloud_is_an_error_that_a_model_can_act_on(
    client: httpx.AsyncClient, cloud: respx.MockRouter, era: str, status: int, error: str, words: str
) -> None:
    cloud.route().mock(return_value=httpx.Response(status, json={"error": "no"}, headers={"Retry-After": "1"}))

    answer = await ask(client, era, "tools/call", {"name": "get_ticket", "arguments": {"ticket_id": "t1"}}, "*/*")

    result = answer.json()["result"]
    told = orjson.loads(result["content"][0]["text"])
    assert result["isError"]
    assert "structuredContent" not in result
    assert told["error"] == error
    assert words in told["detail"]
    assert told["upstream_status"] == status
    assert isinstance(told["retry_safe"], bool)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (httpx.ConnectError("no route"), "xyte_unreachable"),
        (httpx.ReadTimeout("slow"), "xyte_timeout"),
        (httpx.ReadError("cut"), "xyte_unreachable"),
    ],
)
async def test_a_cloud_that_is_away_is_said_too(
    client: httpx.AsyncClient, cloud: respx.MockRouter, failure: Exception, error: str
) -> None:
    cloud.route().mock(side_effect=failure)

    result = await call(client, "get_device", device_id="d1")

    assert orjson.loads(result["content"][0]["text"])["error"] == error


async def test_each_half_of_a_result_stands_alone(client: httpx.AsyncClient) -> None:
    for tool, arguments in (("whoami", {}), ("list_devices", {"per_page": 2}), ("find_operations", {"query": "move"})):
        result = await call(client, tool, **arguments)

        assert orjson.loads(result["content"][0]["text"]) == result["structuredContent"]
