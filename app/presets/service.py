"""What callers do with presets: keep their own, plan, run, watch, run a step again."""

import asyncio
import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
import yaml
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Caller, client_of, tenant_of
from app.errors import IdempotencyConflict, InvalidInput, NotFound, NothingToDo, TooManyTasks, VersionConflict
from app.presets import repository
from app.presets.documents import checked, document_of
from app.presets.models import OPEN, PresetStep, PresetVersion
from app.presets.planning import NOT_THERE, Plan, expand, outlook, sentence
from app.presets.schemas import (
    Difference,
    DiffQuery,
    Document,
    Preset,
    PresetDetails,
    PresetPage,
    PresetRun,
    PresetSave,
    PresetVersions,
    PresetVersionView,
    RoomOfRun,
    RunStep,
)
from app.presets.shipped import shipped
from app.progress import Report
from app.resources import Resources
from app.rooms.names import alike
from app.rooms.service import fleet_of
from app.seal import Binding
from app.tasks import repository as tasks
from app.tasks.models import Task, new_id
from app.tasks.schemas import TaskOptions
from app.tasks.service import KEYS_KEPT, LOOK_EVERY_S, one_key

MOST_PRESETS = 200
OPERATION = "run_preset"
RERUN = ("failed", "unknown", "cancelled", "not_run")


# ── Presets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Kept:
    """A preset with where it comes from."""

    name: str
    version: int
    document: Document
    changed_at: datetime | None = None

    @classmethod
    def of(cls, row: PresetVersion) -> "Kept":
        return cls(row.name, row.version, Document.model_validate(row.document), row.created_at)

    def facts(self) -> dict[str, Any]:
        source: Literal["own", "shipped"] = "own" if self.version else "shipped"
        return {
            "name": self.name,
            "version": self.version,
            "source": source,
            "title": self.document.title,
            "description": self.document.description,
            "steps": sum(len(stage.steps) for stage in self.document.stages),
            "changed_at": self.changed_at,
        }

    def details(self) -> PresetDetails:
        return PresetDetails.model_validate(self.facts() | {"stages": self.document.plain()["stages"]})


async def listed(resources: Resources, tenant: str) -> PresetPage:
    """The tenant's own and the shipped ones; an own one takes the place of a shipped one of its name."""
    async with tasks.as_tenant(resources, tenant) as db:
        own = [Kept.of(row) for row in await repository.latest(db, tenant)]
    kept = {name: Kept(name, 0, document) for name, document in shipped().items()} | {one.name: one for one in own}
    return PresetPage(items=[Preset.model_validate(kept[name].facts()) for name in sorted(kept)])


async def kept(resources: Resources, tenant: str, name: str, version: int | None = None) -> Kept:
    """One preset as it is now, or was."""
    async with tasks.as_tenant(resources, tenant) as db:
        rows = await repository.versions(db, tenant, name)
        names = {row.name for row in await repository.latest(db, tenant)}
    return chosen(rows, name, version, names)


def chosen(rows: Sequence[PresetVersion], name: str, version: int | None, names: set[str]) -> Kept:
    newest = rows[0] if rows else None
    if version is None and newest is not None and newest.document is not None:
        return Kept.of(newest)
    if not version and name in shipped():
        return Kept(name, 0, shipped()[name])
    if version is not None and (row := next((row for row in rows if row.version == version), None)):
        if row.document is None:
            raise NotFound(f"Version {version} of this preset is its deletion.")
        return Kept.of(row)
    if version is not None and rows:
        raise NotFound(f"There is no version {version}. The versions kept: {rows[-1].version} to {rows[0].version}.")
    near = alike(name, sorted(names | set(shipped())), lambda one: (one, one), 3)
    raise NotFound("There is no such preset. list_presets lists those there are.", [{"name": one} for one in near])


