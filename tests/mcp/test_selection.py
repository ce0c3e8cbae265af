"""Which tools a request sees, by every way of asking, at listing and at calling."""

import httpx
import pytest
from fastapi import FastAPI

from app.effects import Effect
from app.errors import InvalidSelection
from app.mcp.selection import Catalogue, Selection, in_path, yes
from tests.world import call, mcp

Tools = list[str]


async def listed(client: httpx.AsyncClient, path: str = "/mcp", **headers: str) -> Tools:
    """The names that tools/list gives."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = await client.post(path, json=request, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return [tool["name"] for tool in answer.json()["result"]["tools"]]


async def test_the_default_list_is_the_operators_day(client: httpx.AsyncClient) -> None:
    names = await listed(client)

    assert {"whoami", "list_devices", "send_command", "find_operations", "run_operation"} <= set(names)
    assert "delete_device" not in names
    assert len(names) <= 25


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/mcp/x/commands", {}),
        ("/mcp?toolsets=commands", {}),
        ("/mcp", {"X_MCP_Toolsets": "commands"}),
        ("/mcp?toolsets=commands", {"X_MCP_Toolsets": "devices"}),
        ("/mcp/x/commands?toolsets=devices", {"X_MCP_Toolsets": "organization"}),
    ],
)
async def test_a_toolset_is_chosen_by_path_before_query_before_header(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    names = await listed(client, path, **headers)

    assert "get_device_commands" in names
    assert "list_devices" not in names


async def test_single_tools_add_to_toolsets_and_stand_alone(client: httpx.AsyncClient) -> None:
    alone = await listed(client, X_MCP_Tools="get_device,whoami")
    added = await listed(client, "/mcp/x/commands", X_MCP_Tools="whoami")

    assert alone == ["get_device", "whoami"]
    assert {"send_command", "whoami"} <= set(added)


async def test_exclusions_and_read_only_always_win(client: httpx.AsyncClient) -> None:
    excluded = await listed(client, "/mcp/x/all?exclude_tools=get_device", X_MCP_Exclude_Tools="whoami")
    read_only = await listed(client, "/mcp/x/all/readonly")
    by_header = await listed(client, "/mcp/x/all", X_MCP_Readonly="1")
    by_query = await listed(client, "/mcp/x/all?readonly=true", X_MCP_Tools="delete_device")

    assert not {"get_device", "whoami"} & set(excluded)
    assert read_only == by_header == by_query
    assert "send_command" not in read_only
    assert "delete_device" not in read_only


@pytest.mark.parametrize("path", ["/mcp/x/nonsense", "/mcp?toolsets=nonsense", "/mcp?tools=nonsense"])
async def test_an_unknown_name_is_a_400_that_names_the_valid_ones(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"jsonrpc": "2.0", "id": 7, "method": "tools/list"})

    problem = answer.json()
    assert answer.status_code == 400
    assert problem["id"] == 7
    assert problem["error"]["data"]["error"] == "invalid_selection"
    assert problem["error"]["data"]["valid"]


@pytest.mark.parametrize(
    "path", ["/mcp/readonly", "/mcp/x/all/readonly", "/mcp?readonly=1", "/mcp?tools=run_operation&readonly=1"]
)
async def test_read_only_is_enforced_at_the_call(client: httpx.AsyncClient, path: str) -> None:
    direct = {"name": "send_command", "arguments": {"device_id": "d", "name": "power_on"}}
    indirect = {"name": "run_operation", "arguments": {"operation": direct["name"], "arguments": direct["arguments"]}}

    for params in (direct, indirect):
        answer = await client.post(path, json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})

        result = answer.json()["result"]
        assert result["isError"]
        assert "tool_not_offered" in result["content"][0]["text"]


async def test_the_operators_bound_is_the_upper_one(app: FastAPI) -> None:
    whole: Catalogue = app.state.catalogue
    bound = Catalogue(
        whole.tools.values(), whole.operations, toolsets=["devices"], excluded=["delete_device"], read_only=True
    )

    effects: set[Effect] = {bound.operations[name].effect for name in bound.tools}

    assert set(bound.toolsets) == {"devices"}
    assert effects == {"read"}
    with pytest.raises(InvalidSelection):
        bound.offer(Selection(toolsets=("commands",)))
    with pytest.raises(ValueError, match="nonsense"):
        Catalogue(whole.tools.values(), whole.operations, toolsets=["nonsense"])


async def test_run_operation_reaches_what_is_not_listed(client: httpx.AsyncClient) -> None:
    found = await call(client, "find_operations", query="suspend incidents of a device", limit=1)
    name = found["structuredContent"]["items"][0]["name"]
    device = (await call(client, "list_devices", per_page=1))["structuredContent"]["items"][0]

    result = await call(client, "run_operation", operation=name, arguments={"device_id": device["id"]})

    assert name == "suspend_device_incidents"
    assert not result["isError"]
    assert result["structuredContent"]["success"] is True


async def test_run_operation_does_not_run_itself_or_what_there_is_not(client: httpx.AsyncClient) -> None:
    for name in ("run_operation", "nonsense"):
        result = await call(client, "run_operation", operation=name, arguments={})

        assert result["isError"]
        assert "find_operations" in result["content"][0]["text"]


async def test_whoami_tells_organization_limits_and_toolsets(client: httpx.AsyncClient) -> None:
    result = (await call(client, "whoami"))["structuredContent"]

    assert result["scope"] == "organization"
    assert result["organization"]
    assert result["limit"] == {"per_minute": 60, "burst": 60}
    assert result["toolsets"] == ["default"]
    assert "commands" in result["available_toolsets"]


async def test_whoami_knows_a_partner(partner: httpx.AsyncClient) -> None:
    answer = await partner.get("/v1/whoami")

    assert answer.json()["scope"] == "partner"


async def test_toolsets_come_with_their_cost(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/toolsets")

    by_name = {toolset["name"]: toolset for toolset in answer.json()["items"]}
    assert by_name["all"]["bytes"] > by_name["default"]["bytes"] > by_name["commands"]["bytes"] > 0
    assert by_name["commands"]["tokens"] > 0
    assert len(answer.json()["sha256"]) == 64


async def test_operations_are_found_and_run_over_rest_too(client: httpx.AsyncClient) -> None:
    found = await client.get("/v1/operations", params={"query": "organization", "limit": 1})
    ran = await client.post("/v1/operations/run", json={"operation": "get_organization_info"})
    refused = await client.post("/v1/operations/run", json={"operation": "run_operation"})

    assert found.json()["items"][0]["name"] == "get_organization_info"
    assert ran.json()["id"]
    assert refused.status_code == 403


async def test_instructions_tell_of_what_is_offered(client: httpx.AsyncClient) -> None:
    greeting = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}

    default = (await mcp(client, "initialize", greeting))["result"]["instructions"]
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting}
    read_only = (await client.post("/mcp/readonly", json=message)).json()["result"]["instructions"]

    assert "send_command makes real equipment act" in default
    assert "read-only" in read_only
    assert "send_command" not in read_only
    assert len(default) <= 1500


def test_paths_and_switches_are_read() -> None:
    assert in_path("/mcp/x/a,b/readonly") == (("a", "b"), True)
    assert in_path("/mcp") == ((), False)
    assert [yes(text) for text in (None, "0", "false", "1", "yes", "")] == [False, False, False, True, True, True]


async def test_what_a_short_list_leaves_out_is_still_called_by_its_name(client: httpx.AsyncClient) -> None:
    default = await call(client, "get_organization_info")
    narrow = await client.post(
        "/mcp/x/devices",
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_organization_info"}},
    )

    assert not default.get("isError")
    assert "tool_not_offered" in narrow.json()["result"]["content"][0]["text"]
