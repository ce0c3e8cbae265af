"""The FastApiMCP subclass: its conversion makes the tools, ours are server, transport and execution."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import httpx
import orjson
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
    CompleteRequestParams,
    CompleteResult,
    GetPromptRequestParams,
    GetPromptResult,
    Implementation,
    InitializeResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    ServerCapabilities,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    TextResourceContents,
    Tool,
)
from mcp_types.methods import serialize_server_result
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from starlette.requests import HTTPConnection

from app import auth
from app.errors import InvalidInput, NotOffered, Problem, Unforeseen
from app.mcp import confirmation, prompts, resources
from app.mcp.apps import APPS
from app.mcp.completions import Completions
from app.mcp.confirmation import request_of
from app.mcp.guidance import described, instructions_for
from app.mcp.operations import Operation, extra_of
from app.mcp.resources import Live, Page, Shelf, documents, page_of
from app.mcp.results import Outcome, failed, planned, succeeded
from app.mcp.router import get_catalogue, get_offer
from app.mcp.selection import Catalogue, Offer
from app.mcp.subscriptions import Listening
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
PAGES: tuple[Page, ...] = (*documents(), *APPS)
"""Resources that are the same for all."""


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
        self._shelf = Shelf(self.catalogue, PAGES)
        self._completions = Completions(self._shelf)
        self._listening = Listening()
        self.server: Server[Any] = StillServer(
            self.name,
            version=self.fastapi.version,
            title="Xyte gateway",
            description="The Xyte cloud as tools.",
            cache_hints={
                "server/discover": CacheHint(LIST_TTL_MS, "private"),
                "tools/list": CacheHint(LIST_TTL_MS, "private"),
                "resources/list": CacheHint(LIST_TTL_MS, "private"),
                "resources/templates/list": CacheHint(LIST_TTL_MS, "private"),
                "resources/read": CacheHint(resources.LIVE_TTL_MS, "private"),
                "prompts/list": CacheHint(LIST_TTL_MS, "private"),
            },
            get_tool_input_schema={name: tool.input_schema for name, tool in self.catalogue.tools.items()}.get,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_subscriptions_listen=self._listen,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_completion=self._complete,
        )
        # Instead of the SDK's own traces, whose spans hold the ids of requests; ours are made around each request.
        self.server.middleware = [greeted]

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

    async def _list_tools(self, context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        tools = offer_of(context).tools
        return ListToolsResult(tools=page_of(tools, cursor_in(params), size=len(tools) or 1)[0])

    async def _list_resources(self, context: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        shown, cursor = page_of(self._shelf.listed(offer_of(context)), cursor_in(params))
        return ListResourcesResult(resources=shown, next_cursor=cursor)

    async def _list_templates(
        self, context: Context, params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        shown, cursor = page_of(self._shelf.templates(offer_of(context)), cursor_in(params))
        return ListResourceTemplatesResult(resource_templates=shown, next_cursor=cursor)

    async def _list_prompts(self, context: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        workflows = prompts.offered(offer_of(context))
        shown, cursor = page_of([workflow.listed() for workflow in workflows], cursor_in(params))
        return ListPromptsResult(prompts=shown, next_cursor=cursor)

    async def _get_prompt(self, context: Context, params: GetPromptRequestParams) -> GetPromptResult:
        return prompts.filled(params.name, params.arguments, offer_of(context))

    async def _read_resource(self, context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        if page := self._shelf.pages.get(params.uri):
            contents = TextResourceContents(uri=page.uri, mime_type=page.mime_type, text=page.text, _meta=page.meta)
            return ReadResourceResult(contents=[contents], ttl_ms=resources.PAGE_TTL_MS)
        found = self._shelf.find(params.uri, offer_of(context))
        if found is None:
            raise resources.unknown(params.uri)
        outcome = await self._read(context, *found)
        if outcome.content is None:
            raise unreadable(outcome, params.uri)
        contents = TextResourceContents(uri=params.uri, mime_type=resources.JSON, text=outcome.text.decode())
        return ReadResourceResult(contents=[contents])

    async def _read(self, context: Context, live: Live, arguments: Mapping[str, Any]) -> Outcome:
        """The operation's answer, under the checks of its tool."""
        narrowed = {"fields": list(live.fields)} if live.fields else {}
        return await self._ask(context, live.operation, {**arguments, **narrowed})

    async def _ask(self, context: Context, operation: str, arguments: Mapping[str, Any]) -> Outcome:
        offered = offer_of(context).reachable
        return await self.call(
            request_of(context), operation, arguments, era_of(context), confirmation.unasked, offered=offered
        )

    async def _complete(self, context: Context, params: CompleteRequestParams) -> CompleteResult:
        async def ask(operation: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
            return (await self._ask(context, operation, arguments)).content

        request = request_of(context)
        fingerprint: str = request.scope["state"]["caller"].fingerprint
        memory = (await get_resources(request)).completions
        return await self._completions.complete(params, offer_of(context), fingerprint, memory, ask)

    async def _listen(self, context: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        async def authorize(uri: str) -> tuple[Live, Mapping[str, str]] | None:
            found = self._shelf.find(uri, offer_of(context))
            return found if found and (await self._read(context, *found)).content is not None else None

        request = request_of(context)
        caller: auth.Caller = request.scope["state"]["caller"]
        return await self._listening(context, params, await get_resources(request), caller, authorize)

    async def _call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        if params.name not in self.catalogue.operations:
            raise MCPError(-32602, "Unknown tool. tools/list names those there are; find_operations finds others.")

        async def settle(operation: Operation, arguments: dict[str, Any], confirm: Any, resources: Resources) -> None:
            if question := await confirmation.settle(context, params, operation, arguments, confirm, resources):
                raise confirmation.Asked(question)

        try:
            era = era_of(context)
            request = request_of(context)
            request.scope["state"]["report"] = context.session.report_progress
            outcome = await self.call(request, params.name, params.arguments or {}, era, settle)
        except confirmation.Asked as asked:
            return asked.question
        return outcome.as_result()

    async def call(
        self,
        request: HTTPConnection,
        name: str,
        arguments: Mapping[str, Any],
        era: str,
        settle: Settle,
        *,
        offered: frozenset[str] | None = None,
    ) -> Outcome:
        """Run an operation, by default one of the listed tools; whatever happens in it is its outcome."""
        state = request.scope["state"]
        state["operation"] = name
        started = time.perf_counter()
        try:
            outcome, error = await self._run(request, name, arguments, settle, offered), None
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

    async def _run(
        self,
        request: HTTPConnection,
        name: str,
        arguments: Mapping[str, Any],
        settle: Settle,
        offered: frozenset[str] | None,
    ) -> Outcome:
        state = request.scope["state"]
        offer: Offer = state["offer"]
        operation, asked = self._asked(offer, name, dict(arguments), offer.callable if offered is None else offered)
        reads, needs_person = operation.effect == "read", operation.effect in confirmation.CONFIRMED
        fields = asked.pop("fields", None) if reads else None
        if fields is not None and not is_names(fields):
            raise InvalidInput("fields is a list of field names.")
        dry_run = not reads and bool(asked.pop("dry_run", False))
        confirm = asked.pop("confirm", None) if needs_person else None
        values = operation.bind(asked)
        held = await get_resources(request)
        if needs_person and not dry_run:
            await settle(operation, asked, confirm, held)
        caller = replace(state["caller"], dry_run=True) if dry_run else state["caller"]
        given: dict[Any, Any] = {
            get_resources: held,
            auth.get_caller: caller,
            get_offer: offer,
            get_catalogue: self.catalogue,
            get_report: state.get("report", unheard),
        }
        outcome = succeeded(await operation.call(values, given), fields)
        return self._linked(outcome, operation.name, asked, request) if operation.name in resources.LINKS else outcome

    def _linked(
        self, outcome: Outcome, operation: str, arguments: Mapping[str, Any], request: HTTPConnection
    ) -> Outcome:
        """With a link for clients that know them."""
        if request.headers.get("mcp-protocol-version", "") < resources.LINKS_SINCE:
            return outcome
        values = {"task_id": (outcome.content or {}).get("id"), **arguments}
        return replace(outcome, link=self._shelf.link_of(operation, values, request.scope["state"]["offer"]))

    def _asked(
        self, offer: Offer, name: str, arguments: dict[str, Any], offered: frozenset[str]
    ) -> tuple[Operation, dict[str, Any]]:
        """The operation and its arguments; run_operation stands for the one that it names."""
        if name not in offered:
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


def era_of(context: Context) -> str:
    """Which protocol the request speaks."""
    return "modern" if context.protocol_version >= "2026" else "legacy"


def cursor_in(params: PaginatedRequestParams | None) -> str | None:
    """Where a list is to go on."""
    return params.cursor if params else None


def unreadable(outcome: Outcome, uri: str) -> MCPError:
    """A problem in the words of the protocol, whose own code for what is not there has to be used."""
    body = orjson.loads(outcome.text)
    if body["status"] == 404:
        return MCPError(resources.INVALID_PARAMS, f"No such resource. {body['detail']}", {"uri": uri, **body})
    code = resources.INVALID_PARAMS if body["status"] == 422 else -31000 - body["status"]
    return MCPError(code, body["detail"], {"uri": uri, **body})


class StillServer(Server[Any]):
    """Its lists change with a release only, so it does not promise to tell."""

    def get_capabilities(self, *positional: Any, **named: Any) -> ServerCapabilities:
        capabilities = super().get_capabilities(*positional, **named)
        for lists in (capabilities.tools, capabilities.resources, capabilities.prompts):
            if lists is not None:
                lists.list_changed = False
        return capabilities


async def greeted(ctx: Context, call_next: CallNext) -> HandlerResult:
    """The greeting gets the instructions for what this request may see."""
    result = await call_next(ctx)
    if ctx.method in GREETINGS and isinstance(result, Mapping):
        return {**result, "instructions": instructions_for(offer_of(ctx))}
    return result
