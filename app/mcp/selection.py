"""Which tools a request sees: chosen by header, path and query, within what the operator allows."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import orjson
from mcp_types import Tool
from starlette.datastructures import Headers, QueryParams

from app.errors import InvalidSelection
from app.mcp.operations import Operation

ALL = "all"
DEFAULT = "default"
OFF_UNLESS_NAMED = frozenset({"device"})
NOT_AMONG_ALL = frozenset({"partner_devices", "partner_organizations", "partner_tickets"})
"""For a partner's key, which names them; all is what an organization's key can do."""

DEFAULT_TOOLS = (
    "whoami",
    "find_rooms",
    "get_room_status",
    "start_meeting_room_preset",
    "shutdown_meeting_room",
    "find_devices",
    "find_and_control_device",
    "diagnose_av_issue",
    "list_devices",
    "get_device",
    "get_model",
    "send_command",
    "get_device_commands",
    "cancel_command",
    "send_command_async",
    "get_task_status",
    "get_next_event",
    "list_spaces",
    "list_incidents",
    "list_tickets",
    "get_ticket",
    "send_ticket_message",
    "mark_ticket_resolved",
    "find_operations",
    "run_operation",
)
"""An AV operator's day: find rooms and devices, see their state, command, preset, incidents, tickets, tasks, events."""


@dataclass(frozen=True)
class Selection:
    """What a request asked for; no toolsets and no tools is the default list."""

    toolsets: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    read_only: bool = False


NOTHING_ASKED = Selection()
BYTES_PER_TOKEN = 4.3


@dataclass(frozen=True)
class Offer:
    """What it gets: the tools it lists, and the operations that run_operation may reach."""

    tools: tuple[Tool, ...]
    listed: frozenset[str]
    callable: frozenset[str]
    """By their own names: those listed, and where nothing narrower was chosen all that are reachable."""
    reachable: frozenset[str]
    toolsets: tuple[str, ...]
    read_only: bool
    as_json: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False)
    """Its list as sent, by era of the protocol."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a list of tools costs a model to read."""

    tools: int
    bytes: int

    @property
    def tokens(self) -> int:
        """About how many tokens, counted for the tokenizer o200k."""
        return round(self.bytes / BYTES_PER_TOKEN)


