"""MCP Apps (io.modelcontextprotocol/ui, 2026-01-26): pages that a host shows beside a tool's result.

A page is whole in itself, reaches no network, and talks to its host alone; a host without pages has the tool's text.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from app.mcp.resources import Page

MIME_TYPE = "text/html;profile=mcp-app"
SHUT: dict[str, Any] = {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []}
"""What a host builds its content security policy from: nothing is reached."""


@dataclass(frozen=True)
class App(Page):
    """A page, and the tools whose results it shows."""

    mime_type: str = MIME_TYPE
    meta: dict[str, Any] | None = field(default_factory=lambda: {"ui": {"csp": SHUT, "prefersBorder": True}})
    tools: tuple[str, ...] = ()


def document(name: str, title: str) -> str:
    """One document of a body, the common style and scripts; its policy names the two by their digests."""
    folder = files(__name__)
    body = folder.joinpath(f"{name}.html").read_text(encoding="utf-8")
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    script = "".join(folder.joinpath(part).read_text(encoding="utf-8") for part in ("host.js", f"{name}.js"))
    policy = (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; "
        "img-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def digest(text: str) -> str:
    """How a policy names a piece of the document itself."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


APPS = (
    App(
        uri="ui://xyte/fleet",
        title="Fleet",
        description="Devices by state, those in trouble first, and the incidents that are open.",
        text=document("fleet", "Fleet"),
        tools=("list_devices", "find_devices"),
    ),
    App(
        uri="ui://xyte/room",
        title="Room",
        description="A room's devices, incidents and tickets, and buttons that start it and shut it down.",
        text=document("room", "Room"),
        tools=("get_room_status",),
    ),
)
"""Add a page: an .html and a .js of its name here, and its line."""


def meta_of(tool: str) -> dict[str, Any] | None:
    """What a tool's entry in the list says of its page."""
    return next(({"ui": {"resourceUri": app.uri}} for app in APPS if tool in app.tools), None)
