"""What may stand in an address or in a prompt's argument, from what the caller's key can see just now."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from app.mcp.prompts import WORKFLOWS
from app.mcp.resources import DOCS, LIVE, Shelf
from app.mcp.selection import Offer
from app.xyte.memory import Memory

MOST_VALUES = 100
MOST_PAGES = 5

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""Calls an operation for the caller; nothing if it refuses."""


@dataclass(frozen=True)
class Source:
    """The list that has the values: which field is one, and which ones a person may know it by."""

    operation: str
    value: str
    labels: tuple[str, ...] = ()
    paging: Mapping[str, int] = field(default_factory=lambda: {"per_page": 100})


DEVICES = ("name", "sn", "mac")
SOURCES: Mapping[str, Source] = {
    "device_id": Source("list_devices", "id", DEVICES),
    "device": Source("list_devices", "name", (*DEVICES, "id")),
    "space": Source("list_spaces", "name", ("full_path",)),
    "room": Source("list_rooms", "path", ("name",)),
    "ticket_id": Source("list_tickets", "id", ("title",), {}),
    "task_id": Source("list_tasks", "id", ("command", "device_id", "state"), {"limit": 100}),
    "name": Source("list_presets", "name", ("title",), {}),
    "preset": Source("list_presets", "name", ("title",), {}),
}
"""By the name of the argument."""
WITHOUT_ROOMS = SOURCES | {"room": SOURCES["space"]}

Row = tuple[str, str]
"""A value, and the words by which it is found."""


class Completions:
    """Each caller's lists are remembered for a while under the fingerprint of the key."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def complete(
        self, params: CompleteRequestParams, offer: Offer, fingerprint: str, memory: Memory, ask: Ask
    ) -> CompleteResult:
        """The values that fit what was typed; none for what there is not."""
        values = await self._values(params, offer, fingerprint, memory, ask)
        shown = Completion(values=values[:MOST_VALUES], total=len(values), has_more=len(values) > MOST_VALUES)
        return CompleteResult(completion=shown)

    async def _values(
        self, params: CompleteRequestParams, offer: Offer, fingerprint: str, memory: Memory, ask: Ask
    ) -> list[str]:
        argument, typed = params.argument.name, params.argument.value.casefold()
        if argument not in known(params):
            return []
        if argument == "page":
            return [name for name in self._shelf.names_of_documents() if typed in name]
        source = (SOURCES if "list_rooms" in offer.reachable else WITHOUT_ROOMS).get(argument)
        if source is None or source.operation not in offer.reachable:
            return []
        place = (fingerprint, source.operation, source.value)
        rows: list[Row] | None = memory.recall(place)
        if rows is None:
            rows = await listed(source, ask)
            if rows is None:
                return []
            memory.keep(place, rows)
        fitting = [value for value, words in rows if typed in words]
        fitting.sort(key=lambda value: not value.casefold().startswith(typed))
        return list(dict.fromkeys(fitting))


def known(params: CompleteRequestParams) -> set[str]:
    """The arguments of what is referred to."""
    if isinstance(params.ref, PromptReference):
        workflow = WORKFLOWS.get(params.ref.name)
        return set(workflow.arguments) if workflow else set()
    if params.ref.uri == DOCS:
        return {"page"}
    return {name for live in LIVE if live.uri == params.ref.uri for name in live.variables}


async def listed(source: Source, ask: Ask) -> list[Row] | None:
    """All rows, as far as a few pages go; none at all if the list cannot be had."""
    fields = [source.value, *source.labels]
    rows: list[Row] = []
    asking: dict[str, Any] = {**source.paging, "fields": fields}
    for _ in range(MOST_PAGES):
        page = await ask(source.operation, asking)
        if page is None:
            return rows or None
        items: list[Any] = page.get("items", [])
        rows += [row for item in items if (row := row_of(item, source))]
        following = page.get("next_page")
        if not page.get("has_more") or following is None:
            break
        asking["page"] = following
    return rows


def row_of(item: Any, source: Source) -> Row | None:
    if not isinstance(item, dict):
        return None
    record = cast("dict[str, Any]", item)
    value = record.get(source.value)
    if not isinstance(value, str | int) or value == "":
        return None
    words = [str(record[name]) for name in (source.value, *source.labels) if record.get(name) is not None]
    return str(value), " ".join(words).casefold()