async def save(resources: Resources, caller: Caller, name: str, asked: PresetSave) -> PresetDetails:
    """Keep a new version."""
    if asked.yaml is not None:
        document = document_of(asked.yaml)
    else:
        document = checked({"title": asked.title, "description": asked.description, "stages": asked.stages})
    return await add(resources, caller, name, document, asked.note, based_on=asked.based_on)


async def add(
    resources: Resources,
    caller: Caller,
    name: str,
    document: Document | None,
    note: str | None,
    *,
    based_on: int | None = None,
) -> PresetDetails:
    tenant = await tenant_of(resources, caller)
    async with tasks.as_tenant(resources, tenant) as db:
        await repository.lock(db, tenant, "presets")
        rows = await repository.versions(db, tenant, name)
        version = rows[0].version if rows else 0
        there = bool(rows) and rows[0].document is not None
        if based_on is not None and based_on != (version if there else 0):
            raise VersionConflict(f"The latest version is {version if there else 0}. Read it, then change it.")
        if document is None and not there:
            raise NotFound("There is no such preset of your own. Shipped ones cannot be deleted.")
        if document is not None and not there and len(await repository.latest(db, tenant)) >= MOST_PRESETS:
            raise InvalidInput(f"An organization may have {MOST_PRESETS} presets of its own.")
        if not caller.dry_run:
            plain = None if document is None else document.plain()
            await repository.add_version(db, tenant, name, version + 1, plain, note)
    shown = document or (Document.model_validate(rows[0].document) if rows else None)
    assert shown is not None
    return Kept(name, version + 1, shown).details()


async def roll_back(resources: Resources, caller: Caller, name: str, version: int) -> PresetDetails:
    """An old version becomes the latest."""
    old = await kept(resources, await tenant_of(resources, caller), name, version)
    return await add(resources, caller, name, old.document, f"Back to version {version}.")


async def versions(resources: Resources, tenant: str, name: str) -> PresetVersions:
    async with tasks.as_tenant(resources, tenant) as db:
        rows = await repository.versions(db, tenant, name)
    if not rows:
        await kept(resources, tenant, name)
    return PresetVersions(
        items=[
            PresetVersionView(
                version=row.version, deleted=row.document is None, note=row.note, created_at=row.created_at
            )
            for row in rows
        ]
    )


async def difference(resources: Resources, tenant: str, name: str, asked: DiffQuery) -> Difference:
    before = await kept(resources, tenant, name, asked.before)
    after = await kept(resources, tenant, name, asked.after)
    old, new = (yaml.safe_dump(one.document.plain(), sort_keys=False).splitlines() for one in (before, after))
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]
    return Difference(before=before.version, after=after.version, lines=lines)


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def plan_for(resources: Resources, caller: Caller, name: str, room: str | None) -> Plan:
    """What a preset would do in a room."""
    preset = await kept(resources, await tenant_of(resources, caller), name)
    fleet = await fleet_of(resources, caller)
    space = fleet.room(room) if room is not None else None
    plan = Plan(name, preset.version, preset.document.title or name, space)
    xyte = client_of(resources, caller, "organization")
    return (await expand(xyte, fleet, plan, preset.document)).checked()


def planned(plan: Plan) -> PresetRun:
    return PresetRun(
        state="planned",
        final=False,
        summary=outlook(plan),
        preset=plan.preset,
        version=plan.version,
        room=RoomOfRun(id=plan.room.id, path=plan.room.path) if plan.room else None,
        steps=[RunStep.of(step) for step in plan.steps],
    )


async def run(
    resources: Resources,
    caller: Caller,
    name: str,
    room: str | None,
    options: TaskOptions,
    *,
    header: str | None,
    wait_seconds: float,
    report: Report,
) -> PresetRun:
    """Plan, record, ring the worker, and watch for a while."""
    tenant = await tenant_of(resources, caller)
    key = one_key(options.idempotency_key, header)
    asked = [name, room, options.deadline_seconds]
    fingerprint = hashlib.sha256(orjson.dumps(asked)).digest()
    run_id = await replayed(resources, tenant, key, fingerprint) if key and not caller.dry_run else None
    if run_id is None:
        plan = await plan_for(resources, caller, name, room)
        if caller.dry_run:
            return planned(plan)
        if not plan.waiting:
            where = "This room has no devices" if plan.room and not plan.steps else "No device here does any of this"
            raise NothingToDo(f"{where}, so nothing was sent. plan_preset shows why.")
        run_id = await recorded(resources, caller, tenant, plan, options.deadline_seconds, key, fingerprint)
    return await watch(resources, tenant, run_id, wait_seconds, report)


