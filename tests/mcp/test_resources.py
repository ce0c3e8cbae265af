"""What is read by name is what the operation answers, under the checks of its tool."""

import re
from typing import Any

import httpx
import httpx2
import orjson
import pytest
import respx
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from app.mcp.resources import LINKS, LIVE, Live, cursor_at, page_of
from app.mcp.selection import Catalogue
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call, mcp

KEY = {"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
VERSION = "2025-11-25"


async def read(client: httpx.AsyncClient, uri: str) -> Any:
    return await mcp(client, "resources/read", {"uri": uri})


def content(answer: Any) -> Any:
    """What a resource holds."""
    return orjson.loads(answer["result"]["contents"][0]["text"])


async def test_fixed_ones_and_templates_are_listed(client: httpx.AsyncClient) -> None:
    fixed = (await mcp(client, "resources/list"))["result"]["resources"]
    templates = (await mcp(client, "resources/templates/list"))["result"]["resourceTemplates"]

    uris = [resource["uri"] for resource in fixed]
    assert {"xyte://organization", "xyte://incidents", "xyte://docs/connect"} <= set(uris)
    assert len(uris) == len(set(uris))
    assert {
        "xyte://devices/{device_id}",
        "xyte://devices/{device_id}/commands",
        "xyte://devices/{device_id}/histories",
        "xyte://devices/{device_id}/status",
        "xyte://tickets/{ticket_id}",
        "xyte://tasks/{task_id}",
        "xyte://docs/{page}",
    } <= {template["uriTemplate"] for template in templates}
    assert all(entry["name"] and entry["title"] for entry in [*fixed, *templates])


async def test_every_live_resource_whose_operation_is_there_fits_it(app: FastAPI) -> None:
    catalogue: Catalogue = app.state.catalogue
    for live in LIVE:
        if operation := catalogue.operations.get(live.operation):
            taken = {name for argument in operation.arguments for name in argument.fields}
            assert set(live.variables) <= taken, live.uri
    assert set(LINKS.values()) <= {live.uri for live in LIVE}


async def test_a_device_is_what_its_tool_says(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")

    whole = content(await read(client, f"xyte://devices/{device['id']}"))
    status = content(await read(client, f"xyte://devices/{device['id']}/status"))
    told = await call(client, "get_device", device_id=device["id"])

    assert whole == told["structuredContent"]
    assert status.keys() <= {"id", "name", "status", "effective_status", "last_seen_at", "state"}
    assert status["id"] == device["id"]


@pytest.mark.parametrize("end", ["commands", "histories"])
async def test_what_belongs_to_a_device_comes_as_a_page(
    client: httpx.AsyncClient, simulator: Simulator, end: str
) -> None:
    device = await simulator.a_device()

    page = content(await read(client, f"xyte://devices/{device['id']}/{end}"))

    assert isinstance(page["items"], list)


@pytest.mark.parametrize(
    "uri",
    [
        "xyte://nothing",
        "xyte://devices/nowhere",
        "xyte://devices/",
        "xyte://devices/a/b",
        "xyte://devices/..%2Ftickets",
        "xyte://devices/d1?x=1",
        "xyte://docs/nothing",
        "file:///etc/passwd",
        "",
    ],
)
async def test_what_is_not_there_is_said_with_its_address(client: httpx.AsyncClient, uri: str) -> None:
    error = (await read(client, uri))["error"]

    assert error["code"] == -32602
    assert error["data"]["uri"] == uri


async def test_another_tenants_device_is_not_there(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device()
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    error = (await read(client, f"xyte://devices/{device['id']}"))["error"]

    assert error["data"]["error"] == "xyte_not_found"


async def test_an_excluded_operations_resources_are_gone(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device()
    client.headers["X-MCP-Exclude-Tools"] = "get_device"

    templates = (await mcp(client, "resources/templates/list"))["result"]["resourceTemplates"]
    error = (await read(client, f"xyte://devices/{device['id']}"))["error"]

    assert "xyte://devices/{device_id}" not in {template["uriTemplate"] for template in templates}
    assert error["code"] == -32602


async def test_the_guides_can_be_read(client: httpx.AsyncClient) -> None:
    page = (await read(client, "xyte://docs/limits-and-errors"))["result"]["contents"][0]

    assert page["mimeType"] == "text/markdown"
    assert page["text"].startswith("# ")


@pytest.mark.parametrize("cursor", ["nonsense", "ZnJvbSAw", cursor_at(10_000), ""])
@pytest.mark.parametrize("method", ["tools/list", "resources/list", "resources/templates/list", "prompts/list"])
async def test_a_cursor_that_is_not_ours_is_refused(client: httpx.AsyncClient, method: str, cursor: str) -> None:
    answer = await mcp(client, method, {"cursor": cursor})

    assert answer["error"]["code"] == -32602


def test_pages_follow_each_other() -> None:
    seen: list[int] = []
    cursor = None
    while True:
        items, cursor = page_of(range(25), cursor, size=10)
        seen += items
        if cursor is None:
            break

    assert seen == list(range(25))
    assert page_of([], None) == ([], None)


def test_values_are_quoted_into_an_address() -> None:
    live = Live("xyte://rooms/{room}", "get_room_status", "")

    assert live.filled({"room": "Board Room/2"}) == "xyte://rooms/Board%20Room%2F2"
    assert live.arguments_in("xyte://rooms/Board%20Room%2F2") == {"room": "Board Room/2"}
    assert live.filled({}) is None


async def test_results_link_to_where_to_look_next_for_clients_that_know_links(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    device = await simulator.a_device("projector")
    old = await call(client, "send_command", device_id=device["id"], name="power_on")
    client.headers["MCP-Protocol-Version"] = VERSION

    sent = await call(client, "send_command", device_id=device["id"], name="power_on")
    task = await call(client, "send_command_async", device_id=device["id"], name="power_on")
    read_back = await read(client, task["content"][1]["uri"])

    assert len(old["content"]) == 1
    assert sent["content"][1]["uri"] == f"xyte://devices/{device['id']}/commands"
    assert {block["type"] for block in sent["content"]} == {"text", "resource_link"}
    assert content(read_back)["id"] == task["structuredContent"]["id"]


async def test_a_dry_run_and_an_error_link_to_nothing(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")
    client.headers["MCP-Protocol-Version"] = VERSION

    planned = await call(client, "send_command", device_id=device["id"], name="power_on", dry_run=True)
    wrong = await call(client, "get_device", device_id="nowhere")

    assert len(planned["content"]) == len(wrong["content"]) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_reads_them_in_both_eras(
    app: FastAPI, resources: Resources, simulator: Simulator, mode: Any
) -> None:
    device = await simulator.a_device()
    async with (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), headers=KEY) as http,
        Client(streamable_http_client("http://localhost/mcp", http_client=http), mode=mode) as client,
    ):
        listed = await client.list_resources()
        templates = await client.list_resource_templates()
        found = await client.read_resource(f"xyte://devices/{device['id']}")
        with pytest.raises(MCPError) as refused:
            await client.read_resource("xyte://devices/nowhere")

    assert listed.resources
    assert templates.resource_templates
    assert device["id"] in found.model_dump()["contents"][0]["text"]
    assert refused.value.error.code == -32602
    if mode == "auto":
        assert {listed.cache_scope, templates.cache_scope, found.cache_scope} == {"private"}
        assert found.ttl_ms == 5_000


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
async def test_a_failing_cloud_is_an_error_that_says_so(
    client: httpx.AsyncClient, cloud: respx.MockRouter, status: int
) -> None:
    cloud.route().mock(return_value=httpx.Response(status, json={"error": "no"}))

    error = (await read(client, "xyte://devices/d1"))["error"]

    assert error["data"]["source"] == "xyte"
    assert -32000 < error["code"] <= -31000 or error["code"] == -32602
    assert re.match(r"[A-Z].*\.$", error["message"])
