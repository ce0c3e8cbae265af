"""All reads and writes of events. The worker moves and trims every tenant's; all others name the tenant."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import AWAY
from app.errors import ServiceUnavailable
from app.events.models import EventConsumer, EventReceipt, EventStream, EventWatch, EventWebhook
from app.events.schemas import Draft, Event, Gap, Wanted
from app.resources import Resources

BEGIN = text("SELECT set_config('app.tenant', :tenant, true)")
EVERYTHING = Wanted()


@asynccontextmanager
async def transaction(resources: Resources) -> AsyncGenerator[AsyncSession]:
    """One that has no tenant yet, or is a worker's."""
    try:
        async with resources.sessions.begin() as db:
            yield db
    except AWAY:
        raise ServiceUnavailable(
            "The store of events does not answer. Nothing was recorded; try again in a moment.",
            headers={"Retry-After": "2"},
        ) from None


@asynccontextmanager
async def as_tenant(resources: Resources, tenant: str) -> AsyncGenerator[AsyncSession]:
    """A transaction that sees one tenant's rows."""
    async with transaction(resources) as db:
        await become(db, tenant)
        yield db


async def become(db: AsyncSession, tenant: str) -> None:
    """See one tenant's rows from here on."""
    await db.execute(BEGIN, {"tenant": tenant})


async def moment(db: AsyncSession, later: timedelta = timedelta(0)) -> datetime:
    """PostgreSQL's clock, or so much later."""
    return (await db.execute(select(func.now() + later))).scalar_one()


# ── The log ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# Whoever adds holds the stream's row until the end of the transaction: numbers are given in the order of commits, so a
# reader that sees one has seen, or can see, all before it; and those of a transaction that fails are given again.
APPEND = text("""
WITH stream AS (
    INSERT INTO event_streams AS s (tenant, last) VALUES (:tenant, :count)
    ON CONFLICT (tenant) DO UPDATE SET last = s.last + excluded.last RETURNING s.last - :count AS before
)
INSERT INTO events (tenant, sequence, type, source, at, device_id, space_id, data)
SELECT :tenant, stream.before + r.number, r.type, r.source, coalesce(r.at, clock_timestamp()), r.device_id, r.space_id,
    r.data
FROM stream, jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r(number bigint, type text, source text, at timestamptz, device_id text, space_id bigint, data jsonb)
ORDER BY r.number
""")


async def append(db: AsyncSession, tenant: str, drafts: Sequence[Draft]) -> None:
    """Add events to the end of a tenant's log."""
    rows = [
        {
            "number": number,
            "type": draft.type,
            "source": draft.source,
            "at": draft.at,
            "device_id": draft.device_id,
            "space_id": draft.space_id,
            "data": draft.data,
        }
        for number, draft in enumerate(drafts, 1)
    ]
    written = orjson.dumps(rows).decode().replace("\\u0000", "")  # which jsonb does not take
    await db.execute(APPEND, {"tenant": tenant, "count": len(rows), "rows": written})


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a position; `first` and `last` are the log's own bounds at that moment."""

    events: list[Event]
    first: int
    last: int
    start: int
    full: bool
    gap: Gap | None

    @property
    def end(self) -> int:
        """Where a reader stands that has had this page: nothing it wants lies between."""
        return self.events[-1].sequence if self.full else max(self.last, self.start)


