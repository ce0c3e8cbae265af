"""What callers do with events: add, list, follow, take one after the other, hand in by webhook."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Caller, client_of, tenant_of
from app.errors import (
    BodyTooLarge,
    InvalidInput,
    LimitReached,
    NotFound,
    Problem,
    RateLimited,
    ServiceUnavailable,
    WebhookRefused,
)
from app.events import repository
from app.events.feed import LOOK_ALONE_EVERY_S, Feed, Feeds
from app.events.models import EventWebhook
from app.events.schemas import (
    Delivery,
    Draft,
    EventChoice,
    EventFilter,
    EventPage,
    NextEvent,
    NextFilter,
    Receipt,
    Wanted,
    Webhook,
    WebhookCreate,
    WebhookList,
    WebhookRotate,
    WebhookSecret,
)
from app.events.watch import Watches
from app.gcra import Rate
from app.guard import flaw_of
from app.resources import Resources
from app.telemetry import EVENTS_STORED, WEBHOOKS
from app.xyte.client import Planned

MOST_CONSUMERS = 100
MOST_WEBHOOKS = 50
MOST_SPACE_PAGES = 50
BATCH = 100
IDLE_S = 15.0
DUPLICATES_FOR = timedelta(minutes=10)
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
TYPE_LENGTH = 100


async def append(resources: Resources, tenant: str, drafts: Sequence[Draft]) -> None:
    """Add events to a tenant's log, and wake who follows it."""
    async with repository.as_tenant(resources, tenant) as db:
        await repository.append(db, tenant, drafts)
    for draft in drafts:
        EVENTS_STORED.labels(draft.source).inc()
    await resources.the(Feeds).tell([tenant])


# ── Readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def wanted_by(resources: Resources, caller: Caller, choice: EventChoice) -> Wanted:
    """A choice, ready to compare; a space stands for the devices that Xyte lists in it."""
    types = {part.strip() for part in (choice.type or "").split(",") if part.strip()}
    devices = {choice.device_id} if choice.device_id else None
    if choice.space_id is not None:
        there = await devices_in(resources, caller, choice.space_id)
        devices = there if devices is None else devices & there
    return Wanted(
        types=frozenset(kind for kind in types if not kind.endswith(".")),
        kinds=tuple(sorted(kind for kind in types if kind.endswith("."))),
        device_ids=None if devices is None else frozenset(devices),
        space_id=None if choice.device_id else choice.space_id,
    )


async def devices_in(resources: Resources, caller: Caller, space_id: int) -> set[str]:
    """The ids of a space's devices, believed for some minutes."""
    place = (caller.fingerprint, "events", "space", space_id)
    known: set[str] | None = resources.cloud.memory.recall(place)
    if known is not None:
        return known
    xyte = client_of(resources, caller, "organization")
    found: set[str] = set()
    asking: dict[str, Any] = {"space_id": space_id, "per_page": 100, "page": 1}
    for _ in range(MOST_SPACE_PAGES):
        page: dict[str, Any] = (await xyte.page(dict[str, Any], "devices", query=asking)).value
        found |= {str(row["id"]) for row in page["items"] if row.get("id")}
        if not page["has_more"]:
            break
        asking["page"] = page["next_page"]
    resources.cloud.memory.keep(place, found)
    return found


async def listed(resources: Resources, caller: Caller, asked: EventFilter) -> EventPage:
    """One page: after a position, or else the newest."""
    tenant = await tenant_of(resources, caller)
    wanted = await wanted_by(resources, caller, asked)
    async with repository.as_tenant(resources, tenant) as db:
        if asked.after is None:
            page = await repository.newest(db, tenant, asked.limit, wanted)
        else:
            page = await repository.page(db, tenant, asked.after, asked.limit, wanted)
    return EventPage(items=page.events, gap=page.gap, next_after=page.end, has_more=page.full and page.end < page.last)


