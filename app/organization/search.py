"""Search and fetch over devices, spaces, open tickets and active incidents, as document connectors ask for them."""

import asyncio
import re
import time
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query

from app.dependencies import OrganizationApi, Resources
from app.effects import READ
from app.errors import NotFound
from app.xyte.client import XyteClient
from app.xyte.schemas.search import Document, SearchQuery, SearchResult, SearchResults

router = APIRouter(tags=["Search"])

PAGES = 10
HITS = 20
KINDS: Mapping[str, tuple[str, ...]] = {
    "device": ("devices",),
    "space": ("spaces",),
    "ticket": ("tickets",),
    "incident": ("incidents",),
}
DocumentId = Annotated[
    str,
    Path(
        alias="id",  # the name that connectors give it
        pattern=r"^(device|space|ticket|incident):[A-Za-z0-9_-]{1,128}$",
        description="As found by search.",
    ),
]


@router.get("/search", summary="Search", openapi_extra=READ)
async def search(xyte: OrganizationApi, resources: Resources, wanted: Annotated[SearchQuery, Query()]) -> SearchResults:
    """Devices, spaces, open tickets and active incidents whose names and places contain the words; then fetch one.

    Costs several calls; where the kind is known, its list operation is cheaper.
    """
    words = words_of(wanted.query)
    lists = await asyncio.gather(*(rows_of(xyte, kind) for kind in KINDS))
    scored = [
        (score(words, row), kind, row) for kind, rows in zip(KINDS, lists, strict=True) for row in rows if row.get("id")
    ]
    hits = sorted((hit for hit in scored if hit[0] > 0), key=lambda hit: -hit[0])[:HITS]
    public_url = resources.settings.public_url
    return SearchResults(
        results=[
            SearchResult(id=f"{kind}:{row['id']}", title=title(kind, row), url=url(public_url, kind, row["id"]))
            for _, kind, row in hits
        ]
    )


@router.get("/documents/{id}", summary="Fetch a document", openapi_extra=READ)
async def fetch(xyte: OrganizationApi, resources: Resources, document_id: DocumentId) -> Document:
    """One record found by search, whole: its fields as text and as data."""
    kind, _, identity = document_id.partition(":")
    record = await record_of(xyte, kind, identity)
    return Document(
        id=document_id,
        title=title(kind, record),
        text=orjson.dumps(record, option=orjson.OPT_INDENT_2).decode(),
        url=url(resources.settings.public_url, kind, identity),
        metadata={"kind": kind},
    )


async def record_of(xyte: XyteClient, kind: str, identity: str) -> dict[str, Any]:
    """The record; Xyte gives incidents in their list only."""
    if kind != "incident":
        return (await xyte.get(dict[str, Any], *KINDS[kind], identity)).value
    found = next((row for row in await rows_of(xyte, kind) if str(row.get("id")) == identity), None)
    if found is None:
        raise NotFound("No active incident has this id. search finds those there are.")
    return found


async def rows_of(xyte: XyteClient, kind: str) -> list[dict[str, Any]]:
    """A whole list, as far as it is read."""
    active = {"status": "active", "from": 0, "to": int(time.time())}  # without both times, the last week alone
    query: dict[str, Any] = active if kind == "incident" else {}
    rows: list[dict[str, Any]] = []
    for page in range(1, PAGES + 1):
        paging = {} if kind == "ticket" else {"page": page, "per_page": 100}
        answer = (await xyte.page(dict[str, Any], *KINDS[kind], query=query | paging)).value
        rows += answer["items"]
        if not answer["has_more"]:
            break
    return rows


def title(kind: str, row: Mapping[str, Any]) -> str:
    """What a person calls it, and where it is."""
    name = row.get("name") or row.get("title") or kind
    space: dict[str, Any] = row.get("space") or {}
    place: str | None = space.get("full_path") or row.get("space_tree_path_name") or row.get("full_path")
    return f"{name} ({place})" if place else str(name)


def url(public_url: str, kind: str, identity: Any) -> str:
    """Where the record is read."""
    path = f"{KINDS[kind][0]}/{identity}"
    return f"{public_url}/v1/{path}" if public_url else f"xyte://{path}"


def score(words: set[str], row: Mapping[str, Any]) -> float:
    """The part of the words that stand in a record, those in its name counting twice."""
    name, everything = words_of(title("", row)), words_of(str(list(row.values())))
    return sum((word in name) + (word in everything) for word in words) / len(words) if words else 0.0


def words_of(text: str) -> set[str]:
    """Words without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(re.findall(r"[a-z0-9]+", "".join(mark for mark in plain if not unicodedata.combining(mark))))
