"""`xyte-mcp connect CLIENT`: a working configuration, printed or merged into the client's own file.

A key is never asked for and never written: the client takes it from its environment or asks its person. Where it can do
neither, a placeholder shows where the key goes, and one that stands there already stays.
"""

import json
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from app.jsonc import JsoncError, appended, parsed, placed

KEY_HEADER = "X-XYTE-API-KEY"
KEY_VARIABLE = "XYTE_API_KEY"
PLACEHOLDER = "YOUR_XYTE_API_KEY"
PRIVATE = 0o600
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
OURS = frozenset(
    [
        "type",
        "url",
        "httpUrl",
        "serverUrl",
        "headers",
        "env_http_headers",
        "http_headers",
        "bearer_token_env_var",
        "command",
        "args",
        "env_vars",
    ]
)
"""What an entry says of the way to the server; whatever else its owner has put there stays."""
VSCODE_INPUT = {"type": "promptString", "id": "xyte-key", "description": "Xyte API key", "password": True}


class ConnectError(Exception):
    """Why there is no configuration, or why it was not written: one line."""


@dataclass(frozen=True)
class Wish:
    """What a person wants to connect to."""

    url: str = ""
    name: str = "xyte"
    toolsets: str = ""
    read_only: bool = False
    embedded: bool = False
    program: tuple[str, ...] = ("xyte-mcp",)

    def headers(self, key: str) -> dict[str, str]:
        chosen = {"X-MCP-Toolsets": self.toolsets, "X-MCP-Readonly": "true" if self.read_only else ""}
        return ({KEY_HEADER: key} if key else {}) | {name: value for name, value in chosen.items() if value}

    def command(self) -> dict[str, Any]:
        """How to start us."""
        program, *words = self.program
        words += ["stdio"]
        words += ["--toolsets", self.toolsets] if self.toolsets else []
        words += ["--read-only"] if self.read_only else []
        words += ["--embedded"] if self.embedded else []
        return {"command": program, "args": words}

    def bridge(self) -> dict[str, Any]:
        """How to start mcp-remote, which takes the key from its environment."""
        given = [f"{name}:{value}" for name, value in self.headers(f"${{{KEY_VARIABLE}}}").items()]
        plain = ["--allow-http"] if self.url.startswith("http://") else []
        words = [word for header in given for word in ("--header", header)]
        return {"command": "npx", "args": ["-y", "mcp-remote", self.url, *plain, *words]}


Entry = Callable[[Wish], dict[str, Any]]


@dataclass(frozen=True)
class Client:
    """Where a client keeps its servers, and how it wants them told."""

    title: str
    at: tuple[str, ...]
    http: Entry
    stdio: Entry | None
    place: Callable[[Mapping[str, str]], Path] | None = None
    inputs: tuple[dict[str, Any], ...] = ()
    language: str = "json"
    needs: str = field(default=f"Set {KEY_VARIABLE} in the environment that it is started in.")


def home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())


def desktop_file(environment: Mapping[str, str]) -> Path:
    """Claude Desktop's, by operating system."""
    if sys.platform == "darwin":
        folder = home(environment) / "Library" / "Application Support"
    elif sys.platform == "win32":
        folder = Path(environment.get("APPDATA") or home(environment) / "AppData" / "Roaming")
    else:
        folder = Path(environment.get("XDG_CONFIG_HOME") or home(environment) / ".config")
    return folder / "Claude" / "claude_desktop_config.json"


