"""What the worker does with runs: takes each on by what PostgreSQL says of it, one stage after the other.

Each step is taken and its command recorded in one transaction, and the command is a task like any other; so a worker
may die anywhere, and several may look at one run at a time.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth import Caller, client_of
from app.db import AWAY
from app.errors import PartlyDone, Problem, UpstreamRefused, XyteRefusedKey
from app.presets import repository
from app.presets.models import OPEN, PresetStep
from app.presets.planning import sentence, unmet
from app.resources import Resources
from app.rooms.fleet import Device
from app.rooms.kinds import Kind
from app.seal import Binding
from app.tasks import repository as tasks
from app.tasks.ledger import Ledger
from app.tasks.models import FINAL, Task, new_id
from app.tasks.outcomes import is_idempotent
from app.telemetry import TASK_OUTCOMES

logger = logging.getLogger("app.presets")

LEASE_S = 20.0
LOOK_EVERY_S = 0.25
SIDE_BY_SIDE = 5
RUNS_AT_ONCE = 4
AGAIN_S = 2.0

Key = str | Problem


async def advance(ledger: Ledger) -> None:
    """Take every run a step further that it is time for."""
    async with ledger.session() as db:
        runs = await repository.claim(db, lease_s=LEASE_S)
        keys = await tasks.keys_of(db, ledger.resources, runs) if runs else {}
    room = asyncio.Semaphore(RUNS_AT_ONCE)

    async def look(run: Task) -> None:
        async with room:
            await one(ledger, run, keys[run.id])

    for outcome in await asyncio.gather(*map(look, runs), return_exceptions=True):
        if isinstance(outcome, AWAY):
            logger.warning("PostgreSQL is away", extra={"failure": type(outcome).__name__})
        elif isinstance(outcome, BaseException):
            logger.error("looking after a run failed", exc_info=outcome)


async def one(ledger: Ledger, run: Task, key: Key) -> None:
    """One look at one run."""
    resources = ledger.resources
    before, changed, now = await settle(resources, run, key)
    if isinstance(key, str):
        await asyncio.gather(*(start(resources, run, step, key) for step in due_of(before, now)))
    async with resources.sessions.begin() as db:
        steps = await repository.steps_of(db, run.tenant, run.id)
        ended = not open_in(steps) and await repository.end(db, run, end_of(run, steps))
        if not ended:
            await repository.look_again(db, run, wait_of(steps, await repository.now(db)))
    if ended:
        TASK_OUTCOMES.labels(end_of(run, steps)["state"]).inc()
    if ended or changed or [step.state for step in steps] != [step.state for step in before]:
        await resources.doorbell.tell([run.id])


# ── Settling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def settle(resources: Resources, run: Task, key: Key) -> tuple[list[PresetStep], bool, datetime]:
    """Write down what became of the commands, what is not to be run any more, and which stage has begun.

    Gives the steps as they are then, whether any has changed, and PostgreSQL's clock.
    """
    async with resources.sessions.begin() as db:
        steps = await repository.steps_of(db, run.tenant, run.id)
        children = await repository.children(db, run)
        now = await repository.now(db)
        changed = False
        for step in steps:
            task = children.get(step.task_id) if step.task_id else None
            if step.state == "running" and task is not None:
                changed |= await settle_one(db, run, step, task, now)
        if changed:
            steps = await repository.steps_of(db, run.tenant, run.id)
        waiting = [step.number for step in steps if step.state == "waiting"]
        if waiting and (end := end_of_waiting(run, steps, key, now)):
            changed |= await repository.change(db, run, waiting, "waiting", **end, ended_at=now)
            steps = await repository.steps_of(db, run.tenant, run.id)
        if run.cancel_requested:
            await tasks.cancel(db, run.tenant, run.id)
        stage = [step.number for step in stage_of(steps) if step.state == "waiting"]
        if stage:
            await repository.ready(db, run, stage)
        return await repository.steps_of(db, run.tenant, run.id), changed, now


async def settle_one(db: AsyncSession, run: Task, step: PresetStep, task: Task, now: datetime) -> bool:
    """One command's end, or that it took too long; says whether the step changed."""
    if task.state in FINAL:
        values = end_of_step(step, task)
        if values["state"] == "failed" and step.attempt < step.tries and task.state == "error":
            values = {"state": "waiting", "ready_at": now + timedelta(seconds=AGAIN_S)}
        return await repository.change(db, run, [step.number], "running", **values)
    if task.state == "queued" or task.dispatch_started_at is None:
        return False
    late = (now - task.dispatch_started_at).total_seconds() / step.timeout_s
    if late > 1 and not task.cancel_requested:
        await repository.withdraw(db, run, task.id)
    if late > 2:
        reason = "has not ended in time and could not be taken back"
        values = {"state": "unknown", "reason": reason, "ended_at": now}
        return await repository.change(db, run, [step.number], "running", **values)
    return False


