"""One stateless endpoint for both eras of the protocol; closes what the SDK leaves open."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import orjson
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import auth, limits
from app.errors import MethodNotAllowed, NotFound, Problem, UnsupportedMediaType
from app.mcp.confirmation import security
from app.mcp.fastlane import FastLane
from app.mcp.selection import PATH, Catalogue, selection_of
from app.mcp.server import GatewayMCP
from app.resources import get_resources

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
ROUTE = "/mcp"
VERSION_HEADER = "mcp-protocol-version"
VERSION_META = "io.modelcontextprotocol/protocolVersion"


Admit = Callable[[Scope, Headers], Awaitable[None]]
"""Lets a request in, or raises a problem; leaves the caller in the request's state."""
Quick = Callable[[Scope, Receive, Headers, Mapping[str, Any]], Awaitable[Response | None]]
"""Answers what needs no SDK."""


def mounted(gateway: GatewayMCP) -> "McpEndpoint":
    """The gateway's tools behind key and limit."""
    admission = Admission(gateway.catalogue)
    return McpEndpoint(gateway.server, security(gateway.settings), admission, FastLane(gateway).answer)


class McpEndpoint:
    """A low-level server as an endpoint: admission and envelope first, then something quick or the SDK answers.

    It belongs to one server, whose errors it masks and whose questions it seals.
    """

    def __init__(self, server: Server[Any], seal: RequestStateSecurity, admit: Admit, quick: Quick) -> None:
        server.middleware[:0] = [masked, RequestStateBoundary(seal, default_audience="xyte")]
        self._admit = admit
        self._quick = quick
        self._streaming = StreamableHTTPSessionManager(server, stateless=True, json_response=False)
        self._plain = StreamableHTTPSessionManager(server, stateless=True, json_response=True)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """The time in which requests are answered."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._streaming.run())
            await stack.enter_async_context(self._plain.run())
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        headers = MutableHeaders(scope=scope)
        try:
            await self._admit(scope, headers)
            response = await self._answer(scope, receive, headers)
        except Problem as problem:
            response = as_jsonrpc(scope, problem)
        if response is not None:
            await response(scope, receive, send)
            return
        manager = self._streaming if "text/event-stream" in headers.get("accept", "") else self._plain
        headers["accept"] = "application/json, text/event-stream"
        await manager.handle_request(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """What can be said without the SDK."""
        try:
            message: Any = orjson.loads(scope["state"].get("body", b""))
        except orjson.JSONDecodeError:
            return error(400, -32700, "The body is not JSON.")
        if refusal := refused(message, headers):
            return refusal
        return await self._quick(scope, receive, headers, message)


class Admission:
    """Who calls, how often, and what they may see."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, scope: Scope, headers: Headers) -> None:
        connection = HTTPConnection(scope)
        resources = await get_resources(connection)
        caller = auth.caller_of(headers, resources, scope)
        await limits.take_unit(resources, caller, scope)
        if not PATH.fullmatch(scope["path"]):
            raise NotFound("No such path. The protocol is spoken at /mcp.")
        check_http(scope, headers)
        selection = selection_of(scope["path"], headers, scope["query_string"])
        scope["state"]["offer"] = self._catalogue.offer(selection)


def check_http(scope: Scope, headers: Headers) -> None:
    """Only JSON, and only by POST."""
    if scope["method"] != "POST":
        raise MethodNotAllowed(["POST"])
    if not headers.get("content-type", "").lower().startswith("application/json"):
        raise UnsupportedMediaType


class McpDoor:
    """Leads the protocol's requests to their endpoint, before any routing."""

    def __init__(self, app: ASGIApp, endpoint: McpEndpoint) -> None:
        self._app = app
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_mcp(scope):
            scope["state"]["route"] = ROUTE
            await self._endpoint(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def masked(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Let nothing but an MCPError or a refused parameter reach the SDK, which shows any other exception's text."""
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception:
        logger.exception("method failed", extra={"mcp_method": ctx.method})
        raise MCPError(-32603, "Internal error. The request id finds it in the log.") from None


def is_mcp(scope: Scope) -> bool:
    """Whether a request is one of the protocol's."""
    path: str = scope["path"]
    return path == "/mcp" or path.startswith("/mcp/") or (path == "/" and scope["method"] == "POST")


def refused(message: Any, headers: Headers) -> Response | None:
    """A clean answer to an envelope that the SDK would answer with its validator's words."""
    if isinstance(message, list):
        return error(400, -32600, "Batches are not supported: send one request at a time.")
    if not isinstance(message, dict):
        return error(400, -32600, "The body is not a JSON-RPC 2.0 request.")
    request = cast("dict[str, Any]", message)
    identity = request.get("id")
    is_answer = "method" not in request and ("result" in request or "error" in request)
    params = request.get("params", {})
    if (
        request.get("jsonrpc") != "2.0"
        or not (isinstance(request.get("method"), str) or is_answer)
        or ("id" in request and (isinstance(identity, bool) or not isinstance(identity, int | str)))
        or not isinstance(params, dict)
    ):
        return error(400, -32600, "The body is not a JSON-RPC 2.0 request.", identity)
    meta = cast("dict[str, Any]", params).get("_meta")
    if VERSION_HEADER not in headers and isinstance(meta, dict) and VERSION_META in meta:
        return error(400, -32020, "The MCP-Protocol-Version header is missing, but the body names a version.", identity)
    return None


def as_jsonrpc(scope: Scope, problem: Problem) -> Response:
    """A problem for a client that reads JSON-RPC only; its code lies outside the protocol's own range."""
    data = problem.body(scope["state"].get("request_id"))
    response = error(problem.status, -31000 - problem.status, problem.detail, id_in(scope), data)
    response.headers.update(problem.headers)
    return response


def id_in(scope: Scope) -> Any:
    """The id of the request in the body, if it can be read."""
    try:
        message: Any = orjson.loads(scope["state"].get("body", b""))
    except orjson.JSONDecodeError:
        return None
    return cast("dict[str, Any]", message).get("id") if isinstance(message, dict) else None


def meta_in(scope: Scope) -> Mapping[str, Any]:
    """The `_meta` of the message in the body."""
    if not is_mcp(scope):
        return {}
    try:
        message: Any = orjson.loads(scope["state"].get("body", b""))
    except orjson.JSONDecodeError:
        return {}
    part: Any = message
    for name in ("params", "_meta"):
        part = cast("dict[str, Any]", part).get(name) if isinstance(part, dict) else None
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


def error(status: int, code: int, message: str, identity: Any = None, data: Any = None) -> Response:
    """A JSON-RPC error; an id that is not one is not echoed."""
    echoed = identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None
    fault: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        fault["data"] = data
    body = orjson.dumps({"jsonrpc": "2.0", "id": echoed, "error": fault})
    return Response(body, status, media_type="application/json")
