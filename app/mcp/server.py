"""The FastApiMCP subclass: its conversion makes the tools, ours are server, transport and execution."""

import logging
import time
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi_mcp import FastApiMCP
from fastapi_mcp.openapi.convert import convert_openapi_to_mcp_tools
from fastapi_mcp.openapi.utils import resolve_schema_references
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import ValidationError
from starlette.requests import Request

from app import auth
from app.errors import Problem, Unforeseen
from app.mcp.guidance import INSTRUCTIONS, described
from app.mcp.operations import Operation
from app.mcp.results import failed, succeeded
from app.resources import get_resources
from app.telemetry import TOOL_ERRORS, TOOL_INVOCATIONS, TOOL_SECONDS

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
LIST_TTL_MS = 300_000


class GatewayMCP(FastApiMCP):
    """Tools are the operations that declare an effect."""

    operations: dict[str, Operation]

    def __init__(self, app: FastAPI) -> None:
        unused = httpx.AsyncClient()  # the base class would make one that calls the app over HTTP
        super().__init__(app, name="xyte", http_client=unused)

    def setup_server(self) -> None:
        """Make the tools and the low-level server that offers them."""
        self.operations = operations_of(self.fastapi)
        self.tools = self._tools()
        self._schemas = {tool.name: tool.input_schema for tool in self.tools}
        self.server = Server(
            self.name,
            version=self.fastapi.version,
            title="Xyte gateway",
            description=self.fastapi.description,
            instructions=INSTRUCTIONS,
            cache_hints={"tools/list": CacheHint(ttl_ms=LIST_TTL_MS, scope="private")},
            get_tool_input_schema=self._schemas.get,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self.server.middleware.append(masked)

    def _tools(self) -> list[Tool]:
        document = self.fastapi.openapi()
        converted, self.operation_map = convert_openapi_to_mcp_tools(document)
        resolved = resolve_schema_references(document, document)
        outputs = {name: output_schema(resolved, entry) for name, entry in self.operation_map.items()}
        return [
            described(tool, self.operations[tool.name], outputs[tool.name])
            for tool in converted
            if tool.name in self.operations
        ]

    async def _list_tools(self, _context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=self.tools)

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        operation = self.operations.get(params.name)
        if operation is None:
            raise MCPError(-32602, "Unknown tool. tools/list names those there are.")
        request: Request = context.request
        state = request.scope["state"]
        state["operation"] = operation.name
        started = time.perf_counter()
        result, error = await run(operation, params.arguments or {}, request)
        TOOL_SECONDS.labels(operation.name).observe(time.perf_counter() - started)
        TOOL_INVOCATIONS.labels(operation.name, era_of(context)).inc()
        if error:
            state["outcome"] = error
            TOOL_ERRORS.labels(operation.name, error).inc()
        return result


def operations_of(app: FastAPI) -> dict[str, Operation]:
    """Every route that declares an effect."""
    routes = [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)]
    return {str(route.name): Operation.of(route) for route in routes if "x-effect" in (route.openapi_extra or {})}


def output_schema(resolved: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's success."""
    responses: dict[str, Any] = resolved["paths"][entry["path"]][entry["method"]]["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            return response.get("content", {}).get("application/json", {}).get("schema")
    return None


def era_of(context: Context) -> str:
    """Which of the two protocols the client speaks; its exact version would be a label without bounds."""
    return "modern" if context.protocol_version >= "2026" else "legacy"


async def run(operation: Operation, arguments: dict[str, Any], request: Request) -> tuple[CallToolResult, str | None]:
    """The tool's result, and the code of its error if it failed."""
    state = request.scope["state"]
    try:
        resources = await get_resources(request)
        given = {get_resources: resources, auth.identify: state["caller"]}
        return succeeded(await operation.call(arguments, given)), None
    except Problem as problem:
        return failed(problem, state["request_id"]), problem.error
    except Exception:  # the SDK would send its text to the client
        logger.exception("tool failed", extra={"operation": operation.name, "request_id": state["request_id"]})
        problem = Unforeseen()
        return failed(problem, state["request_id"]), problem.error


async def masked(context: Context, call_next: CallNext) -> HandlerResult:
    """Let nothing but an MCPError or a refused parameter reach the SDK, which shows any other exception's text."""
    try:
        return await call_next(context)
    except (MCPError, ValidationError):
        raise
    except Exception:
        logger.exception("method failed", extra={"mcp_method": context.method})
        raise MCPError(-32603, "Internal error. The request id finds it in the log.") from None
