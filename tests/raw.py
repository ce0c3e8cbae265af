"""A request as it comes off the wire: nothing on the way tidies its path, its headers or its body."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import unquote

import httpx
import respx
from starlette.types import ASGIApp

from app.simulator import ORGANIZATION_KEYS

KEY = ORGANIZATION_KEYS[0]


def sent(cloud: respx.MockRouter) -> list[httpx.Request]:
    """What the gateway asked the cloud, oldest first."""
    calls: Any = cloud.calls
    return [call.request for call in calls]


def scope_of(method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What an ASGI server makes of a request line and headers."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }


async def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] = (),
    key: str | None = KEY,
    pieces: Iterable[bytes] = (),
    ending: bool = True,
) -> httpx.Response:
    """Send it, body piece by piece; without `ending` the rest of the body never comes."""
    raw: list[tuple[bytes, bytes]]
    if isinstance(headers, Mapping):
        given = cast("Mapping[str, str]", headers)
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
    else:
        raw = list(headers)
    if not any(name == b"host" for name, _ in raw):
        raw.append((b"host", b"localhost"))
    if key is not None:
        raw.append((b"x-xyte-api-key", key.encode("latin-1")))
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ending:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        if ending:
            return {"type": "http.disconnect"}
        return await asyncio.Future()

    async def send(message: Any) -> None:
        answered.append(message)

    await app(scope_of(method, target, raw), receive, send)
    content = b"".join(message.get("body", b"") for message in answered[1:])
    return httpx.Response(answered[0]["status"], headers=answered[0]["headers"], content=content)
