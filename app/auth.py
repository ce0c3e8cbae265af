"""A key becomes a Caller; nothing else reads headers."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from redis.exceptions import RedisError
from starlette.datastructures import Headers

from app.errors import ConflictingXyteKeys, InvalidXyteKey, MissingXyteKey, UpstreamProblem, XyteRefusedKey
from app.resources import Resources
from app.xyte.client import Scope, XyteClient

KEY_SHAPE = re.compile(r"[!-~]{32,512}")
BEARER = re.compile(r"\Abearer([ \t]+|\Z)", re.IGNORECASE)
BLANKS = " \t"
FRESH_S = 600.0
STALE_S = 86_400


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key they sent, and the fingerprint that stands for it."""

    key: str = field(repr=False)
    fingerprint: str = field(repr=False)
    dry_run: bool = False

    @property
    def key_id(self) -> str:
        """All that logs and metrics may show of a key."""
        return self.fingerprint[:12]


async def get_caller(request: Request) -> Caller:
    """The caller who was admitted."""
    return request.scope["state"]["caller"]


def caller_of(headers: Headers, resources: Resources, scope: Any) -> Caller:
    """The caller by the headers; remembered in the request's state for the log."""
    key = key_in(headers)
    caller = Caller(key, resources.fingerprint(key))
    scope.setdefault("state", {})["caller"] = caller
    return caller


def key_in(headers: Headers) -> str:
    """The one key that the headers carry."""
    found = set(keys_in(headers))
    if not found:
        raise MissingXyteKey
    if len(found) > 1:
        raise ConflictingXyteKeys
    key = found.pop()
    if not KEY_SHAPE.fullmatch(key):
        raise InvalidXyteKey
    return key


def keys_in(headers: Headers) -> Iterable[str]:
    """Every key in sight: X-XYTE-API-KEY, Authorization: Bearer <key>, Authorization: <key>."""
    for value in headers.getlist("x-xyte-api-key"):
        if key := value.strip(BLANKS):
            yield key
    for value in headers.getlist("authorization"):
        if key := BEARER.sub("", value.strip(BLANKS)).strip(BLANKS):
            yield key


def client_of(resources: Resources, caller: Caller, scope: Scope) -> XyteClient:
    """The cloud as this caller sees it."""
    return XyteClient(resources.cloud, caller.key, caller.fingerprint, scope, dry_run=caller.dry_run)


async def tenant_of(resources: Resources, caller: Caller) -> str:
    """The Xyte organization behind a key, so that what is stored survives a new key; for a partner, the fingerprint.

    Believed for ten minutes, and for a day while the cloud does not answer.
    """
    fingerprint = caller.fingerprint
    known = resources.tenants.get(fingerprint)
    if known and time.monotonic() - resources.resolved_at.get(fingerprint, -FRESH_S) < FRESH_S:
        return known
    try:
        tenant = await _ask_for_tenant(resources, caller)
    except XyteRefusedKey:
        resources.tenants.pop(fingerprint, None)
        raise
    except UpstreamProblem:
        tenant = known or await _remembered(resources, fingerprint)
        if tenant is None:
            raise
        return tenant
    await _remember(resources, fingerprint, tenant)
    return tenant


async def _ask_for_tenant(resources: Resources, caller: Caller) -> str:
    try:
        info = await client_of(resources, caller, "organization").get(dict[str, Any], "info")
    except XyteRefusedKey:
        await client_of(resources, caller, "partner").get(dict[str, Any], "tickets")
        return f"partner-{caller.fingerprint}"
    return str(info.value["id"])


async def _remembered(resources: Resources, fingerprint: str) -> str | None:
    try:
        return await resources.redis.get(f"tenant:{fingerprint}")
    except (RedisError, OSError, TimeoutError):
        return None


async def _remember(resources: Resources, fingerprint: str, tenant: str) -> None:
    if len(resources.tenants) >= 10_000:
        resources.tenants.clear()
        resources.resolved_at.clear()
    resources.tenants[fingerprint] = tenant
    resources.resolved_at[fingerprint] = time.monotonic()
    try:
        await resources.redis.set(f"tenant:{fingerprint}", tenant, ex=STALE_S)
    except (RedisError, OSError, TimeoutError):
        return
