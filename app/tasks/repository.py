"""All reads and writes of tasks. The worker's act on every tenant's rows; all others name the tenant."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import delete, exists, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import AWAY
from app.errors import CredentialsUnavailable, PartlyDone, Problem, ServiceUnavailable
from app.resources import Resources
from app.seal import Binding, Sealed
from app.tasks.models import FINAL, IdempotencyRecord, Meta, State, Task, TaskEvent, TaskSecret
from app.tasks.schemas import TaskFilter

CHANNEL = "xyte_tasks"
BACKOFF_S = 15.0

BEGIN = text("SELECT set_config('app.tenant', :tenant, true), now()")
EPOCH = func.coalesce(select(Meta.epoch).scalar_subquery(), 1)


@asynccontextmanager
async def as_tenant(resources: Resources, tenant: str) -> AsyncGenerator[AsyncSession]:
    """A transaction that sees one tenant's rows; `now` in its info is PostgreSQL's clock."""
    try:
        async with resources.sessions.begin() as db:
            db.info["now"] = (await db.execute(BEGIN, {"tenant": tenant})).one()[1]
            yield db
    except AWAY:
        raise ServiceUnavailable(
            "The store of tasks does not answer. Nothing was recorded; try again in a moment.",
            headers={"Retry-After": "2"},
        ) from None


# ── For callers ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def reserve(db: AsyncSession, tenant: str, operation: str, key: str, fingerprint: bytes, keep: timedelta) -> bool:
    """Take an idempotency key; waits for another transaction that is taking it, and says whether it is ours now."""
    fresh: dict[str, Any] = {
        "fingerprint": fingerprint,
        "task_id": None,
        "status": None,
        "media_type": None,
        "body": None,
        "created_at": func.now(),
        "expires_at": func.now() + keep,
    }
    statement = (
        insert(IdempotencyRecord)
        .values(tenant=tenant, operation=operation, key=key, **fresh)
        .on_conflict_do_update(
            index_elements=["tenant", "operation", "key"],
            set_=fresh,
            where=IdempotencyRecord.expires_at <= func.now(),
        )
        .returning(IdempotencyRecord.key)
    )
    return (await db.execute(statement)).first() is not None


async def reservation(db: AsyncSession, tenant: str, operation: str, key: str) -> IdempotencyRecord | None:
    """What the key stands for."""
    return await db.get(IdempotencyRecord, (tenant, operation, key))


async def fulfil(db: AsyncSession, tenant: str, operation: str, key: str, **values: Any) -> None:
    """Tell what the key stands for now."""
    await db.execute(update(IdempotencyRecord).where(_record(tenant, operation, key)).values(**values))


async def give_up(db: AsyncSession, tenant: str, operation: str, key: str) -> None:
    """Free the key: nothing was done under it."""
    await db.execute(delete(IdempotencyRecord).where(_record(tenant, operation, key)))


def _record(tenant: str, operation: str, key: str) -> Any:
    columns = tuple_(IdempotencyRecord.tenant, IdempotencyRecord.operation, IdempotencyRecord.key)
    return columns == tuple_(tenant, operation, key)


ROOM = text("""
SELECT (SELECT count(*) FROM tasks WHERE tenant = :tenant AND ended_at IS NULL), (
    SELECT device_id FROM tasks
    WHERE tenant = :tenant AND device_id = ANY(:device_ids) AND kind = 'command' AND state IN ('queued', 'dispatching')
    GROUP BY device_id HAVING count(*) >= :limit LIMIT 1
)
""")


async def room(db: AsyncSession, tenant: str, device_ids: Sequence[str], limit: int) -> tuple[int, str | None]:
    """A tenant's unfinished tasks, and a device that has no room for one more command."""
    rows = await db.execute(ROOM, {"tenant": tenant, "device_ids": list(device_ids), "limit": limit})
    unfinished, crowded = rows.one()
    return unfinished, crowded