def end_of_step(step: PresetStep, task: Task) -> dict[str, Any]:
    """What the end of its command means for a step."""
    ended = {"ended_at": task.ended_at, "message": task.message}
    if task.state == "done":
        return ended | {"state": "done"}
    if task.state == "outcome_unknown":
        return ended | {"state": "unknown", "reason": "may or may not have carried it out"}
    if task.state == "expired":
        return ended | {"state": "not_run", "reason": "was not reached before the deadline"}
    if task.state == "cancelled":
        sent_at, ended_at = task.dispatch_started_at, task.ended_at
        late = sent_at and ended_at and (ended_at - sent_at).total_seconds() > step.timeout_s
        taken_back = {"state": "failed", "reason": "did not carry it out in time, so it was taken back"}
        return ended | (taken_back if late else {"state": "cancelled"})
    error = (task.problem or {}).get("error")
    reason = "did not carry it out" if error == "xyte_command_failed" else f"could not be told ({error})"
    return ended | {"state": "failed", "reason": reason}


def end_of_waiting(run: Task, steps: Sequence[PresetStep], key: Key, now: datetime) -> dict[str, Any] | None:
    """Why what waits is not run any more, if so."""
    if run.cancel_requested:
        return {"state": "cancelled"}
    if any(step.stops and step.state in ("failed", "unknown", "not_run") for step in steps):
        return {"state": "not_run", "reason": "was left out, for a step before it failed"}
    if now > run.not_after:
        return {"state": "not_run", "reason": "was not reached before the deadline"}
    if isinstance(key, Problem):
        return {"state": "not_run", "reason": f"could not be told ({key.error})"}
    return None


# ── Starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_in(steps: Sequence[PresetStep]) -> list[PresetStep]:
    return [step for step in steps if step.state in OPEN]


def stage_of(steps: Sequence[PresetStep]) -> list[PresetStep]:
    """The unfinished steps of the stage that is under way."""
    unfinished = open_in(steps)
    stage = min((step.stage for step in unfinished), default=0)
    return [step for step in unfinished if step.stage == stage]


def due_of(steps: Sequence[PresetStep], now: datetime) -> list[PresetStep]:
    """What may be started: the first few of the stage whose delays are over."""
    stage = stage_of(steps)
    room = SIDE_BY_SIDE - sum(step.state == "running" for step in stage)
    ripe = [step for step in stage if step.state == "waiting" and step.ready_at is not None and step.ready_at <= now]
    return ripe[: max(0, room)]


