"""What a client may read by name: live answers of operations, and pages of this program.

A resource is one line in LIVE, or one Page. A live one is offered where its operation is, and reading it is that call.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from mcp.shared.exceptions import MCPError
from mcp_types import Resource, ResourceLink, ResourceTemplate

from app.mcp.operations import Operation
from app.mcp.selection import Catalogue, Offer

INVALID_PARAMS = -32602
JSON = "application/json"
PAGE_SIZE = 100
VARIABLE = re.compile(r"\{(\w+)\}")
LIVE_TTL_MS = 5_000
PAGE_TTL_MS = 3_600_000
LINKS_SINCE = "2025-06-18"
"""The version of the protocol in which results first held links; older clients know no such content."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Live:
    """What an operation answers; the variables of the address are the operation's arguments."""

    uri: str
    operation: str
    title: str
    fields: tuple[str, ...] = ()

    @cached_property
    def variables(self) -> tuple[str, ...]:
        return tuple(VARIABLE.findall(self.uri))

    @cached_property
    def shape(self) -> re.Pattern[str]:
        parts = VARIABLE.split(self.uri)
        return re.compile("".join(f"(?P<{part}>[^/?#]+)" if n % 2 else re.escape(part) for n, part in enumerate(parts)))

    def arguments_in(self, uri: str) -> dict[str, str] | None:
        """The operation's arguments, if this is the address of one of these."""
        match = self.shape.fullmatch(uri)
        return None if match is None else {name: unquote(value) for name, value in match.groupdict().items()}

    def filled(self, values: Mapping[str, Any]) -> str | None:
        """The address of one of these, if the values name it."""
        if not all(isinstance(values.get(name), str | int) for name in self.variables):
            return None
        return VARIABLE.sub(lambda found: quote(str(values[found[1]]), safe=""), self.uri)


@dataclass(frozen=True)
class Page:
    """Something that is the same for all callers; `meta` goes with its entry in the list and with its contents."""

    uri: str
    title: str
    description: str
    text: str = field(repr=False)
    mime_type: str = "text/markdown"
    meta: dict[str, Any] | None = None


LIVE = (
    Live("xyte://organization", "get_organization_info", "The organization behind the key"),
    Live("xyte://incidents", "list_incidents", "Incidents, the newest page"),
    Live("xyte://devices/{device_id}", "get_device", "A device with its live state"),
    Live("xyte://devices/{device_id}/commands", "get_device_commands", "A device's latest commands"),
    Live("xyte://devices/{device_id}/histories", "list_device_histories", "A device's latest changes of status"),
    Live(
        "xyte://devices/{device_id}/status",
        "get_device",
        "Whether a device is well",
        fields=("id", "name", "status", "effective_status", "last_seen_at", "state"),
    ),
    Live("xyte://rooms/{room}", "get_room_status", "A room and the state of what is in it"),
    Live("xyte://tickets/{ticket_id}", "get_ticket", "A ticket and the talk about it"),
    Live("xyte://tasks/{task_id}", "get_task_status", "What became of a task"),
    Live("xyte://presets/{name}", "get_preset", "A preset with its stages and steps"),
)

LINKS: Mapping[str, str] = {
    "send_command": "xyte://devices/{device_id}/commands",
    "send_command_async": "xyte://tasks/{task_id}",
    "send_command_to_devices": "xyte://tasks/{task_id}",
    "get_task_status": "xyte://tasks/{task_id}",
    "get_device": "xyte://devices/{device_id}",
    "get_ticket": "xyte://tickets/{ticket_id}",
    "get_room_status": "xyte://rooms/{room}",
    "start_meeting_room_preset": "xyte://rooms/{room}",
    "shutdown_meeting_room": "xyte://rooms/{room}",
}
"""Where to look next after an operation; the variables come from its arguments, `task_id` from its answer's id."""

DOCS = "xyte://docs/{page}"


def documents() -> tuple[Page, ...]:
    """The guides, from the package or from the clone around it."""
    package = Path(__file__).resolve().parents[1]
    folder = next((place for place in (package / "docs", package.parent / "docs") if place.is_dir()), None)
    files = sorted(folder.glob("*.md")) if folder else []
    return tuple(guide(file.stem, file.read_text(encoding="utf-8")) for file in files)


