"""How often a caller may call, and how often a device may be commanded."""

import re
from typing import Any
from urllib.parse import unquote

from fastapi import Request

from app.auth import Caller, caller_of, tenant_of
from app.errors import DeviceBusy, InvalidInput, MethodNotAllowed, RateLimited
from app.gcra import Rate
from app.resources import Resources, get_resources
from app.telemetry import LIMITER_DEGRADED, LIMITER_REFUSALS
from app.xyte.client import segment

# The one place where Xyte wants a slash inside a segment: the media type of a device's dump.
DUMP = re.compile(r"(?<=/dumps)/\w[\w-]*%2F\w([\w.+-]|%2B)*/", re.IGNORECASE | re.ASCII)


async def admit(request: Request) -> None:
    """Whose request it is, and one unit for it, whichever door it used; before anything else of a route."""
    resources = await get_resources(request)
    await take_unit(resources, caller_of(request.headers, resources, request.scope), request.scope)
    check_method(request)
    check_path(request.scope)


async def take_unit(resources: Resources, caller: Caller, scope: Any) -> None:
    """Take one, then let nobody in whose request the guard found flawed.

    The decision stays in the request's state, where the answer's headers are made from it.
    """
    settings = resources.settings
    rate = Rate(settings.rate_limit_per_minute, 60.0, settings.rate_limit_burst)
    decision = await resources.gcra.take(f"limit:{caller.fingerprint}", rate)
    LIMITER_DEGRADED.set(resources.gcra.degraded)
    scope["state"]["decision"] = decision
    if not decision.allowed:
        LIMITER_REFUSALS.labels("caller").inc()
        wait = max(1, decision.retry_after_s)
        raise RateLimited(f"This key may call {rate.units} times a minute. Try again in {wait} s.", wait)
    if flaw := scope["state"].get("flaw"):
        raise flaw


def check_method(request: Request) -> None:
    """`DELETE /v1/devices/claim` is not the deletion of a device called claim: a path without parameters is itself."""
    allowed = request.app.state.fixed_paths.get(request.scope["path"])
    if allowed and request.scope["method"] not in allowed:
        raise MethodNotAllowed(allowed)


def check_path(scope: Any) -> None:
    """Refuse a path below /v1 whose segments are not what routing makes of them: `%2F` and `..` move between them."""
    if not scope["path"].startswith("/v1/"):
        return
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.decode("latin-1")
    for part in DUMP.sub("/", path).split("/")[1:]:
        segment(unquote(part))
    if "%00" in scope["query_string"].decode("latin-1"):
        raise InvalidInput("The query holds a NUL character.")


async def take_command(resources: Resources, caller: Caller, device_id: str) -> None:
    """One command to a device; equipment is slow, and a burst of commands is usually a mistake."""
    if caller.dry_run:
        return
    per_minute = resources.settings.device_commands_per_minute
    tenant = await tenant_of(resources, caller)
    decision = await resources.gcra.take(f"device:{tenant}:{device_id}", Rate(per_minute, 60.0, per_minute))
    if not decision.allowed:
        LIMITER_REFUSALS.labels("device").inc()
        wait = max(1, decision.retry_after_s)
        raise DeviceBusy(f"A device takes {per_minute} commands a minute. Nothing was sent; try in {wait} s.", wait)
