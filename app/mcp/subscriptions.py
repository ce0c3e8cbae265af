"""`subscriptions/listen`: a client hears that a resource has changed, as long as it keeps the stream open.

What can be watched is one line in WATCHES. Every address is read once with the caller's key before it is watched, and
whatever happens on another replica is heard over Redis.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial
from typing import Any
from uuid import UUID

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_to_notification
from mcp_types import (
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)

from app.auth import Caller, tenant_of
from app.errors import Problem
from app.events import service as events
from app.events.feed import Feeds
from app.events.schemas import Delivery, EventChoice
from app.mcp.resources import INVALID_PARAMS, Live
from app.resources import Resources
from app.rooms.service import fleet_of
from app.tasks import service as tasks
from app.tasks.schemas import TaskStatus

OPEN_S = 600.0
"""A stream ends after so long; the client listens again, which asks for its key again."""
STREAMS_PER_KEY = 8
STREAMS = 500
ADDRESSES = 50
WAIT_S = 2.0
TOO_MANY = -31429

Context = ServerRequestContext[Any, Any]
Watch = Callable[[Resources, Caller, Mapping[str, str]], AsyncGenerator[Any]]
"""Yields at once when it has begun, then whenever the thing that the arguments name has changed, and ends when it
cannot change any more."""
Authorize = Callable[[str], Awaitable[tuple[Live, Mapping[str, str]] | None]]
"""What an address leads to, if the caller may read it."""


async def task_changes(
    resources: Resources, caller: Caller, arguments: Mapping[str, str]
) -> AsyncGenerator[TaskStatus]:
    """A task, each time that it is another than before, until its end."""
    task_id = UUID(arguments["task_id"])
    seen = await tasks.status(resources, await tenant_of(resources, caller), task_id)
    yield seen
    while not seen.final and not resources.the(Feeds).leaving:
        now = await tasks.wait_for_change(resources, await tenant_of(resources, caller), task_id, WAIT_S)
        if not tasks.is_same(now, seen):
            yield now
        seen = now


def told_by(types: str) -> Watch:
    """What the tenant's events of these types tell of the thing that the arguments name."""

    async def watch(resources: Resources, caller: Caller, arguments: Mapping[str, str]) -> AsyncGenerator[Delivery]:
        choice = EventChoice(type=types, device_id=arguments.get("device_id"))
        if "room" in arguments:
            choice = EventChoice(type=types, space_id=(await fleet_of(resources, caller)).room(arguments["room"]).id)
        ticket = arguments.get("ticket_id")
        async with aclosing(events.follow(resources, caller, choice)) as deliveries:
            yield await anext(deliveries)
            async for delivery in deliveries:
                if delivery.gap or any(ticket in (None, event.data.get("ticket_id")) for event in delivery.events):
                    yield delivery

    return watch


WATCHES: Mapping[str, Watch] = {
    "xyte://tasks/{task_id}": task_changes,
    "xyte://devices/{device_id}": told_by("device."),
    "xyte://devices/{device_id}/status": told_by("device."),
    "xyte://devices/{device_id}/commands": told_by("command."),
    "xyte://rooms/{room}": told_by("device.,command."),
    "xyte://incidents": told_by("incident."),
    "xyte://tickets/{ticket_id}": told_by("ticket."),
}
"""By the address of the resource."""


class Listening:
    """The streams that are open in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    async def __call__(
        self,
        context: Context,
        params: SubscriptionsListenRequestParams,
        resources: Resources,
        caller: Caller,
        authorize: Authorize,
    ) -> SubscriptionsListenResult:
        """Acknowledge what is watched, then tell of each change."""
        if self._open[caller.fingerprint] >= STREAMS_PER_KEY or self._open.total() >= STREAMS:
            raise MCPError(TOO_MANY, f"A key may keep {STREAMS_PER_KEY} streams open. Close one first.")
        self._open[caller.fingerprint] += 1
        try:
            return await self._listen(context, params, resources, caller, authorize)
        finally:
            self._open[caller.fingerprint] -= 1
            if not self._open[caller.fingerprint]:
                del self._open[caller.fingerprint]

    async def _listen(
        self,
        context: Context,
        params: SubscriptionsListenRequestParams,
        resources: Resources,
        caller: Caller,
        authorize: Authorize,
    ) -> SubscriptionsListenResult:
        asked = list(dict.fromkeys(params.notifications.resource_subscriptions or []))
        if len(asked) > ADDRESSES:
            raise MCPError(INVALID_PARAMS, f"A stream watches at most {ADDRESSES} resources.")
        async with AsyncExitStack() as begun:
            watches: dict[str, AsyncGenerator[Any]] = {}
            for uri in asked:
                if (found := await authorize(uri)) and (watch := WATCHES.get(found[0].uri)):
                    with suppress(Problem):  # what cannot be watched is not promised
                        changes = await begun.enter_async_context(aclosing(watch(resources, caller, found[1])))
                        await anext(changes)
                        watches[uri] = changes
            return await self._tell(context, watches)

    async def _tell(self, context: Context, watches: Mapping[str, AsyncGenerator[Any]]) -> SubscriptionsListenResult:
        meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: context.request_id}
        honoured = SubscriptionFilter(resource_subscriptions=list(watches) or None)
        acknowledged = SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
        send = partial(context.session.send_notification, related_request_id=context.request_id)
        await send(SubscriptionsAcknowledgedNotification(params=acknowledged))
        with anyio.move_on_after(OPEN_S):
            async for uri in merged(watches):
                await send(event_to_notification(ResourceUpdated(uri=uri), meta))
        return SubscriptionsListenResult(_meta=meta)


async def merged(watches: Mapping[str, AsyncIterator[Any]]) -> AsyncIterator[str]:
    """The addresses whose watches speak; a reader who is slow hears once of what happened more than once."""
    changed: dict[str, None] = {}
    news = asyncio.Event()
    left = len(watches)

    async def follow(uri: str, watch: AsyncIterator[Any]) -> None:
        nonlocal left
        try:
            with suppress(Problem):  # the key is refused, or a store is away: the client listens again and hears why
                async for _ in watch:
                    changed[uri] = None
                    news.set()
        finally:
            left -= 1
            news.set()

    async with asyncio.TaskGroup() as group:
        for uri, watch in watches.items():
            group.create_task(follow(uri, watch))
        while left or changed:
            await news.wait()
            news.clear()
            while changed:
                yield changed.popitem()[0]