async def replayed(resources: Resources, tenant: str, key: str, fingerprint: bytes) -> UUID | None:
    """The run of an idempotency key that came before."""
    async with tasks.as_tenant(resources, tenant) as db:
        known = await tasks.reservation(db, tenant, OPERATION, key)
        if known is None or known.expires_at <= tasks.now_of(db):
            return None
    if known.fingerprint != fingerprint:
        raise IdempotencyConflict
    return known.task_id


async def recorded(
    resources: Resources,
    caller: Caller,
    tenant: str,
    plan: Plan,
    deadline_seconds: int,
    key: str | None,
    fingerprint: bytes,
) -> UUID:
    """The run's id. The same preset under way in the same room is that run; another one there ends where it stands."""
    place = {"id": plan.room.id, "path": plan.room.path} if plan.room else None
    async with tasks.as_tenant(resources, tenant) as db:
        await repository.lock(db, tenant, f"room {plan.room.id if plan.room else 'none'}")
        if key and not await tasks.reserve(db, tenant, OPERATION, key, fingerprint, KEYS_KEPT):
            known = await tasks.reservation(db, tenant, OPERATION, key)
            assert known is not None
            assert known.task_id is not None
            if known.fingerprint != fingerprint:
                raise IdempotencyConflict
            return known.task_id
        run_id = await run_under_way(db, tenant, plan)
        if run_id is None:
            body = {"preset": plan.preset, "version": plan.version, "room": place}
            run_id = await add_run(resources, db, tenant, caller, body, plan.steps, deadline_seconds)
        if key:
            await tasks.fulfil(db, tenant, OPERATION, key, task_id=run_id)
    return run_id


async def run_under_way(db: AsyncSession, tenant: str, plan: Plan) -> UUID | None:
    """The same run, if there is one in the room; others there are cancelled."""
    same: UUID | None = None
    for other in await repository.runs_in(db, tenant, plan.room.id) if plan.room else ():
        is_same = (other.body["preset"], other.body["version"]) == (plan.preset, plan.version)
        if is_same and "rerun_of" not in other.body:
            same = other.id
        else:
            await tasks.cancel(db, tenant, other.id)
    return same


async def add_run(
    resources: Resources,
    db: AsyncSession,
    tenant: str,
    caller: Caller,
    body: dict[str, Any],
    steps: list[PresetStep],
    deadline_seconds: int,
) -> UUID:
    """The rows of a run."""
    settings, run_id = resources.settings, new_id()
    unfinished, _ = await tasks.room(db, tenant, [], settings.tasks_open_per_device)
    if unfinished + len(steps) > settings.tasks_open_per_tenant:
        limit = settings.tasks_open_per_tenant
        raise TooManyTasks(f"An organization may have {limit} unfinished tasks. Nothing was recorded.", 30)
    deadline = tasks.now_of(db) + timedelta(seconds=deadline_seconds)
    kept_until = deadline + timedelta(seconds=settings.tasks_follow_s)
    row = {
        "id": run_id,
        "kind": "preset",
        "state": "running",
        "command": f"preset {body['preset']}",
        "body": body,
        "idempotent": False,
        "not_after": deadline,
        "traceparent": resources.tracing.traceparent() if resources.tracing else None,
    }
    secret = resources.seal.close(caller.key, Binding(run_id, tenant, kept_until))
    await tasks.add(db, tenant, [row], {run_id: secret}, kept_until)
    await repository.add_steps(db, tenant, run_id, steps)
    return run_id


