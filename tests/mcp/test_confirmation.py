"""Nothing is removed and no access changes without a person's word, in either era of the protocol."""

from typing import Any

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult

from app.main import create_app
from app.resources import Resources, open_redis
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call

VERSION = "2026-07-28"


async def modern(client: httpx.AsyncClient, name: str, arguments: dict[str, Any], **more: Any) -> Any:
    """A tools/call of the newest protocol by a client that can ask a person."""
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    params: dict[str, Any] = {"name": name, "arguments": arguments, "_meta": meta, **more}
    headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/call", "Mcp-Name": name}
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return (await client.post("/mcp/x/all", json=message, headers=headers)).json()


async def deletions(simulator: Simulator) -> int:
    return sum(request["method"] == "DELETE" for request in await simulator.requests())


async def remove(client: httpx.AsyncClient, **arguments: Any) -> Any:
    return await call(client, "run_operation", operation="delete_device", arguments=arguments)


async def test_without_confirmation_nothing_is_done_and_the_answer_says_how(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    device = await simulator.a_device()

    plain = await remove(client, device_id=device["id"])
    wrong = await remove(client, device_id=device["id"], confirm="yes")

    assert plain["isError"]
    assert f"confirm='{device['id']}'" in plain["content"][0]["text"]
    assert wrong["isError"]
    assert await deletions(simulator) == 0


async def test_with_the_targets_id_it_is_done(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device()

    result = await remove(client, device_id=device["id"], confirm=device["id"])

    assert not result["isError"]
    assert await deletions(simulator) == 1


async def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    device = await simulator.a_device()

    result = await remove(client, device_id=device["id"], dry_run=True)

    path = f"/core/v1/organization/devices/{device['id']}"
    assert result["structuredContent"] == {
        "dry_run": True,
        "sent": False,
        "would_send": {"method": "DELETE", "path": path},
    }
    assert await deletions(simulator) == 0


async def test_a_client_that_can_ask_is_asked_once_per_answer(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device()
    arguments = {"device_id": device["id"]}
    asked = (await modern(client, "delete_device", arguments))["result"]
    answer = {
        "requestState": asked["requestState"],
        "inputResponses": {"confirmation": {"action": "accept", "content": {"confirm": device["id"]}}},
    }

    done = (await modern(client, "delete_device", arguments, **answer))["result"]
    again = (await modern(client, "delete_device", arguments, **answer))["result"]

    assert asked["resultType"] == "input_required"
    assert not done.get("isError")
    assert again["isError"]
    assert "used already" in again["content"][0]["text"]
    assert await deletions(simulator) == 1


@pytest.mark.parametrize(
    "response",
    [{"action": "decline"}, {"action": "accept", "content": {"confirm": "other"}}, {"action": "cancel"}],
)
async def test_a_person_who_does_not_agree_is_heard(
    client: httpx.AsyncClient, simulator: Simulator, response: dict[str, Any]
) -> None:
    arguments = {"device_id": (await simulator.a_device())["id"]}
    state = (await modern(client, "delete_device", arguments))["result"]["requestState"]
    answer = {"requestState": state, "inputResponses": {"confirmation": response}}

    result = (await modern(client, "delete_device", arguments, **answer))["result"]

    assert "did not confirm" in result["content"][0]["text"]
    assert await deletions(simulator) == 0


async def test_a_confirmation_is_bound_to_caller_and_arguments(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device()
    arguments = {"device_id": device["id"]}
    state = (await modern(client, "delete_device", arguments))["result"]["requestState"]
    response = {"confirmation": {"action": "accept", "content": {"confirm": device["id"]}}}
    answer = {"requestState": state, "inputResponses": response}

    other_call = await modern(client, "delete_device", {"device_id": "another"}, **answer)
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    other_caller = await modern(client, "delete_device", arguments, **answer)

    assert other_call["error"]["code"] == other_caller["error"]["code"] == -32602
    assert await deletions(simulator) == 0


async def test_without_redis_a_sealed_answer_is_refused(
    client: httpx.AsyncClient, resources: Resources, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await simulator.a_device()
    arguments = {"device_id": device["id"]}
    state = (await modern(client, "delete_device", arguments))["result"]["requestState"]
    response = {"confirmation": {"action": "accept", "content": {"confirm": device["id"]}}}
    monkeypatch.setattr(resources, "redis", open_redis("unix:///nowhere.sock"))

    result = (await modern(client, "delete_device", arguments, requestState=state, inputResponses=response))["result"]

    assert "service_unavailable" in result["content"][0]["text"]
    assert await deletions(simulator) == 0


async def test_the_sdks_client_asks_its_person(app: FastAPI, resources: Resources, simulator: Simulator) -> None:
    device = await simulator.a_device()
    questions: list[str] = []

    async def person(context: Any, params: Any) -> ElicitResult:
        questions.append(params.message)
        return ElicitResult(action="accept", content={"confirm": device["id"]})

    transport = httpx2.ASGITransport(app=app)
    async with (
        httpx2.AsyncClient(transport=transport, headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}) as http,
        Client(
            streamable_http_client("http://localhost/mcp/x/all", http_client=http), elicitation_callback=person
        ) as mcp,
    ):
        result = await mcp.call_tool("delete_device", {"device_id": device["id"]})

    assert not result.is_error
    assert device["id"] in questions[0]
    assert await deletions(simulator) == 1


async def test_another_replica_takes_the_answer(
    client: httpx.AsyncClient, simulator: Simulator, settings: Settings, resources: Resources
) -> None:
    device = await simulator.a_device()
    arguments = {"device_id": device["id"]}
    other = create_app(settings)
    other.state.resources = resources
    transport = httpx.ASGITransport(app=other)
    async with (
        other.state.mcp.running(),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=client.headers) as there,
    ):
        state = (await modern(client, "delete_device", arguments))["result"]["requestState"]
        response = {"confirmation": {"action": "accept", "content": {"confirm": device["id"]}}}

        done = await modern(there, "delete_device", arguments, requestState=state, inputResponses=response)
        again = await modern(client, "delete_device", arguments, requestState=state, inputResponses=response)

    assert not done["result"].get("isError")
    assert "used already" in again["result"]["content"][0]["text"]
    assert await deletions(simulator) == 1
