"""The MCP endpoint for clients that only start programs: lines on standard input and output, one caller's key."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop
from starlette.datastructures import Headers

from app import stack
from app.auth import KEY_SHAPE
from app.embedded import UnavailableError
from app.errors import InvalidSelection
from app.main import create_app
from app.mcp.lines import Lines
from app.mcp.selection import selection_of
from app.settings import Settings, settings_alone
from app.stack import StackError

KEY_VARIABLE = "XYTE_API_KEY"
STOPPED_WITHIN_S = 2.0
READ_BYTES = 65_536


@dataclass(frozen=True)
class Options:
    """What this client gets to see, and whether servers for long commands run beside it."""

    toolsets: str = ""
    tools: str = ""
    exclude_tools: str = ""
    read_only: bool = False
    embedded: bool = False
    data: Path | None = None

    def headers(self) -> dict[str, str]:
        """The choice in the words of HTTP."""
        chosen = {
            "x-mcp-toolsets": self.toolsets,
            "x-mcp-tools": self.tools,
            "x-mcp-exclude-tools": self.exclude_tools,
            "x-mcp-readonly": "true" if self.read_only else "",
        }
        return {name: value for name, value in chosen.items() if value}


class StdioError(Exception):
    """Why it cannot start: one line."""


def serve(options: Options) -> int:
    """Answer the lines of standard input until they end; the exit code."""
    try:
        key = take_key()
        with protocol_alone_on_stdout() as output, ExitStack() as exits:
            environment = dict(os.environ)
            if options.embedded:
                environment = exits.enter_context(stack.backing(options.data or default_data(), environment))
            settings = settings_alone(environment)
            uvloop.run(converse(settings, options, key, (0, output)))
    except (StdioError, UnavailableError, StackError, InvalidSelection) as problem:
        print(f"xyte-mcp stdio: {problem}", file=sys.stderr)
        return 2
    return 0


def take_key() -> str:
    """The key, which then is in no environment that a child of ours would get."""
    key = os.environ.pop(KEY_VARIABLE, "").strip()
    if not key:
        raise StdioError(f"set {KEY_VARIABLE} to a Xyte API key (in Xyte: Settings, API Keys)")
    if not KEY_SHAPE.fullmatch(key):
        raise StdioError(f"{KEY_VARIABLE} does not hold a key: it has 32 to 512 visible characters and no blanks")
    return key


def default_data() -> Path:
    """Where embedded servers keep what they know."""
    state = os.environ.get("XDG_STATE_HOME") or Path(os.environ.get("HOME", "/"), ".local", "state")
    return Path(state, "xyte-mcp", "stdio")


@contextmanager
def protocol_alone_on_stdout() -> Generator[int]:
    """The real standard output for us; whatever else prints reaches standard error."""
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield output
    finally:
        sys.stdout.flush()
        os.dup2(output, 1)
        os.close(output)


async def converse(settings: Settings, options: Options, key: str, descriptors: tuple[int, int]) -> None:
    """Serve the client at the other ends of input and output."""
    source, output = descriptors
    app = create_app(settings)
    chosen = options.headers()
    app.state.catalogue.offer(selection_of("/mcp", Headers(chosen), b""))
    headers = chosen | {
        "host": "localhost",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "x-xyte-api-key": key,
    }
    loop = asyncio.get_running_loop()
    incoming: asyncio.Queue[bytes | None] = asyncio.Queue()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        incoming.put_nowait(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)

    def put(line: bytes | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody reads any more
            loop.call_soon_threadsafe(incoming.put_nowait, line)

    def write(line: bytes) -> None:
        try:
            write_whole(output, line)
        except OSError:
            stop()

    async with app.router.lifespan_context(app):
        lines = Lines(app, app.state.catalogue, headers, write)
        # A read cannot be called off; a daemon's does not keep the process.
        threading.Thread(target=read_lines, args=(source, put, settings.body_limit_bytes), daemon=True).start()
        while (line := await incoming.get()) is not None:
            lines.take(line)
        if stopped:
            await lines.drain(STOPPED_WITHIN_S)
        else:
            await lines.drain()


def read_lines(descriptor: int, put: Callable[[bytes | None], None], limit: int) -> None:
    """Hand on each line, and nothing at the end; of one that is longer than the limit, just too much of it."""
    pending = b""
    overlong = False
    while chunk := read(descriptor):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if not overlong:
                put(line)
            overlong = False
        if len(pending) > limit:
            if not overlong:
                put(pending)
            pending, overlong = b"", True
    if pending and not overlong:
        put(pending)
    put(None)


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError:
        return b""


def write_whole(descriptor: int, line: bytes) -> None:
    """A pipe may take a part at a time."""
    while line:
        line = line[os.write(descriptor, line) :]