async def status(resources: Resources, tenant: str, run_id: UUID) -> PresetRun:
    """A run as it is now."""
    async with tasks.as_tenant(resources, tenant) as db:
        task, steps = await found(db, tenant, run_id)
    summary = sentence(steps)
    if task.state == "outcome_unknown" and any(step.state in OPEN for step in steps):
        summary = f"{task.note} {summary}"  # a restored backup ended it
    return PresetRun.of(task, steps, summary)


async def found(db: AsyncSession, tenant: str, run_id: UUID) -> tuple[Task, list[PresetStep]]:
    task = await tasks.get(db, tenant, run_id)
    if task is None or task.kind != "preset":
        raise NotFound(f"No run {run_id}.")
    return task, await repository.steps_of(db, tenant, run_id)


async def watch(resources: Resources, tenant: str, run_id: UUID, seconds: float, report: Report) -> PresetRun:
    """The run when it has ended, at the latest after so many seconds; each step's end is told as it comes."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    told: set[int] = set()
    async with resources.doorbell.changes_of(run_id) as changed:
        latest = await status(resources, tenant, run_id)
        await tell(latest, told, report)
        while not latest.final and (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, LOOK_EVERY_S)):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            latest = await status(resources, tenant, run_id)
            await tell(latest, told, report)
    return latest


async def tell(run: PresetRun, told: set[int], report: Report) -> None:
    """Report the steps that have ended since the last time, in the order in which they did."""
    concerned = [step for step in run.steps if step.reason not in NOT_THERE]
    if not told:
        await report(0, len(concerned), run.summary)
        told.add(0)
    ended = [step for step in concerned if step.state not in OPEN and step.number not in told]
    for step in sorted(ended, key=lambda step: (step.ended_at or datetime.now(UTC), step.number)):
        told.add(step.number)
        reason = f" ({step.reason})" if step.reason else ""
        await report(len(told) - 1, len(concerned), f"{step.step}: {step.state}{reason}")


async def rerun(
    resources: Resources, caller: Caller, run_id: UUID, number: int, wait_seconds: float, report: Report
) -> PresetRun:
    """Run one step that did not end well again, and no other."""
    tenant = await tenant_of(resources, caller)
    async with tasks.as_tenant(resources, tenant) as db:
        task, steps = await found(db, tenant, run_id)
        step = await repository.step_to_rerun(db, tenant, run_id, number)
        if step is None:
            raise NotFound(f"The run has steps 1 to {len(steps)}.")
        again = await under_way(db, tenant, step)
        if again is None:
            if step.state not in RERUN or step.body is None:
                raise NothingToDo(f"The step is {step.state}; only a step that did not end well is run again.")
            one = copied(step)
            if caller.dry_run:
                return PresetRun.of(task, [one], "1 step would be run again. Nothing was sent.").model_copy(
                    update={"id": None, "state": "planned", "final": False}
                )
            seconds = max(1, round((task.not_after - task.created_at).total_seconds()))
            body = {**task.body, "rerun_of": {"run": str(run_id), "step": number}}
            again = await add_run(resources, db, tenant, caller, body, [one], seconds)
            step.rerun_id = again
    return await watch(resources, tenant, again, wait_seconds, report)


async def under_way(db: AsyncSession, tenant: str, step: PresetStep) -> UUID | None:
    """The latest run of the step, if it need not be run once more: it is under way, or has done it."""
    if step.rerun_id is None:
        return None
    latest = await tasks.get(db, tenant, step.rerun_id)
    return latest.id if latest is not None and latest.state in ("running", "done") else None


def copied(step: PresetStep) -> PresetStep:
    """The step as it was planned. Its condition is asked again; its delay is not waited for."""
    same = ("stage", "name", "kind", "device_id", "device", "body", "condition", "timeout_s", "tries", "stops")
    fresh: dict[str, Any] = {name: getattr(step, name) for name in same}
    return PresetStep(number=1, state="waiting", attempt=0, delay_s=0, **fresh)
