"""What is asked of a contender, as bytes, and what a right answer to it is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import orjson

from tests.bench.upstream import DEVICE_IDS, device_name

KEY = "FAKE-KEY-FOR-THE-BENCHMARK-ONLY-00000000"
TOOL = "get_device"
LEGACY = "2025-11-25"
MODERN = "2026-07-28"
FIRST_ID = 10_000_000  # ids of one width, so that every request of a kind has one length
EVENT_DATA = re.compile(rb"^data:(.*)$", re.MULTILINE)
CLIENT = {"name": "bench", "version": "1"}


class Kind(Enum):
    CALL = auto()
    LIST = auto()
    REST = auto()
    INITIALIZE = auto()
    NOTIFY = auto()
    DELETE = auto()


FORWARDED = (Kind.CALL, Kind.REST)


@dataclass(frozen=True)
class Request:
    """One request with places for the session, the id of the request and the device."""

    kind: Kind
    template: bytes

    def wire(self, session: bytes, request_id: bytes, device_id: bytes) -> bytes:
        return self.template % {b"session": session, b"id": request_id, b"device": device_id}


@dataclass(frozen=True)
class Exchange:
    """What one connection does: once, then over and over until told to stop."""

    once: tuple[Request, ...]
    repeated: tuple[Request, ...]
    goodbye: Request


WORKLOADS = {
    "W1": "tools/call of get_device, one upstream GET each",
    "W2": "tools/list, each contender's own list",
    "W3": "REST GET of one device",
    "W4": "initialize + initialized + tools/call",
}


def exchange(workload: str, era: str, *, mcp_path: str = "/mcp") -> Exchange:
    asked = {"W1": Kind.CALL, "W2": Kind.LIST, "W3": Kind.REST, "W4": Kind.CALL}[workload]
    request = get("/v1/devices/%(device)b") if asked is Kind.REST else post(mcp_path, asked, era)
    hello = (post(mcp_path, Kind.INITIALIZE, era), post(mcp_path, Kind.NOTIFY, era))
    goodbye = Request(Kind.DELETE, head(f"DELETE {mcp_path}", []).encode())
    if workload == "W4":
        return Exchange((), (*hello, request), goodbye)
    greeted = era == LEGACY and asked is not Kind.REST
    return Exchange(hello if greeted else (), (request,), goodbye)


def get(path: str) -> Request:
    return Request(Kind.REST, head(f"GET {path}", []).encode())


def post(path: str, kind: Kind, era: str) -> Request:
    method, params = {
        Kind.CALL: ("tools/call", {"name": TOOL, "arguments": {"device_id": "%(device)b"}}),
        Kind.LIST: ("tools/list", {}),
        Kind.INITIALIZE: ("initialize", {"protocolVersion": era, "capabilities": {}, "clientInfo": CLIENT}),
        Kind.NOTIFY: ("notifications/initialized", {}),
    }[kind]
    headers = ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
    if kind is not Kind.INITIALIZE:
        headers.append(f"MCP-Protocol-Version: {era}")
    if era == MODERN:
        of_the_call = [f"Mcp-Name: {TOOL}", "Mcp-Param-Device-Id: %(device)b"] if kind is Kind.CALL else []
        headers += [f"Mcp-Method: {method}", *of_the_call]
        params = params | {"_meta": modern_meta()}
    message = {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}
    body = orjson.dumps(message).decode()
    if kind is not Kind.NOTIFY:
        body = '{"id":%(id)b,' + body[1:]
    length = len(body.encode() % {b"id": str(FIRST_ID).encode(), b"device": DEVICE_IDS[0].encode()})
    return Request(kind, (head(f"POST {path}", [*headers, f"Content-Length: {length}"]) + body).encode())


def modern_meta() -> dict[str, object]:
    prefix = "io.modelcontextprotocol/"
    return {f"{prefix}protocolVersion": MODERN, f"{prefix}clientCapabilities": {}, f"{prefix}clientInfo": CLIENT}


def head(line: str, headers: list[str]) -> str:
    lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", f"X-XYTE-API-KEY: {KEY}", *headers]
    return "\r\n".join(lines) + "\r\n%(session)b\r\n"


@dataclass
class Checker:
    """Judges every answer: in full when its bytes are new, by its bytes when only the id of the request differs."""

    known: dict[tuple[Kind, bytes], tuple[bytes, bytes]] = field(
        default_factory=dict[tuple[Kind, bytes], tuple[bytes, bytes]]
    )
    wrong: int = 0
    judged: int = 0
    forwarded: int = 0
    example: str = ""
    list_bytes: int = 0
    list_tools: int = 0

    def check(self, kind: Kind, status: int, body: bytes, request_id: bytes, device_id: bytes) -> None:
        self.judged += 1
        self.forwarded += kind in FORWARDED
        if not self.is_right(kind, status, body, request_id, device_id):
            self.reject(f"{kind.name} {status} {body[:400].decode(errors='replace')}")

    def reject(self, reason: str) -> None:
        self.wrong += 1
        self.example = self.example or reason

    def is_right(self, kind: Kind, status: int, body: bytes, request_id: bytes, device_id: bytes) -> bool:
        if kind is Kind.DELETE:
            return True
        if status != (202 if kind is Kind.NOTIFY else 200):
            return False
        if kind is Kind.NOTIFY:
            return True
        if self.is_known(kind, body, request_id, device_id):
            return True
        return self.read(kind, body, request_id, device_id)

    def is_known(self, kind: Kind, body: bytes, request_id: bytes, device_id: bytes) -> bool:
        before, after = self.known.get((kind, told(kind, device_id)), (b"", b""))
        if not before:
            return False
        middle = b"" if kind is Kind.REST else request_id
        same_length = len(body) == len(before) + len(middle) + len(after)
        return same_length and body.startswith(before) and body.startswith(middle, len(before)) and body.endswith(after)

    def read(self, kind: Kind, body: bytes, request_id: bytes, device_id: bytes) -> bool:
        wanted = device_id.decode()
        try:
            if kind is Kind.REST:
                right = is_device(orjson.loads(body), wanted)
            else:
                right = self.is_right_result(kind, result_of(body, int(request_id)), wanted)
        except (ValueError, KeyError, TypeError, IndexError, StopIteration):
            return False
        if right:
            self.remember(kind, body, request_id, device_id)
        return right

    def remember(self, kind: Kind, body: bytes, request_id: bytes, device_id: bytes) -> None:
        """Cut the answer where the id of its request stands; a REST answer has none."""
        before, _, after = (body, b"", b"") if kind is Kind.REST else body.partition(request_id)
        self.known[kind, told(kind, device_id)] = before, after

    def is_right_result(self, kind: Kind, result: dict[str, Any], wanted: str) -> bool:
        match kind:
            case Kind.CALL:
                return not result.get("isError") and any(is_device(found, wanted) for found in devices_in(result))
            case Kind.LIST:
                tools: list[dict[str, Any]] = result["tools"]
                self.list_bytes, self.list_tools = len(orjson.dumps(result)), len(tools)
                return any(tool["name"] == TOOL and "device_id" in tool["inputSchema"]["properties"] for tool in tools)
            case _:
                return bool(result["serverInfo"]["name"])


def told(kind: Kind, device_id: bytes) -> bytes:
    """The device, where the answer is about one."""
    return device_id if kind in FORWARDED else b""


def result_of(body: bytes, request_id: int) -> dict[str, Any]:
    """The result for this request, from a JSON answer or from the events of a stream."""
    messages = [body] if body.startswith(b"{") else EVENT_DATA.findall(body)
    return next(found["result"] for found in map(orjson.loads, messages) if found.get("id") == request_id)


def devices_in(result: dict[str, Any]) -> Iterator[Any]:
    """Both halves of a tool's answer; if both are there, both must be right, so a wrong one spoils it."""
    halves = [orjson.loads(part["text"]) for part in result["content"] if part["type"] == "text"]
    if "structuredContent" in result:
        halves.append(result["structuredContent"])
    first = halves[0]
    if all(half["id"] == first["id"] and half["name"] == first["name"] for half in halves):
        yield first


def is_device(found: dict[str, Any], wanted: str) -> bool:
    return found["id"] == wanted and found["name"] == device_name(wanted)
