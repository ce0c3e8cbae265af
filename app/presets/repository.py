"""All reads and writes of presets and their runs. Only the look for what is due is over all tenants."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, delete, exists, func, insert, literal, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.presets.models import OPEN, PresetStep, PresetVersion
from app.tasks.models import Task

MOST_VERSIONS = 100

# ── Presets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def latest(db: AsyncSession, tenant: str) -> list[PresetVersion]:
    """The tenant's presets as they are now, by name."""
    newest = (
        select(PresetVersion)
        .ext(distinct_on(PresetVersion.name))
        .where(PresetVersion.tenant == tenant)
        .order_by(PresetVersion.name, PresetVersion.version.desc())
    )
    return [row for row in await db.scalars(newest) if row.document is not None]


async def versions(db: AsyncSession, tenant: str, name: str) -> list[PresetVersion]:
    """Newest first."""
    rows = select(PresetVersion).where(PresetVersion.tenant == tenant, PresetVersion.name == name)
    return list(await db.scalars(rows.order_by(PresetVersion.version.desc())))


async def add_version(
    db: AsyncSession, tenant: str, name: str, version: int, document: dict[str, Any] | None, note: str | None
) -> None:
    """Two writers of one preset meet at its key; the oldest versions give way."""
    values = {"tenant": tenant, "name": name, "version": version, "document": document, "note": note}
    await db.execute(insert(PresetVersion).values(**values))
    own = (PresetVersion.tenant == tenant, PresetVersion.name == name)
    await db.execute(delete(PresetVersion).where(*own, PresetVersion.version <= version - MOST_VERSIONS))


async def lock(db: AsyncSession, tenant: str, what: str) -> None:
    """One at a time until the transaction ends."""
    await db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{tenant}\n{what}", 0))))


# ── Runs, for callers ────────────────────────────────────────────────────────────────────────────────────────────────


async def runs_in(db: AsyncSession, tenant: str, room: int) -> list[Task]:
    """The unfinished runs in a room."""
    found = select(Task).where(
        Task.tenant == tenant,
        Task.kind == "preset",
        Task.state == "running",
        Task.cancel_requested.is_(False),
        Task.body["room"]["id"].as_integer() == room,
    )
    return list(await db.scalars(found))


async def add_steps(db: AsyncSession, tenant: str, run_id: UUID, steps: Sequence[PresetStep]) -> None:
    """The steps of a run that was just recorded; from now on the worker looks after it."""
    for step in steps:
        step.run_id, step.tenant = run_id, tenant
        if step.state not in OPEN:
            step.ended_at = db.info["now"]
    db.add_all(steps)
    await db.flush()
    await db.execute(update(Task).where(Task.id == run_id, Task.tenant == tenant).values(follow_at=func.now()))


async def steps_of(db: AsyncSession, tenant: str, run_id: UUID) -> list[PresetStep]:
    rows = select(PresetStep).where(PresetStep.tenant == tenant, PresetStep.run_id == run_id)
    return list(await db.scalars(rows.order_by(PresetStep.number).execution_options(populate_existing=True)))


async def step_to_rerun(db: AsyncSession, tenant: str, run_id: UUID, number: int) -> PresetStep | None:
    """The step, locked until the transaction ends."""
    own = (PresetStep.tenant == tenant, PresetStep.run_id == run_id, PresetStep.number == number)
    return (await db.scalars(select(PresetStep).where(*own).with_for_update())).first()


# ── Runs, for workers ────────────────────────────────────────────────────────────────────────────────────────────────

CLAIM = text("""
UPDATE tasks SET follow_at = now() + :lease * interval '1 second'
WHERE id IN (
    SELECT id FROM tasks WHERE state = 'running' AND kind = 'preset' AND follow_at <= now()
    ORDER BY follow_at LIMIT 20 FOR UPDATE SKIP LOCKED
)
RETURNING tasks.*
""")


async def claim(db: AsyncSession, *, lease_s: float) -> list[Task]:
    """Runs that it is time to look at. Two workers that look at one do no harm: each change asks what it finds."""
    return list(await db.scalars(select(Task).from_statement(CLAIM), {"lease": lease_s}))


async def now(db: AsyncSession) -> datetime:
    return (await db.scalars(select(func.now()))).one()


async def children(db: AsyncSession, run: Task) -> dict[UUID, Task]:
    found = select(Task).where(Task.tenant == run.tenant, Task.parent_id == run.id)
    return {task.id: task for task in await db.scalars(found.execution_options(populate_existing=True))}


async def change(db: AsyncSession, run: Task, numbers: Sequence[int], was: str, **values: Any) -> bool:
    """Change steps that still are as they were seen; says whether any was."""
    own = (PresetStep.tenant == run.tenant, PresetStep.run_id == run.id, PresetStep.number.in_(numbers))
    changed = await db.scalars(
        update(PresetStep).where(*own, PresetStep.state == was).values(**values).returning(PresetStep.number)
    )
    return bool(changed.all())


async def ready(db: AsyncSession, run: Task, numbers: Sequence[int]) -> None:
    """Their stage has begun: from now on their delays count."""
    own = (PresetStep.tenant == run.tenant, PresetStep.run_id == run.id, PresetStep.number.in_(numbers))
    moment = func.now() + PresetStep.delay_s * text("interval '1 second'")
    await db.execute(update(PresetStep).where(*own, PresetStep.ready_at.is_(None)).values(ready_at=moment))


async def begin(db: AsyncSession, run: Task, step: PresetStep, task_id: UUID) -> bool:
    """Take a step for this task, unless somebody has, or the run is no longer wanted."""
    wanted = select(Task.id).where(
        Task.id == run.id, Task.tenant == run.tenant, Task.state == "running", Task.cancel_requested.is_(False)
    )
    if (await db.scalars(wanted.with_for_update())).first() is None:
        return False
    values: dict[str, Any] = {
        "state": "running",
        "task_id": task_id,
        "attempt": PresetStep.attempt + 1,
        "started_at": func.now(),
    }
    own = (PresetStep.tenant == run.tenant, PresetStep.run_id == run.id, PresetStep.number == step.number)
    free = (PresetStep.state == "waiting", PresetStep.attempt == step.attempt)
    taken = await db.scalars(update(PresetStep).where(*own, *free).values(**values).returning(PresetStep.number))
    return taken.first() is not None


async def withdraw(db: AsyncSession, run: Task, task_id: UUID) -> None:
    """Ask for the end of a command that took too long."""
    own = (Task.tenant == run.tenant, Task.parent_id == run.id, Task.id == task_id)
    await db.execute(
        update(Task)
        .where(*own, Task.state.in_(("dispatching", "running")), Task.cancel_requested.is_(False))
        .values(cancel_requested=True, follow_at=func.now())
    )


async def end(db: AsyncSession, run: Task, values: Mapping[str, Any]) -> bool:
    """End a run whose steps have all ended."""
    open_ = exists().where(PresetStep.run_id == Task.id, PresetStep.state.in_(OPEN))
    own = (Task.tenant == run.tenant, Task.id == run.id, Task.state == "running", ~open_)
    return (await db.scalars(update(Task).where(*own).values(**values).returning(Task.id))).first() is not None


async def look_again(db: AsyncSession, run: Task, seconds: float) -> None:
    """When the run is looked at next; a wish to cancel is heard at once."""
    own = (Task.tenant == run.tenant, Task.id == run.id, Task.state == "running", Task.cancel_requested.is_(False))
    moment = func.now() + literal(seconds, Float) * text("interval '1 second'")
    await db.execute(update(Task).where(*own).values(follow_at=moment))
