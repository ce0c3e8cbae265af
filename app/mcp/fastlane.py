"""The short way for what is asked most: greeting, plain `tools/list` and `tools/call`, without the SDK's machinery.

Whatever is unusual goes to the SDK; a test holds both lanes to the same answers.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, cast

import orjson
from mcp.shared.inbound import validate_mcp_param_headers
from mcp_types import ClientCapabilities, Implementation, InitializeRequestParams
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope

from app.mcp import confirmation
from app.mcp.guidance import HEADERS
from app.mcp.results import Outcome
from app.mcp.selection import Offer
from app.mcp.server import GatewayMCP

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PLAIN_META = frozenset(
    {META + "protocolVersion", META + "clientCapabilities", META + "clientInfo", "progressToken"}
) | {
    "traceparent",
    "tracestate",
    "baggage",
}
PLAIN_CALL = frozenset({"name", "arguments", "_meta"})
PLAIN_LIST = frozenset({"_meta"})
PATIENCE_S = 0.25
"""A call that takes longer is worth watching whether its caller is still there."""


class FastLane:
    """Answers a plain request itself, or leaves it to the SDK."""

    def __init__(self, gateway: GatewayMCP) -> None:
        self._gateway = gateway
        stamp = orjson.dumps({META + "serverInfo": gateway.server.server_info_stamp})
        self._ending = {"legacy": b"}}", "modern": b',"resultType":"complete","_meta":' + stamp + b"}}"}

    async def answer(
        self, scope: Scope, receive: Receive, headers: Headers, message: Mapping[str, Any]
    ) -> Response | None:
        """The answer to a plain request; none if it is not one."""
        method, params = message.get("method"), message.get("params", {})
        era = era_of(headers, message)
        if era is None:
            return None
        if "id" not in message:
            return Response(status_code=202) if method == "notifications/initialized" and era == "legacy" else None
        if method == "initialize" and era == "legacy" and is_valid(InitializeRequestParams, params):
            greeting = self._gateway.greeting(scope["state"]["offer"], params["protocolVersion"])
            return self._response(message["id"], orjson.dumps(greeting)[1:-1], era)
        if method == "tools/list" and params.keys() <= PLAIN_LIST:
            return self._listed(scope, era, message["id"])
        if method == "tools/call" and params.keys() <= PLAIN_CALL:
            return await self._called(scope, receive, headers, era, message["id"], params)
        return None

    def _listed(self, scope: Scope, era: str, identity: Any) -> Response:
        offer: Offer = scope["state"]["offer"]
        if era not in offer.as_json:
            offer.as_json[era] = orjson.dumps(self._gateway.listed(offer, era))[1:-1]
        return self._response(identity, offer.as_json[era], era)

    async def _called(
        self, scope: Scope, receive: Receive, headers: Headers, era: str, identity: Any, params: Mapping[str, Any]
    ) -> Response | None:
        operation = self._gateway.catalogue.operations.get(params.get("name", ""))
        arguments = params.get("arguments", {})
        if operation is None or not isinstance(arguments, dict):
            return None
        heard = "progressToken" in params.get("_meta", {})
        if operation.effect in confirmation.CONFIRMED or "wait_seconds" in arguments or (heard and operation.waits):
            return None
        if era == "modern" and not self._repeats(headers, operation.name, cast("dict[str, Any]", arguments)):
            return None
        call = self._gateway.call(
            HTTPConnection(scope), operation.name, cast("dict[str, Any]", arguments), era, confirmation.unasked
        )
        outcome = await (unless_gone(call, receive) if operation.effect == "read" else call)
        if outcome is None:  # nobody hears it
            scope["state"]["outcome"] = "Client Closed Request"
            return Response(status_code=408)
        return self._response(identity, outcome.as_json(), era)

    def _repeats(self, headers: Headers, name: str, arguments: dict[str, Any]) -> bool:
        """Whether the headers say of the arguments what they have to."""
        if name not in HEADERS and not any(header.startswith("mcp-param-") for header in headers):
            return True
        return validate_mcp_param_headers(self._gateway.catalogue.tools[name].input_schema, arguments, headers) is None

    def _response(self, identity: Any, members: bytes, era: str) -> Response:
        start = b'{"jsonrpc":"2.0","id":' + orjson.dumps(identity) + b',"result":{'
        return Response(start + members + self._ending[era], media_type="application/json")


async def unless_gone(call: Awaitable[Outcome], receive: Receive) -> Outcome | None:
    """What a read comes to; nothing if it took a while and the caller hung up, which ends it.

    What changes something is not ended half-way: it may have left already.
    """
    calling = asyncio.current_task()
    assert calling is not None
    loop = asyncio.get_running_loop()
    watching: list[asyncio.Task[None]] = []
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        calling.cancel()

    timer = loop.call_later(PATIENCE_S, lambda: watching.append(loop.create_task(watch())))
    try:
        return await call
    except asyncio.CancelledError:
        if not gone:
            raise
        calling.uncancel()
        return None
    finally:
        timer.cancel()
        for task in watching:
            task.cancel()


def era_of(headers: Headers, message: Mapping[str, Any]) -> str | None:
    """Which protocol a request plainly speaks; none where only the SDK can tell."""
    version = headers.get("mcp-protocol-version")
    params: Mapping[str, Any] = message.get("params", {})
    meta: Mapping[str, Any] = params.get("_meta", {})
    if not isinstance(meta, dict) or not meta.keys() <= PLAIN_META:
        return None
    if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
        return "legacy" if META + "protocolVersion" not in meta else None
    plain = (
        version == MODERN
        and len(headers.getlist("mcp-protocol-version")) == 1
        and headers.getlist("mcp-method") == [message.get("method")]
        and headers.getlist("mcp-name") == ([params["name"]] if "name" in params else [])
        and meta.get(META + "protocolVersion") == MODERN
        and is_valid(ClientCapabilities, meta.get(META + "clientCapabilities"))
        and (META + "clientInfo" not in meta or is_valid(Implementation, meta[META + "clientInfo"]))
    )
    return "modern" if plain else None


def is_valid(shape: type[BaseModel], value: Any) -> bool:
    """Whether the SDK would take it."""
    try:
        shape.model_validate(value)
    except ValidationError:
        return False
    return True