FITS = """
(:all_types OR e.type = ANY(:types)
    OR EXISTS (SELECT FROM unnest(CAST(:kinds AS text[])) k WHERE starts_with(e.type, k)))
AND (:all_devices OR e.device_id = ANY(:device_ids) OR e.space_id = :space_id)
"""
COLUMNS = "e.sequence, e.id, e.type, e.source, e.at, e.device_id, e.space_id, e.data"
BOUNDS = """
WITH log AS (
    SELECT coalesce((SELECT last FROM event_streams WHERE tenant = :tenant), 0) AS last,
        (SELECT min(sequence) FROM events WHERE tenant = :tenant) AS first
), bounds AS (SELECT last, coalesce(first, last + 1) AS first FROM log)
"""
PAGE = text(f"""{BOUNDS}
SELECT bounds.first, bounds.last, {COLUMNS} FROM bounds LEFT JOIN LATERAL (
    SELECT * FROM events e
    WHERE e.tenant = :tenant AND e.sequence > CASE WHEN :after > bounds.last THEN bounds.first - 1 ELSE :after END
        AND {FITS}
    ORDER BY e.sequence LIMIT :limit
) e ON true ORDER BY e.sequence
""")  # noqa: S608  put together from constants
NEWEST = text(f"""{BOUNDS}
SELECT bounds.first, bounds.last, {COLUMNS} FROM bounds LEFT JOIN LATERAL (
    SELECT * FROM events e WHERE e.tenant = :tenant AND {FITS} ORDER BY e.sequence DESC LIMIT :limit
) e ON true ORDER BY e.sequence
""")  # noqa: S608  so is this


async def page(db: AsyncSession, tenant: str, after: int, limit: int, wanted: Wanted = EVERYTHING) -> Page:
    """The events after a position and what is missing before them, as of one moment."""
    rows = (await db.execute(PAGE, {"tenant": tenant, "after": after, "limit": limit} | asked(wanted))).all()
    first, last = rows[0][0], rows[0][1]
    events = [event_of(row[2:]) for row in rows if row[2] is not None]
    if after > last:
        start, gap = first - 1, Gap(first=last + 1, last=after, reason="restored")
    elif first > after + 1:
        start, gap = first - 1, Gap(first=after + 1, last=first - 1, reason="trimmed")
    else:
        start, gap = after, None
    return Page(events, first, last, start, len(events) == limit, gap)


async def newest(db: AsyncSession, tenant: str, limit: int, wanted: Wanted = EVERYTHING) -> Page:
    """The last events of the log, oldest first."""
    rows = (await db.execute(NEWEST, {"tenant": tenant, "limit": limit} | asked(wanted))).all()
    events = [event_of(row[2:]) for row in rows if row[2] is not None]
    return Page(events, rows[0][0], rows[0][1], rows[0][1], full=False, gap=None)


async def end_of(db: AsyncSession, tenant: str) -> int:
    """The last number given."""
    return (await db.execute(select(EventStream.last).where(EventStream.tenant == tenant))).scalar() or 0


def asked(wanted: Wanted) -> dict[str, Any]:
    return {
        "all_types": not wanted.types and not wanted.kinds,
        "types": list(wanted.types),
        "kinds": list(wanted.kinds),
        "all_devices": wanted.device_ids is None,
        "device_ids": list(wanted.device_ids or ()),
        "space_id": wanted.space_id,
    }


def event_of(row: Sequence[Any]) -> Event:
    sequence, number, kind, source, at, device_id, space_id, data = row
    return Event.model_construct(
        sequence=sequence,
        id=number,
        type=kind,
        source=source,
        at=at,
        device_id=device_id,
        space_id=space_id,
        data=data,
    )


# ── For the worker ───────────────────────────────────────────────────────────────────────────────────────────────────

# One worker at a time: two would each see a part of the outbox, and a task's moves might change places.
PUMP = text("""
WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7217002) AS is_ours),
taken AS (
    DELETE FROM event_outbox WHERE id IN (
        SELECT o.id FROM event_outbox o, turn WHERE turn.is_ours ORDER BY o.id LIMIT :most
    ) RETURNING *
), counts AS (
    SELECT tenant, count(*) AS added FROM taken GROUP BY tenant
), streams AS (
    INSERT INTO event_streams AS s (tenant, last) SELECT tenant, added FROM counts ORDER BY tenant
    ON CONFLICT (tenant) DO UPDATE SET last = s.last + excluded.last RETURNING s.tenant, s.last
), logged AS (
    INSERT INTO events (tenant, sequence, type, source, at, device_id, data)
    SELECT t.tenant, s.last - c.added + row_number() OVER (PARTITION BY t.tenant ORDER BY t.id),
        t.type, t.source, t.at, t.device_id, t.data
    FROM taken t JOIN counts c USING (tenant) JOIN streams s USING (tenant)
)
SELECT tenant, source, count(*), extract(epoch FROM clock_timestamp() - min(at))::float FROM taken GROUP BY 1, 2
""")