async def follow(
    resources: Resources,
    caller: Caller,
    choice: EventChoice,
    after: int | None = None,
    *,
    idle_s: float | None = None,
) -> AsyncGenerator[Delivery]:
    """A tenant's events from a position on, or from now, without end; while it is open the cloud is watched.

    It yields at once where it stands, then events in order with any gap before them, and at least every `idle_s`
    seconds (default `IDLE_S`) a delivery without events. It keeps no queue: who is slow reads from the log. While the
    log is away it waits. It ends when the process is told to stop, and with a problem when Xyte refuses the key.
    """
    tenant = await tenant_of(resources, caller)
    wanted = await wanted_by(resources, caller, choice)
    feeds = resources.the(Feeds)
    async with feeds.joined(tenant) as feed, resources.the(Watches).listening(caller, tenant):
        assert feed.last is not None
        position = feed.last if after is None else after
        yield Delivery(position)
        while not feeds.leaving:
            news = feed.news
            delivery = await next_of(resources, tenant, feed, position, wanted)
            position = delivery.position
            if delivery.events or delivery.gap:
                yield delivery
            elif position == feed.last and not await within(idle_s or IDLE_S, news):
                await tenant_of(resources, caller)  # a key that was revoked hears no more
                wanted = await wanted_by(resources, caller, choice)
                yield Delivery(position)


async def within(seconds: float, news: asyncio.Event) -> bool:
    """Whether there is news within that time."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return False
    return True


async def next_of(resources: Resources, tenant: str, feed: Feed, position: int, wanted: Wanted) -> Delivery:
    """What comes after a position: from memory where it reaches so far, else from the log."""
    recent = feed.since(position)
    if recent is not None:
        fitting = [event for event in recent if wanted.fits(event)]
        return Delivery(recent[-1].sequence if recent else position, fitting)
    try:
        async with repository.as_tenant(resources, tenant) as db:
            page = await repository.page(db, tenant, position, BATCH, wanted)
    except ServiceUnavailable:
        await asyncio.sleep(LOOK_ALONE_EVERY_S)
        return Delivery(position)
    return Delivery(page.end, page.events, page.gap)


async def next_event(resources: Resources, caller: Caller, asked: NextFilter) -> NextEvent:
    """The first event that a consumer has not acknowledged; what it was given stays so until it says otherwise."""
    tenant = await tenant_of(resources, caller)
    wanted = await wanted_by(resources, caller, asked)
    async with repository.as_tenant(resources, tenant) as db:
        position = await consumed(db, tenant, asked)
        page = await repository.page(db, tenant, position, 1, wanted)
        if page.gap and page.gap.reason == "restored":
            await repository.move_to(db, tenant, asked.consumer, page.start)
    if page.events or page.gap:
        return answer(Delivery(page.end if page.events else page.start, page.events, page.gap))
    if asked.wait_seconds:
        try:
            async with (
                asyncio.timeout(asked.wait_seconds),
                aclosing(follow(resources, caller, asked, page.end)) as deliveries,
            ):
                async for delivery in deliveries:
                    if delivery.events or delivery.gap:
                        return answer(delivery)
        except TimeoutError:
            pass
    return NextEvent()


def answer(delivery: Delivery) -> NextEvent:
    """The first event of a delivery, with what acknowledges it."""
    event = delivery.events[0] if delivery.events else None
    return NextEvent(event=event, gap=delivery.gap, ack=event.sequence if event else delivery.position)


async def consumed(db: AsyncSession, tenant: str, asked: NextFilter) -> int:
    """Where the consumer stands, with what it acknowledges now."""
    known = await repository.acknowledge(db, tenant, asked.consumer, asked.ack)
    if known is None:
        return await first_position(db, tenant, asked)
    position, last = known
    if asked.ack is not None and asked.ack > last:
        mistake = {"path": "ack", "message": f"The last event so far is {last}."}
        raise InvalidInput("No such event was delivered. Leave ack out to get the current one again.", [mistake])
    return position


async def first_position(db: AsyncSession, tenant: str, asked: NextFilter) -> int:
    """Where a consumer starts that there was not yet, or not any more."""
    names = await repository.consumers(db, tenant)
    if len(names) >= MOST_CONSUMERS:
        some = ", ".join(names[:10])
        raise LimitReached(f"There are {MOST_CONSUMERS} consumers already; use one of them again: {some}, …")
    last = await repository.end_of(db, tenant)
    position = next((given for given in (asked.ack, asked.after) if given is not None), last)
    await repository.move_to(db, tenant, asked.consumer, position)
    return position


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def hashed(resources: Resources, value: str) -> str:
    """What is kept of a token or a secret."""
    return resources.fingerprint(f"webhook:{value}")


async def create_webhook(resources: Resources, caller: Caller, asked: WebhookCreate) -> WebhookSecret:
    """A new address with its secret, both shown this once."""
    if caller.dry_run:
        raise Planned("POST", "/v1/webhooks", asked.model_dump())
    tenant = await tenant_of(resources, caller)
    token, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    async with repository.as_tenant(resources, tenant) as db:
        if len(await repository.webhooks(db, tenant)) >= MOST_WEBHOOKS:
            raise LimitReached(f"There are {MOST_WEBHOOKS} webhooks already. Delete one with delete_webhook first.")
        row = EventWebhook(
            tenant=tenant,
            name=asked.name,
            token_hash=hashed(resources, token),
            secret_hash=hashed(resources, secret),
        )
        db.add(row)
        await db.flush()
        await db.refresh(row)
    path = f"/webhooks/{token}"
    return WebhookSecret(**shown(row), path=resources.settings.public_url + path, secret=secret)


async def list_webhooks(resources: Resources, caller: Caller) -> WebhookList:
    """All of the tenant's."""
    tenant = await tenant_of(resources, caller)
    async with repository.as_tenant(resources, tenant) as db:
        rows = await repository.webhooks(db, tenant)
    return WebhookList(items=[Webhook(**shown(row)) for row in rows])