class Catalogue:
    """All tools within the operator's bound, by toolset."""

    def __init__(
        self,
        tools: Iterable[Tool],
        operations: Mapping[str, Operation],
        *,
        toolsets: Sequence[str] = (ALL,),
        excluded: Sequence[str] = (),
        read_only: bool = False,
    ) -> None:
        everything = {tool.name: tool for tool in tools}
        known = {operation.toolset for operation in operations.values()}
        bound = self._bound(toolsets, known)
        self.operations = {
            name: operation
            for name, operation in operations.items()
            if operation.toolset in bound
            and name not in excluded
            and (operation.effect == "read" or not read_only or name == "run_operation")
        }
        self.tools = {name: everything[name] for name in sorted(self.operations)}
        self.toolsets: dict[str, tuple[str, ...]] = {
            toolset: tuple(name for name in self.tools if self.operations[name].toolset == toolset)
            for toolset in sorted(bound)
        }
        self.groups: dict[str, tuple[str, ...]] = {
            DEFAULT: tuple(name for name in DEFAULT_TOOLS if name in self.tools),
            ALL: tuple(name for name in self.tools if is_among_all(self.operations[name])),
        } | self.toolsets
        self.costs = {
            toolset: Cost(len(names), size_of(self.tools[name] for name in names))
            for toolset, names in self.groups.items()
        }
        dumped = [self.tools[name].model_dump(by_alias=True, exclude_none=True, mode="json") for name in self.tools]
        self.digest = hashlib.sha256(orjson.dumps(dumped, option=orjson.OPT_SORT_KEYS)).hexdigest()
        self._read_only = read_only
        self.offer = lru_cache(maxsize=256)(self._offer)

    def _bound(self, toolsets: Sequence[str], known: set[str]) -> set[str]:
        unknown = set(toolsets) - known - {ALL}
        if unknown:
            raise ValueError(f"MCP_TOOLSETS names {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        named = set(toolsets) - {ALL}
        return named | (known - OFF_UNLESS_NAMED if ALL in toolsets else set())

    def _offer(self, selection: Selection) -> Offer:
        self._check(selection.toolsets, list(self.groups), "toolset")
        self._check((*selection.tools, *selection.excluded), list(self.tools), "tool")
        read_only = self._read_only or selection.read_only
        reachable = frozenset(
            name
            for name, operation in self.operations.items()
            if name not in selection.excluded
            and (not read_only or operation.effect == "read" or name == "run_operation")
        )
        listed = [name for name in self._wanted(selection) if name in reachable]
        return Offer(
            tools=tuple(self.tools[name] for name in listed),
            listed=frozenset(listed),
            callable=reachable if is_open(selection) else frozenset(listed),
            reachable=reachable,
            toolsets=selection.toolsets or (() if selection.tools else (DEFAULT,)),
            read_only=read_only,
        )

    def _wanted(self, selection: Selection) -> list[str]:
        wanted: dict[str, None] = {}
        toolsets = selection.toolsets or (() if selection.tools else (DEFAULT,))
        for toolset in toolsets:
            wanted |= dict.fromkeys(self.groups[toolset])
        return list(wanted | dict.fromkeys(selection.tools))

    def _check(self, named: Iterable[str], valid: list[str], kind: str) -> None:
        for name in named:
            if name not in valid:
                near = difflib.get_close_matches(name, valid, n=3)
                raise InvalidSelection(
                    f"There is no {kind} {name!r}.", sorted(near if kind == "tool" and near else valid)
                )


def is_open(selection: Selection) -> bool:
    """Whether no narrower choice was made: a short list is there to be read quickly, not to keep anything away."""
    chosen = {ALL, DEFAULT} & set(selection.toolsets)
    return bool(chosen) or not (selection.toolsets or selection.tools)


def is_among_all(operation: Operation) -> bool:
    """Whether `all` lists it; what it leaves out its own toolset lists, and run_operation runs."""
    return not operation.unlisted and operation.toolset not in NOT_AMONG_ALL


def size_of(tools: Iterable[Tool]) -> int:
    """Bytes that a list of tools takes in the answer to tools/list."""
    return sum(len(orjson.dumps(tool.model_dump(by_alias=True, exclude_none=True, mode="json"))) + 1 for tool in tools)


def selection_of(path: str, headers: Headers, query_string: bytes) -> Selection:
    """What a request asks for: the path before the query before the header; read-only and exclusions add up."""
    if len(path) <= len("/mcp/") and not (query_string or any(name.startswith(b"x-mcp-") for name, _ in headers.raw)):
        return NOTHING_ASKED
    query = QueryParams(query_string)
    path_toolsets, path_read_only = in_path(path)
    toolsets = path_toolsets or words(query.get("toolsets")) or words(headers.get("x-mcp-toolsets"))
    return Selection(
        toolsets=toolsets,
        tools=words(query.get("tools")) or words(headers.get("x-mcp-tools")),
        excluded=words(query.get("exclude_tools")) + words(headers.get("x-mcp-exclude-tools")),
        read_only=path_read_only or yes(query.get("readonly")) or yes(headers.get("x-mcp-readonly")),
    )


PATH = re.compile(r"/mcp/?|/mcp(/x/[^/]+)?(/readonly)?/?|/")


def in_path(path: str) -> tuple[tuple[str, ...], bool]:
    """Of /mcp/x/{toolsets}/readonly and its shorter forms."""
    parts = [part for part in path.split("/") if part][1:]
    read_only = bool(parts) and parts[-1] == "readonly"
    return (words(parts[1]) if len(parts) > 1 and parts[0] == "x" else ()), read_only


def words(text: str | None) -> tuple[str, ...]:
    """A list separated by commas."""
    return tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def yes(text: str | None) -> bool:
    """Whether a switch is on; anything that is not a clear no is a yes, since the switch protects."""
    return text is not None and text.strip().lower() not in ("0", "false", "no", "off")
