"""The endpoint over lines of JSON-RPC: each becomes the request that HTTP would bring, and meets the same checks."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson
from mcp.shared.inbound import NAME_BEARING_METHODS, encode_header_value, mcp_param_headers, x_mcp_header_map
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message

from app.mcp.selection import Catalogue

VERSION_META = "io.modelcontextprotocol/protocolVersion"
PATH = "/mcp"
ANSWERED_WITHIN_S = 20.0
"""What is under way when the lines end has so long to finish."""


class Lines:
    """One client's conversation: its requests run side by side, and each answer is one line."""

    def __init__(
        self, app: ASGIApp, catalogue: Catalogue, headers: Mapping[str, str], write: Callable[[bytes], None]
    ) -> None:
        self._app = app
        self._catalogue = catalogue
        self._headers = dict(headers)
        self._write = write
        self._under_way: dict[asyncio.Task[None], Exchange] = {}
        self._version: str | None = None

    def take(self, line: bytes) -> None:
        """Start on a line; blank ones are nothing."""
        if not line.strip():
            return
        message = parsed(line)
        if message.get("method") == "notifications/cancelled":
            self._cancel(message)
            return
        exchange = Exchange(line, message, self._headers | self._headers_of(message), self._send)
        task = asyncio.create_task(exchange.run(self._app))
        self._under_way[task] = exchange
        task.add_done_callback(self._under_way.pop)

    async def drain(self, within_s: float = ANSWERED_WITHIN_S) -> None:
        """Let what is under way finish; what does not is told that nobody listens any more."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=within_s)
        for task, exchange in list(self._under_way.items()):
            exchange.gone.set()
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _send(self, answer: bytes) -> None:
        """Write an answer; the version that a greeting settles is what the next requests name."""
        if self._version is None and b'"protocolVersion"' in answer:
            result = parsed(answer).get("result")
            agreed = cast("dict[str, Any]", result).get("protocolVersion") if isinstance(result, dict) else None
            self._version = agreed if agreed in HANDSHAKE_PROTOCOL_VERSIONS else None
        self._write(answer.replace(b"\n", b" ") + b"\n")

    def _cancel(self, message: Mapping[str, Any]) -> None:
        """As over HTTP: the client has gone away from that one request."""
        wanted = params_of(message).get("requestId")
        for exchange in self._under_way.values():
            if exchange.identity is not None and exchange.identity == wanted:
                exchange.gone.set()

    def _headers_of(self, message: Mapping[str, Any]) -> dict[str, str]:
        """What a client says in headers over HTTP, taken from the body."""
        params, method = params_of(message), message.get("method")
        meta = params.get("_meta")
        version = cast("dict[str, Any]", meta).get(VERSION_META) if isinstance(meta, dict) else None
        if version is None:
            known = self._version is not None and method != "initialize"
            return {"mcp-protocol-version": str(self._version)} if known else {}
        headers = {"mcp-protocol-version": encode_header_value(str(version))}
        if isinstance(method, str):
            headers["mcp-method"] = encode_header_value(method)
            name = params.get(NAME_BEARING_METHODS.get(method, ""))
            if isinstance(name, str):
                headers["mcp-name"] = encode_header_value(name)
                headers |= self._routing(name, params.get("arguments"))
        return headers

    def _routing(self, name: str, arguments: Any) -> dict[str, str]:
        """The arguments that a tool wants to see in headers too."""
        tool = self._catalogue.tools.get(name)
        if tool is None or not isinstance(arguments, dict):
            return {}
        return mcp_param_headers(x_mcp_header_map(tool.input_schema), cast("dict[str, Any]", arguments))


class Exchange:
    """One request and its answers, in the words of ASGI."""

    def __init__(
        self, line: bytes, message: Mapping[str, Any], headers: Mapping[str, str], send: Callable[[bytes], None]
    ) -> None:
        self.identity: Any = message.get("id")
        self.gone = asyncio.Event()
        self._line = line
        self._headers = headers
        self._write = send
        self._is_notification = bool(message) and "id" not in message
        self._streams = False
        self._body = b""
        self._taken = False

    async def run(self, app: ASGIApp) -> None:
        """Ask the application."""
        headers = {**self._headers, "content-length": str(len(self._line))}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": None,
            "server": ("localhost", 80),
            "state": {},
        }
        await app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._taken:
            self._taken = True
            return {"type": "http.request", "body": self._line, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            self._streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            return
        self._body += message.get("body", b"")
        if self._streams:
            *events, self._body = self._body.replace(b"\r\n", b"\n").split(b"\n\n")
            for event in events:
                self._answer(data_of(event))
        elif not message.get("more_body", False):
            self._answer(self._body)

    def _answer(self, answer: bytes) -> None:
        """Nobody waits for an answer to a notification, nor to a request that was called off."""
        if answer and not self._is_notification and not self.gone.is_set():
            self._write(answer)


def parsed(line: bytes) -> dict[str, Any]:
    """The message on a line; nothing where it is none, which the endpoint then says."""
    try:
        message: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", message) if isinstance(message, dict) else {}


def params_of(message: Mapping[str, Any]) -> dict[str, Any]:
    params = message.get("params")
    return cast("dict[str, Any]", params) if isinstance(params, dict) else {}


def data_of(event: bytes) -> bytes:
    """What an event of a stream says; its comments and empty events say nothing."""
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
