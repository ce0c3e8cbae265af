"""The simulator itself: one world, its faults, its journal, and the way each request takes through them."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import httpx
from starlette.types import Receive, Scope, Send

from app.simulator import admin, device, fleet, organization, partner
from app.simulator.answers import Reply, answer
from app.simulator.calls import NOT_AUTHORIZED, Call, Refusal
from app.simulator.clock import Clock
from app.simulator.faults import Fault, Faults
from app.simulator.journal import Entry, Journal
from app.simulator.notices import deliver
from app.simulator.records import Device, Organization, Partner
from app.simulator.routing import Route, RouteTree
from app.simulator.settings import Settings
from app.simulator.world import World

logger = logging.getLogger(__name__)

STEP_SECONDS = 0.1
RATE_WINDOW_SECONDS = 30.0

TREE = RouteTree((*organization.ROUTES, partner.routes, device.routes, admin.routes))


@dataclass(slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    route: Route | None
    call: Call
    key: str


class Simulator:
    """A pretend cloud; nothing in it moves but by requests and ticks."""

    world: World
    faults: Faults
    journal: Journal

    def __init__(self, settings: Settings, wall: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.wall = wall
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Start again from the beginning."""
        if seed is not None:
            self.settings.seed = seed
        self.world = World(self.settings, Clock(self.wall))
        self.faults = Faults(self.settings.seed)
        self.journal = Journal()
        fleet.build(self.world)

    def tick(self, seconds: float) -> None:
        """Let this many simulated seconds pass; all devices and jobs act when this returns."""
        self.world.clock.tick(seconds)

    async def run(self) -> None:
        """Let time pass by itself, and tell the vendor what it wants to know."""
        await asyncio.gather(self._pass_time(), self._send_notices())

    async def _pass_time(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(STEP_SECONDS)
            now = time.monotonic()
            try:
                self.tick((now - last) * self.settings.speed)
            except Exception:
                logger.exception("a step of the simulated world failed")
            last = now

    async def _send_notices(self) -> None:
        async with httpx.AsyncClient() as client:
            while True:
                await asyncio.sleep(STEP_SECONDS)
                await deliver(self.world, client)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await self._read(scope, receive)
        if request.route is not None and request.route.scope == "admin":
            reply, fault = _perform(request.route, request.call), None
        else:
            reply, fault = await self._decide(request)
        await answer(scope, receive, send, reply, fault)

    async def _read(self, scope: Scope, receive: Receive) -> Request:
        method: str = scope["method"]
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        body = b"" if method == "GET" else await _body(receive)
        route, values = TREE.find(method, path) or (None, {})
        base_url = f"{scope['scheme']}://{headers.get(b'host', b'localhost').decode('latin-1')}"
        call = Call(self, values, scope["query_string"], body, base_url)
        return Request(method, path, route, call, headers.get(b"authorization", b"").decode("latin-1"))

    async def _decide(self, request: Request) -> tuple[Reply, Fault | None]:
        """What the cloud answers, and what goes wrong with it; on record before a byte leaves."""
        tenant, refusal = self._admit(request.route, request.call, request.key)
        fault = self.faults.pick(request.method, request.path, tenant) if self.faults.rules else None
        entry = self._note(request, tenant, fault)
        if fault is not None and fault.kind == "latency":
            await asyncio.sleep(fault.seconds)
        if fault is not None and not fault.applies:
            reply = Reply(0, b"")
        elif refusal is not None:
            reply = Reply.of(refusal.status, refusal.body)
        elif request.route is None:
            reply = Reply.of(404, {"error": "Not found"})
        else:
            reply = _perform(request.route, request.call)
        entry.status = fault.status if fault and fault.kind in ("status", "html_error") else reply.status or None
        return reply, fault

    def _note(self, request: Request, tenant: str | None, fault: Fault | None) -> Entry:
        entry = Entry(
            at=self.world.now(),
            method=request.method,
            path=request.path,
            query=request.call.query_string.decode("latin-1"),
            scope=request.route.scope if request.route else "none",
            tenant=tenant,
            key_id=sha256(request.key.encode()).hexdigest()[:8] if request.key else None,
            body=request.call.body,
            fault=fault.kind if fault else None,
        )
        self.journal.write(entry)
        return entry

    def _admit(self, route: Route | None, call: Call, key: str) -> tuple[str | None, Refusal | None]:
        """Whose call this is, and why it may not go on."""
        owner = self.world.keys.get(key)
        if route is None or route.scope == "none":
            return (owner.name if owner else None), None
        if route.scope == "device":
            return self._admit_device(call, key)
        if route.scope == "organization" and isinstance(owner, Organization):
            call.organization = owner
        elif route.scope == "partner" and isinstance(owner, Partner):
            call.partner = owner
        else:
            return (owner.name if owner else None), Refusal(401, NOT_AUTHORIZED)
        return owner.name, None

    def _admit_device(self, call: Call, key: str) -> tuple[str | None, Refusal | None]:
        found = self.world.devices.get(call.path["device_id"])
        if found is None or found.access_key != key:
            return None, Refusal(401, NOT_AUTHORIZED)
        tenant = found.organization.name if found.organization else None
        call.device = found
        if self._too_often(found):
            return tenant, Refusal(429, "Too many requests")
        self.world.hear(found)
        return tenant, None

    def _too_often(self, found: Device) -> bool:
        limit = self.settings.device_rate_limit
        if not limit:
            return False
        now = self.world.now()
        while found.calls and found.calls[0] <= now - RATE_WINDOW_SECONDS:
            found.calls.popleft()
        found.calls.append(now)
        return len(found.calls) > limit


def _perform(route: Route, call: Call) -> Reply:
    try:
        return Reply.of(route.status, route.handler(call))
    except Refusal as refusal:
        return Reply.of(refusal.status, refusal.body)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body
