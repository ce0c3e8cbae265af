"""What a Python client sees, as a line of JSON: `client.py CLIENT`, its task in MATRIX, in that client's own Python."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

TASK = json.loads(os.environ["MATRIX"])
NOT_OFFERED = "not offered"


@asynccontextmanager
async def mcp2(headers, mode):
    import httpx2
    from mcp.client.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(TASK["url"], http_client=http), mode=mode) as client,
    ):

        async def call(name, arguments, progress=None):
            result = await client.call_tool(name, arguments, progress_callback=progress)
            return result.is_error, result.structured_content, result.content

        yield client, call, client.server_capabilities


@asynccontextmanager
async def mcp1(headers, _mode):
    import httpx
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(TASK["url"], http_client=http) as (receive, send, _),
        ClientSession(receive, send) as session,
    ):
        greeting = await session.initialize()

        async def call(name, arguments, progress=None):
            result = await session.call_tool(name, arguments, progress_callback=progress)
            return result.isError, result.structuredContent, result.content

        yield session, call, greeting.capabilities


@asynccontextmanager
async def fastmcp(headers, _mode):
    import fastmcp as library
    from fastmcp.client.transports import StreamableHttpTransport

    async def ignore(*_):
        return None

    async with library.Client(StreamableHttpTransport(TASK["url"], headers=headers), progress_handler=ignore) as client:

        async def call(name, arguments, progress=None):
            result = await client.call_tool(name, arguments, progress_handler=progress, raise_on_error=False)
            return result.is_error, result.structured_content, result.content

        capabilities = getattr(client, "server_capabilities", None)
        if capabilities is None:
            capabilities = client.initialize_result.capabilities
        yield client, call, capabilities


CLIENTS = {
    "mcp2-auto": (mcp2, "auto"),
    "mcp2-legacy": (mcp2, "legacy"),
    "mcp1": (mcp1, ""),
    "fastmcp": (fastmcp, ""),
}


def rows(result, name):
    return getattr(result, name, result)


async def offered(client, call, capabilities):
    seen = {}
    tools = {tool.name for tool in rows(await client.list_tools(), "tools")}
    seen["list"] = "ok" if {"list_devices", "send_command"} <= tools else f"{len(tools)} tools"
    is_error, content, _ = await call("list_devices", {"per_page": 2})
    seen["call"] = "ok" if not is_error and len(content["items"]) == 2 else "no devices"
    is_error, _, content = await call("get_device", {"device_id": "no-such-device"})
    seen["error"] = "ok" if is_error and "xyte_not_found" in content[0].text else f"{is_error}: {content}"
    heard = []

    async def progress(done, total=None, message=None):
        heard.append(done)

    _, task, _ = await call("send_command_async", {"device_id": TASK["device"], "name": "power_on"})
    is_error, _, content = await call("get_task_status", {"task_id": task["id"], "wait_seconds": 5}, progress)
    seen["progress"] = "ok" if heard and not is_error else f"none heard: {content}"
    seen["resource"] = NOT_OFFERED
    if capabilities.resources is not None:
        resources = rows(await client.list_resources(), "resources")
        read = await client.read_resource(resources[0].uri)
        seen["resource"] = "ok" if rows(read, "contents") else "empty"
    seen["prompt"] = NOT_OFFERED
    if capabilities.prompts is not None:
        prompts = rows(await client.list_prompts(), "prompts")
        given = {argument.name: "Board" for argument in prompts[0].arguments or []}
        got = await client.get_prompt(prompts[0].name, given)
        seen["prompt"] = "ok" if got.messages else "empty"
    return seen


async def refused(connect, mode, headers, words):
    """A refusal has to reach whoever uses the client; how well, the client decides."""
    try:
        async with asyncio.timeout(20):
            async with connect(headers, mode) as (client, _, _):
                await client.list_tools()
    except BaseException as error:
        said = " ".join(map(str, leaves(error)))
        return "ok" if any(word in said for word in words) else f"ok, without a word ({said[:60]})"
    return "was not refused"


def leaves(error):
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error, *(leaves(error.__cause__) if error.__cause__ else [])]


async def main(name):
    connect, mode = CLIENTS[name]
    async with connect({"X-XYTE-API-KEY": TASK["key"]}, mode) as (client, call, capabilities):
        seen = await offered(client, call, capabilities)
    seen["401"] = await refused(connect, mode, {}, ("401", "X-XYTE-API-KEY", "Unauthorized"))
    exhausted = {"X-XYTE-API-KEY": TASK["exhausted"]}
    seen["429"] = await refused(connect, mode, exhausted, ("429", "times a minute", "Too Many"))
    print(json.dumps(seen))


asyncio.run(main(sys.argv[1]))