async def start(resources: Resources, run: Task, step: PresetStep, key: str) -> None:
    """Look at the device, then record its command, or why it gets none."""
    xyte = client_of(resources, Caller(key, resources.fingerprint(key)), "organization")
    try:
        row: dict[str, Any] = (await xyte.get(dict[str, Any], "devices", str(step.device_id))).value
    except XyteRefusedKey as problem:
        outcome: dict[str, Any] | None = {"state": "not_run", "reason": f"could not be told ({problem.error})"}
    except UpstreamRefused as problem:
        gone = "is gone" if problem.status == 404 else f"could not be told ({problem.error})"
        outcome = {"state": "failed", "reason": gone}
    except Problem as problem:
        logger.info("a device cannot be looked at now", extra={"error": problem.error})
        outcome = {"state": "waiting", "ready_at": func.now() + timedelta(seconds=AGAIN_S)}
    else:
        outcome = instead(step, Device(row, Kind(kind=step.kind or "device")))
    async with resources.sessions.begin() as db:
        if outcome is None:
            await record(resources, db, run, step, key)
        else:
            ended = {} if outcome["state"] == "waiting" else {"ended_at": func.now()}
            await repository.change(db, run, [step.number], "waiting", **outcome, **ended)
    if outcome is None:
        resources.doorbell.ring(run.id)


def instead(step: PresetStep, device: Device) -> dict[str, Any] | None:
    """What becomes of a step whose device need not be told, or cannot be."""
    if device.away:
        return {"state": "failed", "reason": f"is offline{since(device.last_seen)}"}
    if reason := unmet(step.condition, device.state):
        return {"state": "skipped", "reason": reason}
    return None


def since(moment: str | None) -> str:
    """Since when, by the clock of UTC; another day with its date."""
    try:
        seen = datetime.fromisoformat(str(moment)).astimezone(UTC)
    except ValueError:
        return ""
    today = seen.date() == datetime.now(UTC).date()
    return f" since {seen:%H:%M} UTC" if today else f" since {seen:%Y-%m-%d %H:%M} UTC"


async def record(resources: Resources, db: AsyncSession, run: Task, step: PresetStep, key: str) -> None:
    """The step is taken and its command recorded, both or neither."""
    task_id = new_id()
    if not await repository.begin(db, run, step, task_id):
        return
    body = step.body or {}
    kept_until = run.not_after + timedelta(seconds=resources.settings.tasks_follow_s)
    row = {
        "id": task_id,
        "kind": "command",
        "state": "queued",
        "parent_id": str(run.id),
        "device_id": step.device_id,
        "command": str(body.get("name") or body.get("friendly_name")),
        "body": body,
        "idempotent": is_idempotent(body),
        "not_after": run.not_after,
        "traceparent": run.traceparent,
    }
    secret = resources.seal.close(key, Binding(task_id, run.tenant, kept_until))
    await tasks.add(db, run.tenant, [row], {task_id: secret}, kept_until)
    if resources.settings.tasks_wakeup == "poll":
        await tasks.notify(db)


# ── Ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def wait_of(steps: Sequence[PresetStep], now: datetime) -> float:
    """Seconds until the next look: soon while something runs, else when the next delay is over."""
    stage = stage_of(steps)
    if any(step.state == "running" or step.ready_at is None for step in stage):
        return LOOK_EVERY_S
    delays = [(step.ready_at - now).total_seconds() for step in stage if step.ready_at is not None]
    return max(LOOK_EVERY_S, min(delays, default=LOOK_EVERY_S))


def end_of(run: Task, steps: Sequence[PresetStep]) -> dict[str, Any]:
    """How a run whose steps have ended like this ends itself."""
    states, told = {step.state for step in steps}, sentence(steps)
    if states <= {"done", "skipped"}:
        return {"state": "done", "note": told}
    if states <= {"done", "skipped", "cancelled"}:
        return {"state": "cancelled" if run.cancel_requested else "error", "note": told} | partly(told)
    if states <= {"done", "skipped", "unknown"}:
        return {"state": "outcome_unknown", "note": told}
    return {"state": "error", "note": told} | partly(told)


def partly(told: str) -> dict[str, Any]:
    return {"problem": PartlyDone(f"{told} get_preset_run shows each.").body()}