ADD = text("""
WITH added AS (
    INSERT INTO tasks (id, tenant, kind, parent_id, device_id, command, body, idempotent, not_after, state, epoch,
        traceparent)
    SELECT r.id, :tenant, r.kind, r.parent_id, r.device_id, r.command, r.body, r.idempotent, r.not_after, r.state,
        coalesce((SELECT epoch FROM meta), 1), r.traceparent
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
        id uuid, kind text, parent_id uuid, device_id text, command text, body jsonb, idempotent boolean,
        not_after timestamptz, state text, traceparent text, place bigint
    )
    ORDER BY r.place RETURNING *
), sealed AS (
    INSERT INTO task_secrets (task_id, tenant, key_id, nonce, ciphertext, expires_at)
    SELECT s.id, :tenant, s.key_id, s.nonce, s.ciphertext, :expires_at
    FROM unnest(CAST(:ids AS uuid[]), CAST(:key_ids AS text[]), CAST(:nonces AS bytea[]), CAST(:ciphertexts AS bytea[]))
        AS s(id, key_id, nonce, ciphertext)
)
SELECT * FROM added ORDER BY sequence LIMIT 1
""")


async def add(
    db: AsyncSession,
    tenant: str,
    rows: Sequence[Mapping[str, Any]],
    secrets: Mapping[UUID, Sealed],
    expires_at: datetime,
) -> Task:
    """Record tasks with their sealed keys, at once; gives the first."""
    given = {
        "tenant": tenant,
        "rows": orjson.dumps([{**row, "place": place} for place, row in enumerate(rows)]).decode(),
        "ids": list(secrets),
        "key_ids": [sealed.key_id for sealed in secrets.values()],
        "nonces": [sealed.nonce for sealed in secrets.values()],
        "ciphertexts": [sealed.ciphertext for sealed in secrets.values()],
        "expires_at": expires_at,
    }
    return (await db.scalars(select(Task).from_statement(ADD), given)).one()


async def notify(db: AsyncSession) -> None:
    """Wake the workers by PostgreSQL alone, when this is committed."""
    await db.execute(text(f"NOTIFY {CHANNEL}"))


async def get(db: AsyncSession, tenant: str, task_id: UUID) -> Task | None:
    found = select(Task).where(Task.tenant == tenant, Task.id == task_id).execution_options(populate_existing=True)
    return (await db.scalars(found)).first()


