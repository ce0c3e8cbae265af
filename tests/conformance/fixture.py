"""The tools, resources and prompts that the suite asks for by name, on the very endpoint of the product."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ImageContent,
    InputRequest,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListRootsRequest,
    ListToolsResult,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
    UnsubscribeRequestParams,
)
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard import Guard
from app.mcp import transport
from app.mcp.resources import unknown
from app.settings import Settings

Context: TypeAlias = ServerRequestContext[Any, Any]
Params: TypeAlias = CallToolRequestParams
Answer: TypeAlias = CallToolResult | InputRequiredResult
Run: TypeAlias = Callable[[Context, Params], Awaitable[Answer]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
EMPTY: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
REGION: dict[str, Any] = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
WHOLE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

SCHEMA_TOOL = "json_schema_2020_12_tool"
TOOLS: dict[str, tuple[Tool, Run]] = {}
bus = InMemorySubscriptionBus()


def tool(description: str, schema: Mapping[str, Any] = EMPTY) -> Callable[[Run], Run]:
    """A tool of the function's name, with `test_` before it as the suite wants it."""

    def add(run: Run) -> Run:
        name = run.__name__ if run.__name__ == SCHEMA_TOOL else f"test_{run.__name__}"
        TOOLS[name] = (Tool(name=name, description=description, input_schema=dict(schema)), run)
        return run

    return add


def said(*blocks: ContentBlock | str) -> CallToolResult:
    """A result of these."""
    return CallToolResult(content=[text(block) if isinstance(block, str) else block for block in blocks])


def text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=words))


