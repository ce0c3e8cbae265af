"""The least a gateway can be: Starlette and an aiohttp client, with no key check, limit, metric, log or validation."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from operations import OPERATIONS, name_of

UPSTREAM = os.environ["BENCH_UPSTREAM"]
DEVICES = f"{UPSTREAM}/core/v1/organization/devices/"
INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "passthrough", "version": "1"},
}


def tool(verb: str, resource: str) -> dict[str, object]:
    argument = f"{resource}_id"
    return {
        "name": name_of(verb, resource),
        "description": f"{verb.capitalize()} one {resource}.",
        "inputSchema": {
            "type": "object",
            "properties": {argument: {"type": "string", "description": f"The id of the {resource}."}},
            "required": [argument],
        },
    }


TOOLS = orjson.dumps({"tools": [tool(verb, resource) for verb, resource in OPERATIONS]})


async def fetch(request: Request, device_id: str) -> bytes:
    client: aiohttp.ClientSession = request.app.state.client
    async with client.get(DEVICES + device_id, headers={"Authorization": request.headers["x-xyte-api-key"]}) as answer:
        answer.raise_for_status()
        return await answer.read()


async def device(request: Request) -> Response:
    return Response(await fetch(request, request.path_params["device_id"]), media_type="application/json")


async def mcp(request: Request) -> Response:
    message = orjson.loads(await request.body())
    match message["method"]:
        case "tools/call":
            body = await fetch(request, message["params"]["arguments"]["device_id"])
            text = orjson.dumps(body.decode())
            result = b'{"content":[{"type":"text","text":%b}],"structuredContent":%b,"isError":false}' % (text, body)
        case "tools/list":
            result = TOOLS
        case "initialize":
            result = orjson.dumps(INITIALIZED)
        case _:
            return Response(status_code=202)
    answer = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (orjson.dumps(message["id"]), result)
    return Response(answer, media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as client:
        app.state.client = client
        yield


app = Starlette(
    routes=[Route("/mcp", mcp, methods=["POST"]), Route("/v1/devices/{device_id}", device)], lifespan=lifespan
)
