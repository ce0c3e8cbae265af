"""The FastApiMCP subclass: its conversion makes the tools, ours are server, transport and execution."""

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi_mcp import FastApiMCP
from fastapi_mcp.openapi.convert import convert_openapi_to_mcp_tools
from fastapi_mcp.openapi.utils import resolve_schema_references
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import ValidationError
from starlette.requests import Request

from app import auth
from app.errors import InvalidInput, NotOffered, Problem, Unforeseen
from app.mcp import confirmation
from app.mcp.guidance import described, instructions_for
from app.mcp.operations import Operation
from app.mcp.results import failed, planned, succeeded
from app.mcp.router import get_catalogue, get_offer
from app.mcp.selection import Catalogue, Offer
from app.resources import Resources, get_resources
from app.settings import Settings
from app.telemetry import TOOL_ERRORS, TOOL_INVOCATIONS, TOOL_SECONDS
from app.xyte.client import Planned

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
LIST_TTL_MS = 300_000
GREETINGS = frozenset({"initialize", "server/discover"})


class GatewayMCP(FastApiMCP):
    """Tools are the operations that declare an effect."""

    catalogue: Catalogue

    def __init__(self, app: FastAPI) -> None:
        self.settings: Settings = app.state.settings
        unused = httpx.AsyncClient()  # the base class would make one that calls the app over HTTP
        super().__init__(app, name="xyte", http_client=unused)

    def setup_server(self) -> None:
        """Make the tools and the low-level server that offers them."""
        operations = operations_of(self.fastapi)
        self.tools = self._tools(operations)
        self.catalogue = Catalogue(
            self.tools,
            operations,
            toolsets=self.settings.mcp_toolsets,
            excluded=self.settings.mcp_exclude_tools,
            read_only=self.settings.mcp_read_only,
        )
        self.server: Server[Any] = Server(
            self.name,
            version=self.fastapi.version,
            title="Xyte gateway",
            description=self.fastapi.description,
            cache_hints={"tools/list": CacheHint(LIST_TTL_MS, "private")},
            get_tool_input_schema={name: tool.input_schema for name, tool in self.catalogue.tools.items()}.get,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        boundary = RequestStateBoundary(confirmation.security(self.settings), default_audience="xyte")
        self.server.middleware += [masked, boundary]

    def _tools(self, operations: Mapping[str, Operation]) -> list[Tool]:
        document = self.fastapi.openapi()
        converted, self.operation_map = convert_openapi_to_mcp_tools(document)
        resolved = resolve_schema_references(document, document)
        outputs = {name: output_schema(resolved, entry) for name, entry in self.operation_map.items()}
        return [
            described(tool, operations[tool.name], outputs[tool.name]) for tool in converted if tool.name in operations
        ]

    async def _list_tools(self, context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(offer_of(context).tools))

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        if params.name not in self.catalogue.operations:
            raise MCPError(-32602, "Unknown tool. tools/list names those there are; find_operations finds others.")
        state = context.request.scope["state"]
        state["operation"] = params.name
        started = time.perf_counter()
        result, error = await self._answer(context, params)
        TOOL_SECONDS.labels(params.name).observe(time.perf_counter() - started)
        TOOL_INVOCATIONS.labels(params.name, era_of(context)).inc()
        if error:
            state["outcome"] = error
            TOOL_ERRORS.labels(params.name, error).inc()
        return result

    async def _answer(
        self, context: Context, params: CallToolRequestParams
    ) -> tuple[CallToolResult | InputRequiredResult, str | None]:
        """The tool's result, and the code of its error if it failed; no exception leaves."""
        request_id = context.request.scope["state"]["request_id"]
        try:
            operation, arguments = self._asked(offer_of(context), params)
            return await self._run(context, params, operation, arguments), None
        except Planned as plan:
            return planned(plan), None
        except Problem as problem:
            return failed(problem, request_id), problem.error
        except Exception:  # the SDK would send its text to the client
            logger.exception("tool failed", extra={"operation": params.name, "request_id": request_id})
            return failed(Unforeseen(), request_id), Unforeseen.error

    def _asked(self, offer: Offer, params: CallToolRequestParams) -> tuple[Operation, dict[str, Any]]:
        """The operation and its arguments; run_operation stands for the one that it names."""
        name, arguments = params.name, dict(params.arguments or {})
        if name not in offer.listed:
            raise NotOffered(f"{name} is not among the tools of this connection.")
        if name == "run_operation":
            inner = self.catalogue.operations[name].bind(arguments)["call"]
            name, arguments = inner.operation, dict(inner.arguments)
            if name not in offer.reachable or name == "run_operation":
                raise NotOffered(f"There is no operation {name} here. find_operations finds those there are.")
        return self.catalogue.operations[name], arguments

    async def _run(
        self, context: Context, params: CallToolRequestParams, operation: Operation, arguments: dict[str, Any]
    ) -> CallToolResult | InputRequiredResult:
        fields = arguments.pop("fields", None) if operation.effect == "read" else None
        if fields is not None and not is_names(fields):
            raise InvalidInput("fields is a list of field names.")
        dry_run = bool(arguments.pop("dry_run", False)) if operation.effect != "read" else False
        confirm = arguments.pop("confirm", None) if operation.effect in confirmation.CONFIRMED else None
        values = operation.bind(arguments)
        request: Request = context.request
        resources: Resources = await get_resources(request)
        if operation.effect in confirmation.CONFIRMED and not dry_run:
            question = await confirmation.settle(context, params, operation, arguments, confirm, resources)
            if question is not None:
                return question
        caller = replace(request.scope["state"]["caller"], dry_run=dry_run)
        given = {
            get_resources: resources,
            auth.identify: caller,
            get_offer: offer_of(context),
            get_catalogue: self.catalogue,
        }
        return succeeded(await operation.call(values, given), fields)


def is_names(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in cast("list[Any]", value))


def operations_of(app: FastAPI) -> dict[str, Operation]:
    """Every route that declares an effect."""
    routes = [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)]
    return {str(route.name): Operation.of(route) for route in routes if "x-effect" in (route.openapi_extra or {})}


def output_schema(resolved: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's success."""
    responses: dict[str, Any] = resolved["paths"][entry["path"]][entry["method"]]["responses"]
    success = next((response for status, response in responses.items() if status.startswith("2")), {})
    return success.get("content", {}).get("application/json", {}).get("schema")


def offer_of(context: Context) -> Offer:
    """What this request may see, as the transport found it."""
    return context.request.scope["state"]["offer"]


def era_of(context: Context) -> str:
    """Which of the two protocols the client speaks; its exact version would be a label without bounds."""
    return "modern" if context.protocol_version >= "2026" else "legacy"


async def masked(context: Context, call_next: CallNext) -> HandlerResult:
    """Let nothing but an MCPError or a refused parameter reach the SDK, which shows any other exception's text.

    The greeting gets the instructions for what this request may see.
    """
    try:
        result = await call_next(context)
    except (MCPError, ValidationError):
        raise
    except Exception:
        logger.exception("method failed", extra={"mcp_method": context.method})
        raise MCPError(-32603, "Internal error. The request id finds it in the log.") from None
    if context.method in GREETINGS and isinstance(result, Mapping):
        return {**result, "instructions": instructions_for(offer_of(context))}
    return result