def question(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(words: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=text(words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=50))


def given(params: Params | GetPromptRequestParams, name: str, member: str) -> str | None:
    """A member of a person's answer; nothing if it is not there or of another kind."""
    answer = (params.input_responses or {}).get(name)
    if not isinstance(answer, ElicitResult) or not answer.content:
        return None
    value = answer.content.get(member)
    return value if isinstance(value, str) else None


@tool("Says a text.")
async def simple_text(_context: Context, _params: Params) -> Answer:
    return said("This is a simple text response for testing.")


@tool("Gives an image.")
async def image_content(_context: Context, _params: Params) -> Answer:
    return said(ImageContent(type="image", data=PNG, mime_type="image/png"))


@tool("Gives a sound.")
async def audio_content(_context: Context, _params: Params) -> Answer:
    return said(AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


@tool("Gives a resource.")
async def embedded_resource(_context: Context, _params: Params) -> Answer:
    return said(embedded("test://embedded-resource", "This is an embedded resource content."))


@tool("Gives a text, an image and a resource.")
async def multiple_content_types(_context: Context, _params: Params) -> Answer:
    return said(
        "Multiple content types test:",
        ImageContent(type="image", data=PNG, mime_type="image/png"),
        embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json"),
    )


@tool("Writes to the log as it goes.")
async def tool_with_logging(context: Context, _params: Params) -> Answer:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        said_so = LoggingMessageNotification(params=LoggingMessageNotificationParams(level="info", data=words))
        if context.protocol_version < "2026":
            await context.session.send_notification(said_so, related_request_id=context.request_id)
        await asyncio.sleep(0.05)
    return said("Tool with logging executed successfully")


@tool("Writes to the log only where that was not given up.")
async def logging_tool(context: Context, params: Params) -> Answer:
    return await tool_with_logging(context, params)


@tool("Tells how far it is.")
async def tool_with_progress(context: Context, _params: Params) -> Answer:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100, f"Completed step {done} of 100")
        await asyncio.sleep(0.05)
    return said("done")


@tool("Fails.")
async def error_handling(_context: Context, _params: Params) -> Answer:
    return CallToolResult(content=[text("This tool intentionally returns an error for testing")], is_error=True)


@tool("Has an argument that is repeated in a header.", REGION)
async def x_mcp_header(_context: Context, params: Params) -> Answer:
    return said(f"region={(params.arguments or {}).get('region')}")


@tool("Has a schema with every keyword of JSON Schema 2020-12.", WHOLE_SCHEMA)
async def json_schema_2020_12_tool(_context: Context, _params: Params) -> Answer:
    return said("json_schema_2020_12_tool")


@tool("Needs a client that samples.")
async def missing_capability(context: Context, _params: Params) -> Answer:
    capabilities = context.session.client_capabilities
    if capabilities is None or capabilities.sampling is None:
        needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs sampling.", needed)
    return said("The client samples.")


@tool("Asks a person.")
async def input_required_result_elicitation(_context: Context, params: Params) -> Answer:
    if name := given(params, "user_name", "name"):
        return said(f"Hello, {name}!")
    return InputRequiredResult(input_requests={"user_name": question("What is your name?", "name")})


@tool("Asks a person, in the middle of a stream.")
async def streaming_elicitation(context: Context, params: Params) -> Answer:
    return await input_required_result_elicitation(context, params)


@tool("Asks a model.")
async def input_required_result_sampling(_context: Context, params: Params) -> Answer:
    if "capital_question" in (params.input_responses or {}):
        return said("Model said something.")
    return InputRequiredResult(input_requests={"capital_question": sample("What is the capital of France?")})


@tool("Asks for roots.")
async def input_required_result_list_roots(_context: Context, params: Params) -> Answer:
    if "client_roots" in (params.input_responses or {}):
        return said("Client exposed roots.")
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


@tool("Asks, and wants its state back.")
async def input_required_result_request_state(_context: Context, params: Params) -> Answer:
    if "confirm" in (params.input_responses or {}) and params.request_state == "nonce":
        return said("state-ok: confirmation received")
    confirm = question("Please confirm", "ok", "boolean")
    return InputRequiredResult(input_requests={"confirm": confirm}, request_state="nonce")


@tool("Asks for three things at once.")
async def input_required_result_multiple_inputs(_context: Context, params: Params) -> Answer:
    if {"user_name", "greeting", "client_roots"} <= (params.input_responses or {}).keys():
        return said("All inputs received.")
    asked: dict[str, InputRequest] = {
        "user_name": question("What is your name?", "name"),
        "greeting": sample("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    return InputRequiredResult(input_requests=asked, request_state="multiple-inputs")


@tool("Asks twice.")
async def input_required_result_multi_round(_context: Context, params: Params) -> Answer:
    state: dict[str, Any] = json.loads(params.request_state) if params.request_state else {"round": 0}
    name, colour = given(params, "step1", "name"), given(params, "step2", "color")
    if state["round"] == 2 and colour:
        return said(f"{state['name']} likes {colour}.")
    if state["round"] == 1 and name:
        again: dict[str, InputRequest] = {"step2": question("Step 2: What is your favorite color?", "color")}
        return InputRequiredResult(input_requests=again, request_state=json.dumps({"round": 2, "name": name}))
    asked: dict[str, InputRequest] = {"step1": question("Step 1: What is your name?", "name")}
    return InputRequiredResult(input_requests=asked, request_state=json.dumps({"round": 1}))


@tool("Asks; a state that was changed on its way is refused before it gets here.")
async def input_required_result_tampered_state(_context: Context, params: Params) -> Answer:
    if params.request_state is not None:
        return said(f"state-ok: {params.request_state}")
    confirm = question("Please confirm", "ok", "boolean")
    return InputRequiredResult(input_requests={"confirm": confirm}, request_state="round-1")


@tool("Asks for what the client can do.")
async def input_required_result_capabilities(context: Context, _params: Params) -> Answer:
    capabilities = context.session.client_capabilities
    asked: dict[str, InputRequest] = {}
    if capabilities and capabilities.sampling is not None:
        asked["sample"] = sample("Say hello")
    if capabilities and capabilities.elicitation is not None:
        asked["ask"] = question("What is your name?", "name")
    return InputRequiredResult(input_requests=asked, request_state="capability-gated")


@tool("Says that the list of tools has changed.")
async def trigger_tool_change(_context: Context, _params: Params) -> Answer:
    await bus.publish(ToolsListChanged())
    return said("tool list changed")


@tool("Says that the list of prompts has changed.")
async def trigger_prompt_change(_context: Context, _params: Params) -> Answer:
    await bus.publish(PromptsListChanged())
    return said("prompt list changed")


def argument(name: str) -> PromptArgument:
    return PromptArgument(name=name, description=f"The {name}.", required=True)


PROMPTS = [
    Prompt(name="test_simple_prompt", description="Without arguments."),
    Prompt(name="test_prompt_with_arguments", description="With two.", arguments=[argument("arg1"), argument("arg2")]),
    Prompt(name="test_prompt_with_embedded_resource", description="A file.", arguments=[argument("resourceUri")]),
    Prompt(name="test_prompt_with_image", description="With an image."),
    Prompt(name="test_input_required_result_prompt", description="Asks a person."),
]
WATCHED = "test://watched-resource"
RESOURCES: dict[str, TextResourceContents | BlobResourceContents] = {
    "test://static-text": TextResourceContents(
        uri="test://static-text", mime_type="text/plain", text="This is the content of the static text resource."
    ),
    "test://static-binary": BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=PNG),
    WATCHED: TextResourceContents(uri=WATCHED, mime_type="text/plain", text="Watched resource content"),
}
TEMPLATE = "test://template/{id}/data"


async def list_tools(_context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[TOOLS[name][0] for name in sorted(TOOLS)])


async def call_tool(context: Context, params: CallToolRequestParams) -> Answer:
    if params.name not in TOOLS:
        raise MCPError(-32602, "Unknown tool.")
    return await TOOLS[params.name][1](context, params)


async def list_resources(_context: Context, _params: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=[Resource(uri=uri, name=uri.partition("://")[2]) for uri in RESOURCES])


async def list_templates(_context: Context, _params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=[ResourceTemplate(uri_template=TEMPLATE, name="template")])


async def read_resource(_context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    start, end = TEMPLATE.split("{id}")
    if params.uri.startswith(start) and params.uri.endswith(end):
        identity = params.uri.removeprefix(start).removesuffix(end)
        words = json.dumps({"id": identity, "templateTest": True, "data": f"Data for ID: {identity}"})
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, text=words)])
    if params.uri not in RESOURCES:
        raise unknown(params.uri)
    return ReadResourceResult(contents=[RESOURCES[params.uri]])


