"""The live watch: while somebody listens, one process looks at the cloud with a listener's key and tells what changed.

The right to look and what was seen last are one row in Postgres, and a look is recorded with its events in one
transaction, only if nobody else recorded one since. So a process that takes over neither repeats nor loses anything,
and two that look at once, as after a long pause, tell it once.
"""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

from app.auth import Caller, client_of
from app.errors import ServiceUnavailable, UpstreamProblem, UpstreamRateLimit, UpstreamRefused, XyteRefusedKey
from app.events import changes, repository
from app.events.changes import Rows, View
from app.events.feed import Feeds
from app.events.repository import Claim
from app.resources import Resources
from app.telemetry import EVENT_LOOKS, EVENT_WATCHES, EVENTS_STORED
from app.xyte.client import XyteClient

logger = logging.getLogger("app.events")

STEP_S = 3.0
"""How often the lease is renewed, or asked for while another process has it."""

LOOK_LIMIT_S = 60.0
SLOWER = 1.2
PAGE = 100
PAGES = 100
COMMANDS = 10
DEVICES_A_LOOK = 5
"""Xyte lists commands by device only: those with unfinished commands, and so many of the others in turn."""

FINAL = frozenset({"done", "failed", "aborted"})
PARTNER = "partner-"


class Watch:
    """One tenant, watched for the listeners of this process; their keys are here and nowhere else."""

    def __init__(self, resources: Resources, tenant: str, holder: str) -> None:
        self._resources = resources
        self._tenant = tenant
        self._holder = holder
        self._interval_s = resources.settings.events_watch_s
        self._step_s = min(STEP_S, self._interval_s / 2)
        self._lease = timedelta(seconds=3 * self._step_s + 1)
        self._turn = random.randrange(1_000)  # noqa: S311  chance, not a secret
        self.callers: list[Caller] = []

    async def run(self) -> None:
        """Look when it is due and the lease is ours; give the lease back at the end."""
        try:
            while self.callers:
                pause_s = await self._step()
                # A cancellation may have been swallowed in there.
                if self.callers:
                    await asyncio.sleep(pause_s)
        finally:
            with suppress(ServiceUnavailable):
                async with repository.as_tenant(self._resources, self._tenant) as db:
                    await repository.release(db, self._tenant, self._holder)

    async def _step(self) -> float:
        """One turn; the seconds until the next."""
        try:
            async with repository.as_tenant(self._resources, self._tenant) as db:
                claim = await repository.claim(db, self._tenant, self._holder, self._lease)
                if claim is None:
                    return self._step_s
                if claim.due_in_s > 0:
                    return min(claim.due_in_s + 0.01, self._step_s)
                kept = timedelta(days=self._resources.settings.events_keep_days)
                before = await repository.view_of(db, self._tenant, kept)
            await self._look(claim, before)
        except ServiceUnavailable:
            return self._step_s
        except Exception:
            logger.exception("a look at the cloud failed")
            EVENT_LOOKS.labels("failed").inc()
            return self._step_s
        return 0.0

    async def _look(self, claim: Claim, before: View | None) -> None:
        settings = self._resources.settings
        caller = self.callers[-1]
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                after = await self._observe(client_of(self._resources, caller, "organization"), before or {})
        except XyteRefusedKey:
            self.callers[:] = [other for other in self.callers if other.fingerprint != caller.fingerprint]
            await self._later("refused", 0.0)
        except (UpstreamProblem, TimeoutError) as problem:
            wait_s = problem.retry_after_s if isinstance(problem, UpstreamRateLimit) else 0
            await self._later("failed", max(wait_s, settings.events_watch_slowest_s))
        else:
            await self._record(claim, before, after)

    async def _later(self, outcome: str, seconds: float) -> None:
        EVENT_LOOKS.labels(outcome).inc()
        async with repository.as_tenant(self._resources, self._tenant) as db:
            await repository.look_later(db, self._tenant, timedelta(seconds=seconds))

    async def _record(self, claim: Claim, before: View | None, after: View) -> None:
        settings = self._resources.settings
        drafts = [] if before is None else changes.changes(before, after)
        slower = min(self._interval_s * SLOWER, settings.events_watch_slowest_s)
        self._interval_s = settings.events_watch_s if drafts else slower
        next_in = timedelta(seconds=self._interval_s)
        async with repository.as_tenant(self._resources, self._tenant) as db:
            view = None if after == before else after
            if not await repository.seen(db, self._tenant, claim.version, view, next_in):
                EVENT_LOOKS.labels("overtaken").inc()
                return
            if drafts:
                await repository.append(db, self._tenant, drafts)
        EVENT_LOOKS.labels("seen").inc()
        if drafts:
            EVENTS_STORED.labels("watch").inc(len(drafts))
            await self._resources.the(Feeds).tell([self._tenant])

    async def _observe(self, xyte: XyteClient, before: View) -> View:
        """All there is to see, or a problem: half a list would tell of devices that are gone."""
        now = int(time.time())
        active = {"status": "active", "from": 0, "to": now}
        (devices, incidents, tickets) = await asyncio.gather(
            listed(xyte, "devices", {}), listed(xyte, "incidents", active), listed(xyte, "tickets", None)
        )
        doubts: dict[str, list[str]] = before.get("doubts", {})
        after: View = {"doubts": {}}
        for name, found, of in (
            ("devices", devices, changes.device_of),
            ("incidents", incidents, changes.incident_of),
            ("tickets", tickets, changes.ticket_of),
        ):
            if found is None:  # this key may not see them
                after[name] = before.get(name)
                continue
            rows: Rows = {number: of(row) for row in found.rows if (number := number_of(row))}
            if found.pages > 1:
                rows, after["doubts"][name] = changes.carried(before.get(name) or {}, rows, doubts.get(name, ()))
            after[name] = rows
        after["commands"] = await self._commands(xyte, before.get("commands", {}), after["devices"] or {})
        return after

    async def _commands(self, xyte: XyteClient, before: dict[str, Rows], devices: Rows) -> dict[str, Rows]:
        kept = {device_id: rows for device_id, rows in before.items() if device_id in devices}
        chosen = self._chosen(kept, sorted(devices))
        found = await asyncio.gather(*(commands_of(xyte, device_id) for device_id in chosen))
        return kept | {number: rows for number, rows in zip(chosen, found, strict=True) if rows is not None}

    def _chosen(self, known: dict[str, Rows], devices: Sequence[str]) -> list[str]:
        """Devices whose commands are looked at now."""
        busy = [number for number, rows in known.items() if any(row["status"] not in FINAL for row in rows.values())]
        first = self._turn % len(devices) if devices else 0
        self._turn += DEVICES_A_LOOK
        turn = [*devices[first:], *devices[:first]][:DEVICES_A_LOOK]
        return list(dict.fromkeys([*busy[: 2 * DEVICES_A_LOOK], *turn]))


