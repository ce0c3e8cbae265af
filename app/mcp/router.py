"""Operations about operations: who calls, which there are, and a way to run any of them."""

import difflib
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app import __version__, auth
from app.dependencies import Caller, OrganizationApi, Resources
from app.effects import DESTRUCTIVE, READ, Effect
from app.errors import NotOffered, XyteRefusedKey
from app.mcp.operations import Operation
from app.mcp.selection import Catalogue, Offer, selection_of
from app.resources import get_resources
from app.xyte.schemas.info import OrganizationInfo
from app.xyte.schemas.shapes import Sent

router = APIRouter(tags=["Context"])


async def get_catalogue(request: Request) -> Catalogue:
    """All tools there are."""
    return request.app.state.catalogue


async def get_offer(request: Request) -> Offer:
    """What this request may use, by its headers and query."""
    return request.app.state.catalogue.offer(
        selection_of(request.url.path, request.headers, request.scope["query_string"])
    )


Tools = Annotated[Catalogue, Depends(get_catalogue)]
Offered = Annotated[Offer, Depends(get_offer)]


class Toolset(BaseModel):
    """A group of tools that can be chosen by its name."""

    name: str
    tools: list[str]
    bytes: int = Field(description="Size of its list of tools.")
    tokens: int = Field(description="About how many tokens a model spends on reading it.")


class Toolsets(BaseModel):
    """All groups, how to choose, and what tells one state of the tools from another."""

    items: list[Toolset]
    version: str = Field(description="The gateway's.")
    sha256: str = Field(description="Changes when any tool does.")
    choose: str = (
        "/mcp/x/NAME,NAME; /mcp/readonly; headers X-MCP-Toolsets, X-MCP-Tools, X-MCP-Exclude-Tools, X-MCP-Readonly"
    )


class Limit(BaseModel):
    """How often this key may call."""

    per_minute: int
    burst: int


class Identity(BaseModel):
    """Who the key belongs to and what it may use here."""

    scope: str = Field(description="organization or partner.")
    organization_id: str | None = None
    organization: str | None = None
    key_id: str = Field(description="What stands for this key in the operator's logs.")
    limit: Limit
    toolsets: list[str] = Field(description="Chosen for this connection.")
    available_toolsets: list[str]
    tools: int = Field(description="How many tools this connection lists.")
    read_only: bool


class OperationQuery(Sent):
    """What to look for."""

    query: str = Field(min_length=1, max_length=200, description="Words for what is to be done, such as: move device.")
    limit: int = Field(default=5, ge=1, le=20, description="How many at most.")


class OperationFound(BaseModel):
    """An operation and its arguments."""

    name: str
    description: str
    effect: Effect
    toolset: str
    input_schema: dict[str, Any]


class OperationsFound(BaseModel):
    """Best first."""

    items: list[OperationFound]


class OperationCall(Sent):
    """Which operation, with what."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"operation": "get_device", "arguments": {"device_id": "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f"}}
        }
    )

    operation: str = Field(max_length=64, description="As found by find_operations.")
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], description="By its input_schema.")


@router.get("/whoami", summary="Who am I", openapi_extra=READ)
async def whoami(
    caller: Caller, resources: Resources, catalogue: Tools, offer: Offered, xyte: OrganizationApi
) -> Identity:
    """The organization behind the key, its limits, and the toolsets there are. Call it first when in doubt."""
    settings = resources.settings
    info: dict[str, Any] = {}
    try:
        info = (await xyte.get(OrganizationInfo, "info")).value
    except XyteRefusedKey:
        await auth.tenant_of(resources, caller)  # a partner's key is known there, any other is refused
    return Identity(
        scope="organization" if info else "partner",
        organization_id=info.get("id"),
        organization=info.get("name"),
        key_id=caller.key_id,
        limit=Limit(per_minute=settings.rate_limit_per_minute, burst=settings.rate_limit_burst),
        toolsets=list(offer.toolsets),
        available_toolsets=list(catalogue.toolsets),
        tools=len(offer.listed),
        read_only=offer.read_only,
    )


@router.get("/toolsets", summary="List toolsets", openapi_extra=READ)
async def list_toolsets(catalogue: Tools) -> Toolsets:
    """The groups of tools that a connection may choose, with what each costs a model to read."""
    items = [
        Toolset(name=name, tools=list(catalogue.groups[name]), bytes=cost.bytes, tokens=cost.tokens)
        for name, cost in catalogue.costs.items()
    ]
    return Toolsets(items=items, version=__version__, sha256=catalogue.digest)


@router.get("/operations", summary="Find operations", openapi_extra=READ)
async def find_operations(
    catalogue: Tools, offer: Offered, wanted: Annotated[OperationQuery, Query()]
) -> OperationsFound:
    """Search everything this key may do by words, with the arguments of each hit; then run_operation runs one.

    For tasks that no listed tool covers.
    """
    ranked = sorted(offer.reachable - {"run_operation", "find_operations"})
    ranked.sort(key=lambda name: -likeness(wanted.query, catalogue.operations[name]))
    return OperationsFound(items=[found(name, catalogue) for name in ranked[: wanted.limit]])


@router.post("/operations/run", summary="Run an operation", openapi_extra=DESTRUCTIVE)
async def run_operation(
    catalogue: Tools, offer: Offered, resources: Resources, caller: Caller, call: OperationCall
) -> Any:
    """Run any operation by name, as found by find_operations, under the same checks as its own tool.

    confirm and dry_run go among the arguments.
    """
    if call.operation not in offer.reachable or call.operation == "run_operation":
        raise NotOffered(f"There is no operation {call.operation} here. find_operations finds those there are.")
    operation = catalogue.operations[call.operation]
    given = {get_resources: resources, auth.get_caller: caller, get_offer: offer, get_catalogue: catalogue}
    return await operation.call(operation.bind(call.arguments), given)


def found(name: str, catalogue: Catalogue) -> OperationFound:
    """An operation as a search hit."""
    operation, tool = catalogue.operations[name], catalogue.tools[name]
    return OperationFound(
        name=name,
        description=tool.description or "",
        effect=operation.effect,
        toolset=operation.toolset,
        input_schema=tool.input_schema,
    )


def likeness(query: str, operation: Operation) -> float:
    """How well an operation answers to words: its name counts most, then its title, then what it says of itself."""
    texts = (
        (operation.name.replace("_", " "), 3.0),
        (operation.route.summary or "", 2.0),
        (operation.route.description or "", 1.0),
    )
    return sum(weight * share(words_of(query), words_of(text)) for text, weight in texts)


def share(wanted: set[str], there: set[str]) -> float:
    """The part of the wanted words that is there, nearly written ones counting half."""
    hits = [
        1.0 if word in there else 0.5 if difflib.get_close_matches(word, there, n=1, cutoff=0.8) else 0.0
        for word in wanted
    ]
    return sum(hits) / len(wanted) if wanted else 0.0


def words_of(text: str) -> set[str]:
    """Words in lower case, plurals as singulars."""
    return {word.rstrip("s") or word for word in re.findall(r"[a-z0-9]+", text.lower())}