async def list_prompts(_context: Context, _params: PaginatedRequestParams | None) -> ListPromptsResult:
    return ListPromptsResult(prompts=PROMPTS)


async def get_prompt(_context: Context, params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
    arguments = params.arguments or {}
    blocks: list[ContentBlock]
    match params.name:
        case "test_simple_prompt":
            blocks = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            blocks = [text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'")]
        case "test_prompt_with_embedded_resource":
            blocks = [embedded(arguments["resourceUri"], "Embedded resource content for testing."), text("Read it.")]
        case "test_prompt_with_image":
            blocks = [ImageContent(type="image", data=PNG, mime_type="image/png"), text("Please analyze the image.")]
        case "test_input_required_result_prompt":
            if not (words := given(params, "user_context", "context")):
                asked: dict[str, InputRequest] = {
                    "user_context": question("What context should the prompt use?", "context")
                }
                return InputRequiredResult(input_requests=asked)
            blocks = [text(f"Use the following context: {words}")]
        case _:
            raise MCPError(-32602, "Unknown prompt.")
    return GetPromptResult(messages=[PromptMessage(role="user", content=block) for block in blocks])


async def complete(_context: Context, _params: CompleteRequestParams) -> CompleteResult:
    return CompleteResult(completion=Completion(values=[], total=0, has_more=False))


async def set_level(_context: Context, _params: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


async def subscribe(_context: Context, _params: SubscribeRequestParams) -> EmptyResult:
    return EmptyResult()


async def unsubscribe(_context: Context, _params: UnsubscribeRequestParams) -> EmptyResult:
    return EmptyResult()


def server() -> Server[Any]:
    """Everything above."""
    made: Server[Any] = Server(
        "fixture",
        version="1",
        get_tool_input_schema={name: entry.input_schema for name, (entry, _) in TOOLS.items()}.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    made.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    made.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    made.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    return made


async def admit(scope: Scope, headers: Headers) -> None:
    """Anybody who speaks the protocol."""
    transport.check_http(scope, headers)


async def nothing_quick(*_: Any) -> Response | None:
    return None


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(status_code=404)(scope, receive, send)


def create_fixture(settings: Settings) -> tuple[ASGIApp, transport.McpEndpoint]:
    """The application, and the endpoint that has to be kept running."""
    seal = RequestStateSecurity(keys=["a key for the fixtures only, and nothing else"], audience="xyte")
    endpoint = transport.McpEndpoint(server(), seal, admit, nothing_quick)

    def render(scope: Scope, problem: Any) -> Response:
        return transport.as_jsonrpc(scope, problem)

    return Guard(transport.McpDoor(nowhere, endpoint), settings, render), endpoint