async def rotate_webhook(resources: Resources, caller: Caller, webhook_id: UUID, asked: WebhookRotate) -> WebhookSecret:
    """A new secret; the one before counts for a while, so that nothing is lost while it is changed at the sender."""
    if caller.dry_run:
        raise Planned("POST", f"/v1/webhooks/{webhook_id}/rotate", asked.model_dump())
    tenant = await tenant_of(resources, caller)
    secret = secrets.token_urlsafe(32)
    async with repository.as_tenant(resources, tenant) as db:
        row = await repository.webhook(db, tenant, webhook_id)
        if row is None:
            raise no_webhook(webhook_id)
        row.old_secret_hash = row.secret_hash
        row.old_secret_until = await repository.moment(db, timedelta(hours=asked.overlap_hours))
        row.secret_hash = hashed(resources, secret)
    return WebhookSecret(**shown(row), secret=secret)


async def delete_webhook(resources: Resources, caller: Caller, webhook_id: UUID) -> None:
    """Take no more events by this address."""
    if caller.dry_run:
        raise Planned("DELETE", f"/v1/webhooks/{webhook_id}", None)
    tenant = await tenant_of(resources, caller)
    async with repository.as_tenant(resources, tenant) as db:
        if not await repository.delete_webhook(db, tenant, webhook_id):
            raise no_webhook(webhook_id)


def no_webhook(webhook_id: UUID) -> Problem:
    return NotFound(f"No webhook {webhook_id}. list_webhooks shows those there are.")


def shown(row: EventWebhook) -> dict[str, Any]:
    """What callers see of a webhook."""
    return {name: getattr(row, name) for name in Webhook.model_fields}


