"""The FastApiMCP subclass: its conversion makes the tools, ours are server, transport and execution."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
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
    Implementation,
    InitializeResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from mcp_types.methods import serialize_server_result
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from app import auth
from app.errors import InvalidInput, NotOffered, Problem, Unforeseen
from app.mcp import confirmation
from app.mcp.confirmation import request_of
from app.mcp.guidance import described, instructions_for
from app.mcp.operations import Operation, extra_of
from app.mcp.results import Outcome, failed, planned, succeeded
from app.mcp.router import get_catalogue, get_offer
from app.mcp.selection import Catalogue, Offer
from app.progress import get_report, unheard
from app.resources import Resources, get_resources
from app.settings import Settings
from app.telemetry import TOOL_ERRORS, TOOL_INVOCATIONS, TOOL_SECONDS
from app.xyte.client import Planned

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
Settle = Callable[[Operation, dict[str, Any], Any, Resources], Awaitable[None]]
LIST_TTL_MS = 300_000
GREETINGS = frozenset({"initialize", "server/discover"})


class GatewayMCP(FastApiMCP):
    """Tools are the operations that declare an effect."""

    catalogue: Catalogue

    def __init__(self, app: FastAPI) -> None:
        self.settings: Settings = app.state.settings
        unused = httpx.AsyncClient(transport=httpx.AsyncBaseTransport())  # or the base class makes one
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
            description="The Xyte cloud as tools.",
            cache_hints={"tools/list": CacheHint(LIST_TTL_MS, "private")},
            get_tool_input_schema={name: tool.input_schema for name, tool in self.catalogue.tools.items()}.get,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        boundary = RequestStateBoundary(confirmation.security(self.settings), default_audience="xyte")
        self.server.middleware.append(masked)
        self.server.middleware.append(boundary)

    def _tools(self, operations: Mapping[str, Operation]) -> list[Tool]:
        document = without_problems(self.fastapi.openapi())
        converted, self.operation_map = convert_openapi_to_mcp_tools(document)
        resolved = resolve_schema_references(document, document)
        outputs = {name: output_schema(resolved, entry) for name, entry in self.operation_map.items()}
        return [
            described(tool, operations[tool.name], outputs[tool.name]) for tool in converted if tool.name in operations
        ]

    def listed(self, offer: Offer, era: str) -> dict[str, Any]:
        """The answer to tools/list as the SDK would serialize it."""
        result = ListToolsResult(tools=list(offer.tools))
        if era == "modern":
            result = ListToolsResult(tools=list(offer.tools), ttl_ms=LIST_TTL_MS, cache_scope="private")
        version = "2026-07-28" if era == "modern" else "2025-11-25"
        dumped = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        wire = serialize_server_result("tools/list", version, dumped)
        wire.pop("resultType", None)
        return wire

    def greeting(self, offer: Offer, asked_version: str) -> dict[str, Any]:
        """The answer to initialize as the SDK would serialize it."""
        version = asked_version if asked_version in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
        result = InitializeResult(
            protocol_version=version,
            capabilities=self.server.create_initialization_options().capabilities,
            server_info=Implementation.model_validate(self.server.server_info_stamp),
            instructions=instructions_for(offer),
        )
        return serialize_server_result("initialize", version, result.model_dump(by_alias=True, mode="json"))

    async def _list_tools(self, context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(offer_of(context).tools))

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        if params.name not in self.catalogue.operations:
            raise MCPError(-32602, "Unknown tool. tools/list names those there are; find_operations finds others.")

        async def settle(operation: Operation, arguments: dict[str, Any], confirm: Any, resources: Resources) -> None:
            if question := await confirmation.settle(context, params, operation, arguments, confirm, resources):
                raise confirmation.Asked(question)

        try:
            era = "modern" if context.protocol_version >= "2026" else "legacy"
            request = request_of(context)
            request.scope["state"]["report"] = context.session.report_progress
            outcome = await self.call(request, params.name, params.arguments or {}, era, settle)
        except confirmation.Asked as asked:
            return asked.question
        return outcome.as_result()

    async def call(
        self, request: HTTPConnection, name: str, arguments: Mapping[str, Any], era: str, settle: Settle
    ) -> Outcome:
        """Run a tool; whatever happens in it is its outcome."""
        state = request.scope["state"]
        state["operation"] = name
        started = time.perf_counter()
        try:
            outcome, error = await self._run(request, name, arguments, settle), None
        except Planned as plan:
            outcome, error = planned(plan), None
        except Problem as problem:
            outcome, error = failed(problem, state["request_id"]), problem.error
        except confirmation.Asked:
            raise
        except Exception:  # the SDK would send its text to the client
            logger.exception("tool failed", extra={"operation": name, "request_id": state["request_id"]})
            outcome, error = failed(Unforeseen(), state["request_id"]), Unforeseen.error
        TOOL_SECONDS.labels(name).observe(time.perf_counter() - started)
        TOOL_INVOCATIONS.labels(name, era).inc()
        if error:
            state["outcome"] = error
            TOOL_ERRORS.labels(name, error).inc()
        return outcome

    async def _run(self, request: HTTPConnection, name: str, arguments: Mapping[str, Any], settle: Settle) -> Outcome:
        state = request.scope["state"]
        offer: Offer = state["offer"]
        operation, asked = self._asked(offer, name, dict(arguments))
        reads, needs_person = operation.effect == "read", operation.effect in confirmation.CONFIRMED
        fields = asked.pop("fields", None) if reads else None
        if fields is not None and not is_names(fields):
            raise InvalidInput("fields is a list of field names.")
        dry_run = not reads and bool(asked.pop("dry_run", False))
        confirm = asked.pop("confirm", None) if needs_person else None
        values = operation.bind(asked)
        resources = await get_resources(request)
        if needs_person and not dry_run:
            await settle(operation, asked, confirm, resources)
        caller = replace(state["caller"], dry_run=True) if dry_run else state["caller"]
        given: dict[Any, Any] = {
            get_resources: resources,
            auth.get_caller: caller,
            get_offer: offer,
            get_catalogue: self.catalogue,
            get_report: state.get("report", unheard),
        }
        return succeeded(await operation.call(values, given), fields)

    def _asked(self, offer: Offer, name: str, arguments: dict[str, Any]) -> tuple[Operation, dict[str, Any]]:
        """The operation and its arguments; run_operation stands for the one that it names."""
        if name not in offer.listed:
            raise NotOffered(f"{name} is not among the tools of this connection.")
        if name == "run_operation":
            inner = self.catalogue.operations[name].bind(arguments)["call"]
            name, arguments = inner.operation, dict(inner.arguments)
            if name not in offer.reachable or name == "run_operation":
                raise NotOffered(f"There is no operation {name} here. find_operations finds those there are.")
        return self.catalogue.operations[name], arguments


def without_problems(document: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI for the conversion, which knows no lists of types and would write out the problem's shape each time."""
    paths = {
        path: {
            method: {**operation, "responses": {s: r for s, r in operation["responses"].items() if s.startswith("2")}}
            for method, operation in operations.items()
        }
        for path, operations in document["paths"].items()
    }
    return with_choices({**document, "paths": paths})