async def children_of(db: AsyncSession, tenant: str, parents: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """How many children of each parent are in each state."""
    counted = (
        select(Task.parent_id, Task.state, func.count())
        .where(Task.tenant == tenant, Task.parent_id.in_(parents))
        .group_by(Task.parent_id, Task.state)
    )
    children: dict[UUID, dict[str, int]] = {}
    for parent, state, count in await db.execute(counted):
        assert parent is not None
        children.setdefault(parent, {})[state] = count
    return children


async def page(db: AsyncSession, tenant: str, filters: TaskFilter) -> list[Task]:
    """One row more than asked for, so that it is known whether there are more."""
    wanted = select(Task).where(Task.tenant == tenant)
    if filters.state is not None:
        wanted = wanted.where(Task.state == filters.state)
    if filters.device_id is not None:
        wanted = wanted.where(Task.device_id == filters.device_id)
    if filters.parent_id is not None:
        wanted = wanted.where(Task.parent_id == filters.parent_id)
    if filters.cursor is not None:
        wanted = wanted.where(Task.id < filters.cursor)
    return list(await db.scalars(wanted.order_by(Task.id.desc()).limit(filters.limit + 1)))


async def history(db: AsyncSession, tenant: str, task_id: UUID) -> list[TaskEvent]:
    steps = select(TaskEvent).where(TaskEvent.tenant == tenant, TaskEvent.task_id == task_id).order_by(TaskEvent.id)
    return list(await db.scalars(steps))


async def cancel(db: AsyncSession, tenant: str, task_id: UUID) -> None:
    """End what is queued; ask for the end of what is being sent or has been taken. Children go with their parent."""
    own = (Task.tenant == tenant, (Task.id == task_id) | (Task.parent_id == task_id))
    await db.execute(
        update(Task)
        .where(*own, Task.state == "queued")
        .values(state="cancelled", cancel_requested=True, note="Cancelled before it was sent.")
    )
    await db.execute(
        update(Task)
        .where(*own, Task.state.in_(("dispatching", "running")), Task.cancel_requested.is_(False))
        .values(cancel_requested=True, follow_at=func.now())
    )


# ── For workers ──────────────────────────────────────────────────────────────────────────────────────────────────────

# The next commands to send, a few of each tenant in turn. One is ready when it is the oldest unsent of its device.
# With LIMIT, both questions stay questions to an index, one for each task looked at: as a join, made of EXISTS, they
# are answered by comparing all with all wherever the statistics are older than a burst of tasks.
CLAIM = text("""
WITH RECURSIVE tenants(tenant) AS (
    (SELECT tenant FROM tasks WHERE kind = 'command' AND state = 'queued' ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (
        SELECT t.tenant FROM tasks t
        WHERE t.kind = 'command' AND t.state = 'queued' AND t.tenant > tenants.tenant ORDER BY t.tenant LIMIT 1
    ) FROM tenants WHERE tenants.tenant IS NOT NULL
), turns AS (
    SELECT tenant, (SELECT count(*) FROM tasks d WHERE d.tenant = tenants.tenant AND d.state = 'dispatching') AS sending
    FROM tenants WHERE tenant IS NOT NULL ORDER BY tenant <= :cursor, tenant LIMIT 50
), ready AS (
    SELECT head.id, turns.tenant,
        turns.sending + row_number() OVER (PARTITION BY turns.tenant ORDER BY head.sequence) AS place
    FROM turns CROSS JOIN LATERAL (
        SELECT t.id, t.sequence FROM tasks t
        WHERE t.tenant = turns.tenant AND t.kind = 'command' AND t.state = 'queued'
          AND t.run_after <= now() AND t.not_after > now()
          AND t.epoch = coalesce((SELECT epoch FROM meta), 1)
          AND (
              SELECT o.sequence FROM tasks o WHERE o.tenant = t.tenant AND o.device_id = t.device_id
                AND o.kind = 'command' AND o.state IN ('queued', 'dispatching')
              ORDER BY o.tenant, o.device_id, o.sequence LIMIT 1
          ) = t.sequence
          AND (
              SELECT o.sequence FROM tasks o
              WHERE o.tenant = t.tenant AND o.device_id = t.device_id AND o.state = 'dispatching' LIMIT 1
          ) IS NULL
        ORDER BY t.sequence LIMIT :window
    ) head
), picked AS (
    SELECT t.id FROM ready JOIN tasks t ON t.id = ready.id
    WHERE ready.place <= :per_tenant AND t.state = 'queued'
    ORDER BY ready.place, ready.tenant <= :cursor, ready.tenant LIMIT :slots
    FOR UPDATE OF t SKIP LOCKED
)
UPDATE tasks SET state = 'dispatching', attempt = tasks.attempt + 1, fence = nextval('task_fence'), note = NULL,
    dispatch_started_at = clock_timestamp(), lease_until = clock_timestamp() + :lease
FROM picked WHERE tasks.id = picked.id AND tasks.state = 'queued'
RETURNING tasks.*
""")

LOST = text("""
UPDATE tasks SET lease_until = now() + :again
WHERE id IN (
    SELECT id FROM tasks WHERE state = 'dispatching' AND lease_until < now()
    ORDER BY lease_until LIMIT 50 FOR UPDATE SKIP LOCKED
)
RETURNING tasks.*
""")

RUNNING = text("""
UPDATE tasks SET followed = followed + 1,
    follow_at = now() + least(15, :every * power(1.5, least(followed, 20))) * interval '1 second'
WHERE id IN (
    SELECT id FROM tasks WHERE state = 'running' AND kind = 'command' AND follow_at <= now()
    ORDER BY follow_at LIMIT 500 FOR UPDATE SKIP LOCKED
)
RETURNING tasks.*
""")

APPLY = text("""
UPDATE tasks SET
    state = CASE WHEN r.state = 'queued' AND tasks.cancel_requested THEN 'cancelled' ELSE r.state END,
    attempt = r.attempt, followed = r.followed, upstream_id = r.upstream_id, upstream_status = r.upstream_status,
    message = r.message, note = r.note, problem = r.problem, evidence = r.evidence,
    cancel_requested = tasks.cancel_requested AND NOT r.keep_on,
    run_after = coalesce(now() + r.run_in_s * interval '1 second', tasks.run_after),
    lease_until = coalesce(now() + r.lease_in_s * interval '1 second', tasks.lease_until),
    follow_at = coalesce(now() + r.follow_in_s * interval '1 second', tasks.follow_at),
    follow_until = coalesce(now() + r.follow_for_s * interval '1 second', tasks.follow_until)
FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS r(
    id uuid, tenant text, was text, fence bigint, state text, attempt int, followed int, upstream_id text,
    upstream_status text, message text, note text, problem jsonb, evidence jsonb, run_in_s float8, lease_in_s float8,
    follow_in_s float8, follow_for_s float8, keep_on boolean
)
WHERE tasks.id = r.id AND tasks.tenant = r.tenant AND tasks.state = r.was AND tasks.fence IS NOT DISTINCT FROM r.fence
RETURNING tasks.id, tasks.state
""")

DRAINED = text("""
SELECT id, state, count FROM (
    SELECT p.id, p.tenant FROM tasks p WHERE p.state = 'running' AND p.kind = 'bulk'
      AND NOT EXISTS (SELECT 1 FROM tasks c WHERE c.parent_id = p.id AND c.ended_at IS NULL)
    LIMIT 100
) ended CROSS JOIN LATERAL (SELECT state, count(*) FROM tasks c WHERE c.parent_id = ended.id GROUP BY state) counted
""")


async def claim(db: AsyncSession, *, cursor: str, slots: int, per_tenant: int, lease_s: float) -> list[Task]:
    """Put the fence before commands and take them; nothing may be sent before this is committed."""
    numbers = {"slots": slots, "window": max(40, 4 * slots), "per_tenant": per_tenant}
    return await _tasks(db, CLAIM, cursor=cursor, lease=timedelta(seconds=lease_s), **numbers)


async def lost(db: AsyncSession, *, again_s: float) -> list[Task]:
    """Commands whose sender fell silent, or does not know what became of them; each is looked at by one worker."""
    return await _tasks(db, LOST, again=timedelta(seconds=again_s))


async def running(db: AsyncSession, *, every_s: float) -> list[Task]:
    """Commands that Xyte has and that it is time to look after."""
    return await _tasks(db, RUNNING, every=every_s)


async def _tasks(db: AsyncSession, statement: Any, **parameters: Any) -> list[Task]:
    return list(await db.scalars(select(Task).from_statement(statement), parameters))


async def keys_of(db: AsyncSession, resources: Resources, tasks: Sequence[Task]) -> dict[UUID, str | Problem]:
    """The callers' keys of these tasks, or why there is none."""
    alive = select(TaskSecret).where(
        TaskSecret.task_id.in_([task.id for task in tasks]), TaskSecret.expires_at > func.now()
    )
    gone: Problem = CredentialsUnavailable("The key that came with the task is no longer kept. Submit it anew.")
    keys: dict[UUID, str | Problem] = {task.id: gone for task in tasks}
    for secret in await db.scalars(alive):
        sealed = Sealed(secret.key_id, secret.nonce, secret.ciphertext)
        try:
            keys[secret.task_id] = resources.seal.open(
                sealed, Binding(secret.task_id, secret.tenant, secret.expires_at)
            )
        except CredentialsUnavailable as problem:
            keys[secret.task_id] = problem
    return keys


async def apply(db: AsyncSession, changes: Sequence[Mapping[str, Any]]) -> dict[UUID, State]:
    """Make these changes where the tasks still are as they were; says the state of each that was changed."""
    rows = await db.execute(APPLY, {"changes": orjson.dumps(list(changes), default=str).decode()})
    return {row[0]: row[1] for row in rows}


async def known_commands(db: AsyncSession, task: Task) -> set[str]:
    """The commands of Xyte that belong to other tasks of the same device."""
    others = (
        select(Task.upstream_id)
        .where(Task.tenant == task.tenant, Task.device_id == task.device_id, Task.id != task.id)
        .order_by(Task.id.desc())
        .limit(1000)
    )
    return {known for known in await db.scalars(others) if known}


async def expire(db: AsyncSession) -> list[UUID]:
    """What was not sent in time is not sent any more."""
    late = (
        select(Task.id)
        .where(Task.state == "queued", Task.not_after <= func.now())
        .limit(500)
        .with_for_update(skip_locked=True)
    )
    note = "It could not be sent before its deadline, so it was not sent."
    return list(
        await db.scalars(
            update(Task)
            .where(Task.id.in_(late), Task.state == "queued")
            .values(state="expired", note=func.coalesce(Task.note + " ", "") + note)
            .returning(Task.id)
        )
    )


async def end_old_epoch(db: AsyncSession) -> list[UUID]:
    """After a restore nobody knows what happened to the tasks in the backup, so none of them is sent again."""
    unfinished = (Task.state.in_(("queued", "dispatching", "running")), Task.epoch < EPOCH)
    old = select(Task.id).where(*unfinished).limit(500).with_for_update(skip_locked=True)
    note = "The database was restored from a backup made before this task ended."
    return list(
        await db.scalars(
            update(Task)
            .where(Task.id.in_(old), *unfinished)
            .values(state="outcome_unknown", note=note)
            .returning(Task.id)
        )
    )


async def end_parents(db: AsyncSession) -> list[UUID]:
    """Parents whose children have all ended, end."""
    counts: dict[UUID, dict[str, int]] = {}
    for parent, state, count in await db.execute(DRAINED):
        counts.setdefault(parent, {})[state] = count
    for parent, states in counts.items():
        await db.execute(update(Task).where(Task.id == parent, Task.state == "running").values(**end_of_parent(states)))
    return list(counts)


def end_of_parent(children: Mapping[str, int]) -> dict[str, Any]:
    """The state that says most about children in these states."""
    if set(children) <= {"done"}:
        return {"state": "done"}
    if set(children) == {"cancelled"}:
        return {"state": "cancelled"}
    told = ", ".join(f"{count} {state}" for state, count in sorted(children.items()))
    if set(children) <= {"done", "outcome_unknown"}:
        return {"state": "outcome_unknown", "note": told}
    problem = PartlyDone(f"Of {sum(children.values())} commands: {told}. list_tasks with parent_id shows each.")
    return {"state": "error", "problem": problem.body(), "note": told}


async def purge(db: AsyncSession, keep_days: int) -> None:
    """Delete sealed keys and idempotency records past their time, and tasks that ended long ago."""
    await db.execute(delete(TaskSecret).where(TaskSecret.expires_at <= func.now()))
    await db.execute(delete(IdempotencyRecord).where(IdempotencyRecord.expires_at <= func.now()))
    old = select(Task.id).where(Task.ended_at < func.now() - timedelta(days=keep_days), Task.state.in_(FINAL))
    childless = old.where(~exists().where(Task.parent_id == Task.id)).limit(500)
    await db.execute(delete(Task).where(Task.id.in_(childless)))


async def census(db: AsyncSession) -> dict[str, tuple[int, float]]:
    """How many unfinished tasks there are in each state, and the age of the oldest in seconds."""
    counted = (
        select(Task.state, func.count(), func.extract("epoch", func.now() - func.min(Task.created_at)))
        .where(Task.state.in_(("queued", "dispatching", "running")))
        .group_by(Task.state)
    )
    return {state: (count, float(age)) for state, count, age in await db.execute(counted)}


def now_of(db: AsyncSession) -> datetime:
    """PostgreSQL's clock when the transaction began."""
    return db.info["now"]