async def pump(db: AsyncSession, most: int) -> list[tuple[str, str, int, float]]:
    """Move what tasks had to tell to the logs, in order; by tenant and source how many, and the age of the oldest."""
    return [(row[0], row[1], row[2], row[3]) for row in await db.execute(PUMP, {"most": most})]


TRIM = text("""
WITH bounds AS (
    SELECT s.tenant, greatest(s.last - :count, coalesce((
        SELECT e.sequence FROM events e WHERE e.tenant = s.tenant AND e.stored_at < now() - CAST(:age AS interval)
        ORDER BY e.stored_at DESC, e.sequence DESC LIMIT 1
    ), 0)) AS gone FROM event_streams s
), old AS (
    SELECT e.tenant, e.sequence FROM bounds b CROSS JOIN LATERAL (
        SELECT e.tenant, e.sequence FROM events e WHERE e.tenant = b.tenant AND e.sequence <= b.gone
        ORDER BY e.sequence LIMIT :most
    ) e
)
DELETE FROM events e USING old WHERE e.tenant = old.tenant AND e.sequence = old.sequence
""")


async def trim(db: AsyncSession, count: int, age: timedelta, most: int) -> int:
    """Drop the oldest of each tenant's events, from the start without holes; of each tenant so many at a time."""
    result: Any = await db.execute(TRIM, {"count": count, "age": age, "most": most})
    return result.rowcount


async def forget(db: AsyncSession, age: timedelta) -> None:
    """Drop receipts that have run out, and consumers and views that nobody has used for so long."""
    await db.execute(delete(EventReceipt).where(EventReceipt.expires_at <= func.now()))
    await db.execute(delete(EventConsumer).where(EventConsumer.seen_at < func.now() - age))
    await db.execute(
        delete(EventWatch).where(func.coalesce(EventWatch.looked_at, EventWatch.look_at) < func.now() - age)
    )


# ── Consumers ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def consumers(db: AsyncSession, tenant: str) -> list[str]:
    """The names there are."""
    return list(await db.scalars(select(EventConsumer.name).where(EventConsumer.tenant == tenant).order_by("name")))


ACKNOWLEDGE = text("""
UPDATE event_consumers c SET seen_at = now(), acknowledged = CASE
    WHEN CAST(:ack AS bigint) > c.acknowledged AND :ack <= log.last THEN :ack ELSE c.acknowledged END
FROM (SELECT coalesce((SELECT last FROM event_streams WHERE tenant = :tenant), 0) AS last) log
WHERE c.tenant = :tenant AND c.name = :name RETURNING c.acknowledged, log.last
""")


async def acknowledge(db: AsyncSession, tenant: str, name: str, ack: int | None) -> tuple[int, int] | None:
    """Where a consumer stands after its word, and the log's end; nothing if there is no such consumer."""
    row = (await db.execute(ACKNOWLEDGE, {"tenant": tenant, "name": name, "ack": ack})).first()
    return (row[0], row[1]) if row else None


async def move_to(db: AsyncSession, tenant: str, name: str, position: int) -> None:
    """A consumer has come so far."""
    statement = insert(EventConsumer).values(tenant=tenant, name=name, acknowledged=position)
    await db.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "name"], set_={"acknowledged": position})
    )


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def by_token(db: AsyncSession, token_hash: str) -> EventWebhook | None:
    """The webhook that a token leads to; from here on its tenant's rows are seen."""
    await db.execute(text("SELECT set_config('app.webhook_token', :token, true)"), {"token": token_hash})
    found = await db.scalar(select(EventWebhook).where(EventWebhook.token_hash == token_hash))
    if found is not None:
        await become(db, found.tenant)
    return found