def guide(name: str, text: str) -> Page:
    """A page of the guides; its first heading is its title."""
    title = text.partition("\n")[0].lstrip("# ").strip()
    return Page(DOCS.replace("{page}", name), title, f"From the gateway's guides: {title}.", text)


class Shelf:
    """All resources, and of them what a request may see."""

    def __init__(self, catalogue: Catalogue, pages: Sequence[Page]) -> None:
        self._live = tuple(live for live in LIVE if fits(live, catalogue.operations.get(live.operation)))
        self._links = {live.uri: live for live in self._live}
        self.pages = {page.uri: page for page in pages}

    def names_of_documents(self) -> list[str]:
        """What may stand for `page` in the address of a guide."""
        start = DOCS.partition("{")[0]
        return [uri.removeprefix(start) for uri in self.pages if uri.startswith(start)]

    def listed(self, offer: Offer) -> list[Resource]:
        """Those that are there by one name; the fleet is reached by templates, since it may be large."""
        live = [
            Resource(uri=entry.uri, name=name_of(entry.uri), title=entry.title, mime_type=JSON)
            for entry in self._offered(offer)
            if not entry.variables
        ]
        pages = [
            Resource(
                uri=page.uri,
                name=name_of(page.uri),
                title=page.title,
                description=page.description,
                mime_type=page.mime_type,
                size=len(page.text.encode()),
                _meta=page.meta,
            )
            for page in self.pages.values()
        ]
        return [*live, *pages]

    def templates(self, offer: Offer) -> list[ResourceTemplate]:
        """Those that need to be told which."""
        live = [
            ResourceTemplate(
                uri_template=entry.uri,
                name=name_of(entry.uri),
                title=entry.title,
                description=f"{entry.title}, as {entry.operation} answers.",
                mime_type=JSON,
            )
            for entry in self._offered(offer)
            if entry.variables
        ]
        words = "A page of the gateway's guides: connecting, limits, errors, hosting."
        docs = ResourceTemplate(
            uri_template=DOCS, name=name_of(DOCS), title="A guide", description=words, mime_type="text/markdown"
        )
        return [*live, docs]

    def find(self, uri: str, offer: Offer) -> tuple[Live, dict[str, str]] | None:
        """What an address leads to, with the arguments that are in it."""
        for entry in self._offered(offer):
            if (arguments := entry.arguments_in(uri)) is not None:
                return entry, arguments
        return None

    def link_of(self, operation: str, values: Mapping[str, Any], offer: Offer) -> ResourceLink | None:
        """Where to look next after a call."""
        entry = self._links.get(LINKS.get(operation, ""))
        if entry is None or entry.operation not in offer.reachable or (uri := entry.filled(values)) is None:
            return None
        return ResourceLink(type="resource_link", uri=uri, name=name_of(entry.uri), title=entry.title, mime_type=JSON)

    def _offered(self, offer: Offer) -> Iterable[Live]:
        return (entry for entry in self._live if entry.operation in offer.reachable)


def fits(live: Live, operation: Operation | None) -> bool:
    """Whether the operation is there and takes what the address names."""
    if operation is None:
        return False
    return {*live.variables} <= {name for argument in operation.arguments for name in argument.fields}


@cache
def name_of(uri: str) -> str:
    """A short name: the fixed words of an address."""
    words = VARIABLE.sub("", uri).partition("://")[2].split("/")
    return "_".join(word for word in words if word) or uri


def unknown(uri: str) -> MCPError:
    """As the protocol wants it said."""
    return MCPError(
        INVALID_PARAMS,
        "No such resource. resources/list and resources/templates/list name those there are.",
        {"uri": uri},
    )


def page_of(items: Sequence[Item], cursor: str | None, size: int = PAGE_SIZE) -> tuple[list[Item], str | None]:
    """The items from a cursor on, and the cursor of the rest."""
    start = 0 if cursor is None else position_in(cursor)
    if start is None or start >= max(len(items), 1):
        raise MCPError(INVALID_PARAMS, "Unknown cursor. Begin again without one.")
    end = start + size
    return list(items[start:end]), cursor_at(end) if end < len(items) else None


def cursor_at(position: int) -> str:
    return base64.urlsafe_b64encode(f"from {position}".encode()).decode()


def position_in(cursor: str) -> int | None:
    """Where a cursor of ours points; none if it is not one."""
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    match = re.fullmatch(r"from ([1-9][0-9]{0,8})", text, re.ASCII)
    return int(match[1]) if match else None