class Found:
    """A whole list, and in how many pages it came."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.pages = 0


async def listed(xyte: XyteClient, resource: str, asking: dict[str, Any] | None) -> Found | None:
    """Every page of a list; nothing if the key may not see it. Tickets come all at once."""
    found = Found()
    query = None if asking is None else asking | {"per_page": PAGE, "page": 1}
    try:
        while found.pages < PAGES:
            page: dict[str, Any] = (await xyte.page(dict[str, Any], resource, query=query)).value
            found.rows += page["items"]
            found.pages += 1
            if query is None or not page["has_more"]:
                break
            query["page"] = page["next_page"]
    except UpstreamRefused:
        return None
    return found


async def commands_of(xyte: XyteClient, device_id: str) -> Rows | None:
    """A device's last commands; nothing if they cannot be seen, as when it was removed a moment ago."""
    try:
        page = await xyte.page(dict[str, Any], "devices", device_id, "commands", query={"per_page": COMMANDS})
    except UpstreamRefused:
        return None
    rows: list[dict[str, Any]] = page.value["items"]
    return {number: changes.command_of(row) for row in rows if (number := number_of(row))}


def number_of(row: dict[str, Any]) -> str | None:
    """A row's id, under either of its names."""
    number = row.get("id") or row.get("uuid")
    return str(number) if number else None


class Watches:
    """The watches of a process."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._watches: dict[str, tuple[Watch, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, caller: Caller, tenant: str) -> AsyncGenerator[None]:
        """See to it that a tenant is watched while this is open. Partners have webhooks instead."""
        if tenant.startswith(PARTNER):
            yield
            return
        watch = self._joined(caller, tenant)
        try:
            yield
        finally:
            if caller in watch.callers:
                watch.callers.remove(caller)
            if not watch.callers:
                self._stop(tenant, watch)

    def _joined(self, caller: Caller, tenant: str) -> Watch:
        watch, running = self._watches.get(tenant, (None, None))
        if watch is None or running is None or running.done():
            watch = Watch(self._resources, tenant, self._holder)
            watch.callers.append(caller)
            self._watches[tenant] = watch, asyncio.create_task(watch.run())
        else:
            watch.callers.append(caller)
        EVENT_WATCHES.set(len(self._watches))
        return watch

    def _stop(self, tenant: str, watch: Watch) -> None:
        known, running = self._watches.get(tenant, (None, None))
        if known is not watch or running is None:
            return
        del self._watches[tenant]
        EVENT_WATCHES.set(len(self._watches))
        running.cancel()
        self._ending.add(running)
        running.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Give all leases back."""
        for tenant, (watch, _) in list(self._watches.items()):
            watch.callers.clear()
            self._stop(tenant, watch)
        while self._ending:
            await asyncio.wait(self._ending)