def zed_file(environment: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        return Path(environment.get("APPDATA") or home(environment)) / "Zed" / "settings.json"
    config = environment.get("XDG_CONFIG_HOME") if sys.platform != "darwin" else None
    return Path(config or home(environment) / ".config") / "zed" / "settings.json"


def with_key(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return entry | {"env": {KEY_VARIABLE: key}}


PASTE = f"Put the key in the place of {PLACEHOLDER}; the file is then as secret as the key."
CLIENTS: dict[str, Client] = {
    "claude-code": Client(
        "Claude Code",
        ("mcpServers",),
        http=lambda wish: {"type": "http", "url": wish.url, "headers": wish.headers(f"${{{KEY_VARIABLE}}}")},
        stdio=lambda wish: {"type": "stdio"} | with_key(wish.command(), f"${{{KEY_VARIABLE}}}"),
        place=lambda _: Path(".mcp.json"),
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        ("mcpServers",),
        http=lambda wish: with_key(wish.bridge(), PLACEHOLDER),
        stdio=lambda wish: with_key(wish.command(), PLACEHOLDER),
        place=desktop_file,
        needs=PASTE,
    ),
    "cursor": Client(
        "Cursor",
        ("mcpServers",),
        http=lambda wish: {"url": wish.url, "headers": wish.headers(f"${{env:{KEY_VARIABLE}}}")},
        stdio=lambda wish: with_key(wish.command(), f"${{env:{KEY_VARIABLE}}}"),
        place=lambda environment: home(environment) / ".cursor" / "mcp.json",
    ),
    "vscode": Client(
        "VS Code",
        ("servers",),
        http=lambda wish: {"type": "http", "url": wish.url, "headers": wish.headers("${input:xyte-key}")},
        stdio=lambda wish: {"type": "stdio"} | with_key(wish.command(), "${input:xyte-key}"),
        place=lambda _: Path(".vscode", "mcp.json"),
        inputs=(VSCODE_INPUT,),
        needs="It asks for the key once and keeps it in its secret storage.",
    ),
    "codex": Client(
        "Codex",
        ("mcp_servers",),
        http=lambda wish: (
            {"url": wish.url, "env_http_headers": {KEY_HEADER: KEY_VARIABLE}}
            | ({"http_headers": wish.headers("")} if wish.headers("") else {})
        ),
        stdio=lambda wish: wish.command() | {"env_vars": [KEY_VARIABLE]},
        place=lambda environment: Path(environment.get("CODEX_HOME") or home(environment) / ".codex") / "config.toml",
        language="toml",
    ),
    "gemini": Client(
        "Gemini CLI",
        ("mcpServers",),
        http=lambda wish: {"httpUrl": wish.url, "headers": wish.headers(f"${KEY_VARIABLE}")},
        stdio=lambda wish: with_key(wish.command(), f"${KEY_VARIABLE}"),
        place=lambda environment: home(environment) / ".gemini" / "settings.json",
    ),
    "windsurf": Client(
        "Windsurf",
        ("mcpServers",),
        http=lambda wish: {"serverUrl": wish.url, "headers": wish.headers(f"${{env:{KEY_VARIABLE}}}")},
        stdio=lambda wish: with_key(wish.command(), f"${{env:{KEY_VARIABLE}}}"),
        place=lambda environment: home(environment) / ".codeium" / "windsurf" / "mcp_config.json",
    ),
    "zed": Client(
        "Zed",
        ("context_servers",),
        http=lambda wish: {"url": wish.url, "headers": wish.headers(PLACEHOLDER)},
        stdio=lambda wish: with_key(wish.command(), PLACEHOLDER),
        place=zed_file,
        needs=PASTE,
    ),
    "mcp-remote": Client(
        "any client that only starts programs, by mcp-remote",
        ("mcpServers",),
        http=lambda wish: with_key(wish.bridge(), PLACEHOLDER),
        stdio=None,
        needs=PASTE,
    ),
}


def run(client: str, wish: Wish, *, write: bool, file: Path | None) -> int:
    """Print the configuration, or merge it into the client's file."""
    known = CLIENTS[client]
    try:
        entry = entry_of(client, wish)
        if write:
            print(merge(client, wish, entry, file), file=sys.stderr)
        else:
            print(text_of(known, wish.name, entry), end="")
    except (ConnectError, OSError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        print(f"xyte-mcp connect: {said}", file=sys.stderr)
        return 1
    print(known.needs, file=sys.stderr)
    return 0


def entry_of(client: str, wish: Wish) -> dict[str, Any]:
    """What stands under the server's name."""
    if not NAME.fullmatch(wish.name):
        raise ConnectError(f"{wish.name!r} is no name for a server: letters, digits, - and _")
    if not wish.url:
        if (stdio := CLIENTS[client].stdio) is None:
            raise ConnectError(f"{client} needs the gateway's address: --url https://gateway.example.com/mcp")
        return stdio(wish)
    parts = urlsplit(wish.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ConnectError("--url is an address such as https://gateway.example.com/mcp, without a key in it")
    return CLIENTS[client].http(wish)


def text_of(client: Client, name: str, entry: dict[str, Any]) -> str:
    """The whole file, were there nothing else in it."""
    if client.language == "toml":
        return toml_of((*client.at, name), entry)
    return in_json(client, name, entry, "")


# ── Into the file ────────────────────────────────────────────────────────────────────────────────────────────────────


def merge(client: str, wish: Wish, entry: dict[str, Any], file: Path | None) -> str:
    """Put the entry into the file and keep what was there; what was done, in a line."""
    known = CLIENTS[client]
    if file is None and known.place is None:
        raise ConnectError(f"{client} has no file of its own: name one with --file, or copy what is printed")
    path = (file or cast("Callable[[Mapping[str, str]], Path]", known.place)(os.environ)).expanduser().resolve()
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        after = in_toml(known, wish.name, entry, before) if known.language == "toml" else in_json(
            known, wish.name, entry, before
        )  # fmt: skip
    except (JsoncError, tomllib.TOMLDecodeError) as error:
        raise ConnectError(f"{path} was left alone, since it cannot be read: {error}") from None
    if after == before:
        return f"{path} says so already."
    backup = saved(path) if path.exists() else None
    replace(path, after)
    return f"{path} was written" + (f"; what it held is in {backup}." if backup else ".")


def in_json(client: Client, name: str, entry: dict[str, Any], text: str) -> str:
    there: Any = parsed(text).value
    for step in (*client.at, name):
        there = cast("dict[str, Any]", there).get(step) if isinstance(there, dict) else None
    for wanted in client.inputs:
        text = appended(text, ("inputs",), wanted, "id")
    return placed(text, (*client.at, name), merged(there, entry))


def in_toml(client: Client, name: str, entry: dict[str, Any], text: str) -> str:
    """Take the table out, put ours at the end; whatever that does besides is a reason to leave the file alone."""
    before = tomllib.loads(text)
    group = client.at[0]
    there = before.get(group, {}).get(name)
    whole = merged(there, entry)
    if there == whole:
        return text
    ours = re.compile(rf"^\s*\[\s*{group}\s*\.\s*(?:{name}|\"{name}\")\s*(?:\.[^\]]*)?\]")
    lines: list[str] = []
    dropping = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            dropping = bool(ours.match(line))
        if not dropping:
            lines.append(line)
    kept = "".join(lines).rstrip()
    after = (kept + "\n\n" if kept else "") + toml_of((group, name), whole)
    expected = before | {group: before.get(group, {}) | {name: whole}}
    try:
        is_whole = tomllib.loads(after) == expected
    except tomllib.TOMLDecodeError:
        is_whole = False
    if not is_whole:
        raise JsoncError(f"{group}.{name} stands in it in a way of its own; change it by hand")
    return after


def merged(there: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with what its owner added to it, and with the key where it was put in our placeholder's stead."""
    if not isinstance(there, dict):
        return entry
    old = cast("dict[str, Any]", there)
    whole = {name: value for name, value in old.items() if name not in OURS} | entry
    for part, name in (("env", KEY_VARIABLE), ("headers", KEY_HEADER)):
        kept: Any = old.get(part)
        if not isinstance(kept, dict) or part not in entry:
            continue
        rest = cast("dict[str, Any]", kept)
        ours: dict[str, Any] = entry[part]
        has_key = ours.get(name) == PLACEHOLDER and name in rest
        others = rest if part == "env" else {}
        whole[part] = others | ours | ({name: rest[name]} if has_key else {})
    return whole


def toml_of(path: tuple[str, ...], table: Mapping[str, Any]) -> str:
    """A table of texts, lists of texts and tables of texts; a JSON string is a TOML string too."""
    lines = [f"[{'.'.join(path)}]"]
    for name, value in table.items():
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value).items()
            lines.append(
                f"{name} = {{ {', '.join(f'{json.dumps(key)} = {json.dumps(text)}' for key, text in pairs)} }}"
            )
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def saved(path: Path) -> Path:
    """A copy beside it, under a name that no earlier one has."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while (backup := path.with_name(f"{path.name}.{stamp}{f'-{number}' if number else ''}.bak")).exists():
        number += 1
    shutil.copy2(path, backup)
    return backup


def replace(path: Path, text: str) -> None:
    """All or nothing, with the rights it had; a new one is for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else PRIVATE
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    unfinished.chmod(mode)
    unfinished.replace(path)


def our_program() -> tuple[str, ...]:
    """How a client starts us from anywhere."""
    found = shutil.which(
        "xyte-mcp", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    return (found,) if found else (sys.executable, "-m", "app.cli")