async def receive(resources: Resources, token: str, body: bytes) -> Receipt:
    """Store what was handed in; only then say so. While the store is away the sender hears 503 and tries again."""
    outcome = "failed"
    try:
        receipt = await _receive(resources, token, body)
    except Problem as problem:
        outcome = "unavailable" if problem.status == 503 else "refused"
        raise
    else:
        outcome = "duplicate" if receipt.duplicate else "stored"
        return receipt
    finally:
        WEBHOOKS.labels(outcome).inc()


async def _receive(resources: Resources, token: str, body: bytes) -> Receipt:
    if not TOKEN.fullmatch(token):
        raise nowhere()
    if len(body) > resources.settings.webhook_limit_bytes:
        raise BodyTooLarge(resources.settings.webhook_limit_bytes)
    token_hash = hashed(resources, token)
    rate = resources.settings.webhooks_per_minute
    decision = await resources.gcra.take(f"webhook:{token_hash}", Rate(rate, 60.0, rate))
    if not decision.allowed:
        wait = max(1, decision.retry_after_s)
        raise RateLimited(f"This address takes {rate} events a minute. Try again in {wait} s.", wait)
    async with repository.transaction(resources) as db:
        webhook = await repository.by_token(db, token_hash)
        if webhook is None:
            raise nowhere()
        document = parsed(body)
        if not is_genuine(resources, webhook, document.pop("secret", None), await repository.moment(db)):
            raise WebhookRefused
        draft = draft_of(document)
        digest = hashlib.sha256(webhook.id.bytes + orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).digest()
        new = await repository.is_new(db, webhook.tenant, digest, DUPLICATES_FOR)
        await repository.touch(db, webhook.tenant, webhook.id)
        if new:
            await repository.append(db, webhook.tenant, [draft])
    if new:
        EVENTS_STORED.labels(draft.source).inc()
        await resources.the(Feeds).tell([webhook.tenant])
    return Receipt(duplicate=not new)


def nowhere() -> Problem:
    return NotFound("No such webhook.")


def parsed(body: bytes) -> dict[str, Any]:
    """The body's object, refused where two readers would understand it differently."""
    if flaw := flaw_of(body):
        raise InvalidInput(flaw)
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput("The body is not JSON.") from None
    if not isinstance(document, dict):
        raise InvalidInput("The body is not a JSON object.")
    return cast("dict[str, Any]", document)


def is_genuine(resources: Resources, webhook: EventWebhook, secret: Any, now: Any) -> bool:
    """Whether the secret is the webhook's, or the one before while that counts; always compared, in constant time."""
    given = hashed(resources, secret if isinstance(secret, str) else "").encode()
    current = hmac.compare_digest(given, webhook.secret_hash.encode())
    old = hmac.compare_digest(given, (webhook.old_secret_hash or "").encode())
    return current or (old and webhook.old_secret_until is not None and webhook.old_secret_until > now)


def draft_of(document: dict[str, Any]) -> Draft:
    """Xyte's notification by its `event_type`, whatever that is; else a generic one of `type` and `data`."""
    if "event_type" in document:
        rest = {name: value for name, value in document.items() if name != "event_type"}
        return Draft(type_in(document, "event_type"), "xyte", rest, device_in(rest))
    data = document.get("data", {})
    if not isinstance(data, dict):
        raise InvalidInput("data is not an object.", [{"path": "data", "message": "Give a JSON object."}])
    known = cast("dict[str, Any]", data)
    return Draft(type_in(document, "type"), "webhook", known, device_in(known))


def type_in(document: dict[str, Any], name: str) -> str:
    """The type, as it is."""
    kind = document.get(name)
    if not isinstance(kind, str) or not 1 <= len(kind) <= TYPE_LENGTH or not kind.isprintable():
        mistake = {"path": name, "message": f"Give 1 to {TYPE_LENGTH} printable characters."}
        raise InvalidInput(f"{name} is missing or not a type.", [mistake])
    return kind


def device_in(data: dict[str, Any]) -> str | None:
    """The device it is about, if it names one."""
    named = data.get("device_id")
    return named if isinstance(named, str) and ID.fullmatch(named) else None