async def is_new(db: AsyncSession, tenant: str, digest: bytes, remember: timedelta) -> bool:
    """Take a receipt; waits for another transaction that is taking the same one."""
    until = func.now() + remember
    statement = (
        insert(EventReceipt)
        .values(tenant=tenant, digest=digest, expires_at=until)
        .on_conflict_do_update(
            index_elements=["tenant", "digest"],
            set_={"expires_at": until},
            where=EventReceipt.expires_at <= func.now(),
        )
        .returning(EventReceipt.tenant)
    )
    return (await db.execute(statement)).first() is not None


async def webhooks(db: AsyncSession, tenant: str) -> list[EventWebhook]:
    """All of them, oldest first."""
    mine = select(EventWebhook).where(EventWebhook.tenant == tenant)
    return list(await db.scalars(mine.order_by(EventWebhook.created_at, EventWebhook.id)))


async def webhook(db: AsyncSession, tenant: str, webhook_id: UUID) -> EventWebhook | None:
    """One of them, ours until the end."""
    mine = select(EventWebhook).where(EventWebhook.tenant == tenant, EventWebhook.id == webhook_id)
    return await db.scalar(mine.with_for_update())


async def touch(db: AsyncSession, tenant: str, webhook_id: UUID) -> None:
    """It brought something; written down now and then, so that those who come at once need not wait for each other."""
    mine = update(EventWebhook).where(EventWebhook.tenant == tenant, EventWebhook.id == webhook_id)
    stale = func.coalesce(EventWebhook.received_at < func.now() - timedelta(seconds=10), True)
    await db.execute(mine.where(stale).values(received_at=func.now()))


async def delete_webhook(db: AsyncSession, tenant: str, webhook_id: UUID) -> bool:
    """Whether there was one."""
    mine = delete(EventWebhook).where(EventWebhook.tenant == tenant, EventWebhook.id == webhook_id)
    return (await db.scalar(mine.returning(EventWebhook.id))) is not None


# ── Watches ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to look at the cloud for a tenant, and when the next look is due."""

    version: int
    due_in_s: float


CLAIM = text("""
INSERT INTO event_watches AS w (tenant, holder, lease_until) VALUES (:tenant, :holder, now() + CAST(:lease AS interval))
ON CONFLICT (tenant) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
    WHERE w.holder = excluded.holder OR w.lease_until IS NULL OR w.lease_until < now()
RETURNING w.version, extract(epoch FROM w.look_at - now())::float
""")


async def claim(db: AsyncSession, tenant: str, holder: str, lease: timedelta) -> Claim | None:
    """Take the lease, or renew it; nothing while another process has it."""
    row = (await db.execute(CLAIM, {"tenant": tenant, "holder": holder, "lease": lease})).first()
    return Claim(*row) if row else None


async def view_of(db: AsyncSession, tenant: str, age: timedelta) -> dict[str, Any] | None:
    """What was seen last, unless that was too long ago to tell what happened since."""
    recent = EventWatch.looked_at > func.now() - age
    return await db.scalar(select(EventWatch.view).where(EventWatch.tenant == tenant, recent))


async def release(db: AsyncSession, tenant: str, holder: str) -> None:
    """Another process may look now."""
    await db.execute(_watch(tenant).where(EventWatch.holder == holder).values(lease_until=None))


async def seen(db: AsyncSession, tenant: str, version: int, view: dict[str, Any] | None, next_in: timedelta) -> bool:
    """Keep a new view, or none if nothing changed; only while the one it was compared with is still the last."""
    values: dict[str, Any] = {"looked_at": func.now(), "look_at": func.now() + next_in, "version": version + 1}
    if view is not None:
        values["view"] = view
    kept = _watch(tenant).where(EventWatch.version == version).values(**values).returning(EventWatch.version)
    return (await db.scalar(kept)) is not None


async def look_later(db: AsyncSession, tenant: str, next_in: timedelta) -> None:
    """A look failed."""
    await db.execute(_watch(tenant).values(look_at=func.now() + next_in))


def _watch(tenant: str) -> Any:
    return update(EventWatch).where(EventWatch.tenant == tenant)