def with_choices(part: Any) -> Any:
    """A schema in which a list of types is a choice between them."""
    if isinstance(part, list):
        return [with_choices(item) for item in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    schema = {name: with_choices(value) for name, value in cast("dict[str, Any]", part).items()}
    if isinstance(schema.get("type"), list):
        schema["anyOf"] = [{"type": name} for name in schema.pop("type")]
    return schema


def is_names(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in cast("list[Any]", value))


def operations_of(app: FastAPI) -> dict[str, Operation]:
    """Every route that declares an effect, and does not say that it is no tool."""
    routes = [route for route in iter_route_contexts(app.routes) if isinstance(route.original_route, APIRoute)]
    offered = [route for route in routes if "x-effect" in extra_of(route) and extra_of(route).get("x-tool", True)]
    return {str(route.name): Operation.of(route) for route in offered}


def output_schema(resolved: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's success."""
    responses: dict[str, Any] = resolved["paths"][entry["path"]][entry["method"]]["responses"]
    for status, response in responses.items():
        if status.startswith("2"):
            return response.get("content", {}).get("application/json", {}).get("schema")
    return None


def offer_of(context: Context) -> Offer:
    """What this request may see, as the transport found it."""
    return request_of(context).scope["state"]["offer"]


async def masked(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Let nothing but an MCPError or a refused parameter reach the SDK, which shows any other exception's text.

    The greeting gets the instructions for what this request may see.
    """
    try:
        result = await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except Exception:
        logger.exception("method failed", extra={"mcp_method": ctx.method})
        raise MCPError(-32603, "Internal error. The request id finds it in the log.") from None
    if ctx.method in GREETINGS and isinstance(result, Mapping):
        return {**result, "instructions": instructions_for(offer_of(ctx))}
    return result
