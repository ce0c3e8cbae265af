"""What the worker does with tasks: send a command at most once, find out what became of it, follow it to its end."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.auth import Caller, client_of
from app.db import AWAY
from app.errors import Problem, Unforeseen, UpstreamRefused, XyteCommandFailed
from app.gcra import Rate
from app.resources import Resources
from app.tasks import repository
from app.tasks.crashes import reach
from app.tasks.ledger import Ledger
from app.tasks.models import Task
from app.tasks.outcomes import Outcome, created_at, is_ours, judged, marker_of, readable, sent_since, taken
from app.telemetry import LIMITER_REFUSALS, TASK_OUTCOMES
from app.xyte.client import XyteClient
from app.xyte.schemas.shapes import JsonObject

logger = logging.getLogger("app.tasks")

RECORD_AGAIN_S = 0.25
RECONCILE_EVERY_S = 5.0
SENDINGS = 3
PAGE = 100
PAGES = 50

Key = str | Problem


def cloud_of(resources: Resources, key: str) -> XyteClient:
    """The cloud as the task's caller sees it."""
    return client_of(resources, Caller(key, resources.fingerprint(key)), "organization")


# ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def send(ledger: Ledger, task: Task, key: Key, claimed_at: float) -> None:
    """Send a fenced command, at most once, and record what became of it. Exceptions leave it to the reconciler."""
    if isinstance(key, Problem):
        await ledger.change(task, state="error", problem=key.body(), note="Nothing was sent.")
        return
    if wait_s := await limited(ledger, task):
        await put_back(ledger, task, wait_s, "The device has had its commands for this minute.", attempts=-1)
        return
    reach(ledger.resources.settings, "before_send")
    if time.monotonic() > claimed_at + safe_for_s(ledger, task):
        await put_back(ledger, task, 0.0, "The worker was held up before sending.")
        return
    outcome = await post(ledger, task, key)
    reach(ledger.resources.settings, "after_send")
    await record_surely(ledger, task, outcome)
    reach(ledger.resources.settings, "after_record")


async def limited(ledger: Ledger, task: Task) -> float:
    """Seconds to wait until the device may have another command."""
    units = ledger.resources.settings.device_commands_per_minute
    bucket = f"device:{task.tenant}:{task.device_id}"
    decision = await ledger.resources.gcra.take(bucket, Rate(units, 60.0, units))
    if decision.allowed:
        return 0.0
    LIMITER_REFUSALS.labels("device").inc()
    return max(1.0, decision.retry_after_s)


def safe_for_s(ledger: Ledger, task: Task) -> float:
    """How long after the fence the sending may begin, so that it ends within the lease and before the deadline."""
    assert task.dispatch_started_at is not None
    lease_s = ledger.resources.settings.tasks_lease_s - ledger.resources.settings.xyte_timeout_s
    return min(lease_s, (task.not_after - task.dispatch_started_at).total_seconds())


async def post(ledger: Ledger, task: Task, key: str) -> Outcome:
    """The one place where a command leaves."""
    body: JsonObject = task.body
    if ledger.resources.settings.tasks_marker:
        body = body | {"friendly_name": f"{body.get('friendly_name') or task.command} {marker_of(task)}"}
    try:
        answer = await cloud_of(ledger.resources, key).post(
            dict[str, Any], "devices", str(task.device_id), "commands", body=body
        )
    except Problem as problem:
        return judged(problem)
    return taken(answer.value)


async def record_surely(ledger: Ledger, task: Task, outcome: Outcome) -> None:
    """Outlive a restart of PostgreSQL; what cannot be recorded within the lease, the reconciler finds out."""
    until = time.monotonic() + ledger.resources.settings.tasks_lease_s
    while True:
        try:
            await record(ledger, task, outcome)
        except AWAY:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(RECORD_AGAIN_S)
        else:
            return


async def record(ledger: Ledger, task: Task, outcome: Outcome) -> None:
    """Write down what became of the sending, only while the fence is still ours."""
    settings = ledger.resources.settings
    reach(settings, "before_record")
    problem = outcome.problem or Unforeseen()
    if outcome.kind == "taken":
        await ledger.change(task, **as_running(ledger.resources, outcome.upstream_id, outcome.upstream_status))
    elif outcome.kind == "refused":
        await ledger.change(task, state="error", problem=problem.body(), note="Xyte refused it; it was not run.")
    elif outcome.kind == "not_sent":
        await put_back(ledger, task, outcome.retry_after_s, f"Nothing was sent: {problem.error}.")
    else:
        evidence = {"attempt": task.attempt, "sent_at": str(task.dispatch_started_at), "error": problem.error}
        await ledger.change(task, evidence=evidence, lease_in_s=0)


def as_running(resources: Resources, upstream_id: str | None, status: str | None) -> dict[str, Any]:
    """Xyte has the command."""
    settings = resources.settings
    return {
        "state": "running",
        "upstream_id": upstream_id,
        "upstream_status": status,
        "follow_in_s": settings.tasks_follow_every_s,
        "follow_for_s": settings.tasks_follow_s,
        "followed": 0,
        "note": None,
    }


async def put_back(ledger: Ledger, task: Task, wait_s: float, note: str, *, attempts: int = 0) -> None:
    """Nothing was sent: queue it again, unless its caller has cancelled it meanwhile."""
    await ledger.change(
        task,
        state="queued",
        run_in_s=wait_s,
        attempt=task.attempt + attempts,
        note=note,
    )


# ── Finding out ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def reconcile(ledger: Ledger) -> None:
    """Look at every command whose sender fell silent: Xyte's own list says whether it was taken."""
    again_s = min(RECONCILE_EVERY_S, ledger.resources.settings.tasks_grace_s / 3)
    async with ledger.session() as db:
        tasks = await repository.lost(db, again_s=again_s)
        keys = await repository.keys_of(db, ledger.resources, tasks) if tasks else {}
    for task in tasks:
        reach(ledger.resources.settings, "before_reconcile")
        assert task.lease_until is not None
        assert task.dispatch_started_at is not None
        age_s = (task.lease_until - task.dispatch_started_at).total_seconds() - again_s
        await clear_up(ledger, task, keys[task.id], age_s)


async def clear_up(ledger: Ledger, task: Task, key: Key, age_s: float) -> None:
    """Decide one; what was seen stays in its evidence."""
    settings = ledger.resources.settings
    evidence = (task.evidence or {"attempt": task.attempt, "sent_at": str(task.dispatch_started_at)}) | {
        "list_checked_s_after": round(age_s, 1)
    }
    if isinstance(key, Problem):
        await ledger.change(task, state="outcome_unknown", evidence=evidence, note=key.detail)
        return
    try:
        matches = await matching(ledger, task, key)
    except Problem as problem:
        evidence |= {"list_error": problem.error}
        if age_s > settings.tasks_grace_s and task.lease_until and task.lease_until > task.not_after:
            note = "Xyte's list of commands could not be read until the deadline."
            await ledger.change(task, state="outcome_unknown", evidence=evidence, note=note)
        return
    evidence |= {"matches": len(matches)}
    if len(matches) == 1:
        status = readable(matches[0].get("status"))
        await ledger.change(task, evidence=evidence, **as_running(ledger.resources, str(matches[0].get("id")), status))
    elif matches:
        note = "Xyte's list shows several such commands, and which of them is this one cannot be told."
        await ledger.change(task, state="outcome_unknown", evidence=evidence, note=note)
    elif age_s > settings.tasks_grace_s:
        await absent(ledger, task, evidence)


async def absent(ledger: Ledger, task: Task, evidence: JsonObject) -> None:
    """Xyte's list does not show it. Only what may run twice without harm is sent again."""
    if task.idempotent and task.attempt < SENDINGS:
        await ledger.change(
            task,
            state="queued",
            run_in_s=0,
            evidence=evidence,
            note="It was not found at Xyte, and sending it again does no harm.",
        )
        return
    note = "It was not found at Xyte, but whether it was taken cannot be proven."
    await ledger.change(task, state="outcome_unknown", evidence=evidence, note=note)


async def matching(ledger: Ledger, task: Task, key: str) -> list[JsonObject]:
    """The commands in Xyte's list that can be what this task sent."""
    since = sent_since(task, ledger.resources.settings.tasks_clock_skew_s)
    rows = await commands_since(cloud_of(ledger.resources, key), str(task.device_id), since)
    async with ledger.session() as db:
        known = await repository.known_commands(db, task)
    marker = ledger.resources.settings.tasks_marker
    return [row for row in rows if str(row.get("id")) not in known and is_ours(row, task, since, marker=marker)]


async def commands_since(xyte: XyteClient, device_id: str, since: datetime) -> list[JsonObject]:
    """A device's commands back to a moment, newest first."""
    rows: list[JsonObject] = []
    for number in range(1, PAGES + 1):
        query = {"page": number, "per_page": PAGE}
        answer = await xyte.page(dict[str, Any], "devices", device_id, "commands", query=query)
        page: JsonObject = answer.value
        items: list[JsonObject] = page["items"]
        rows += items
        if not page["has_more"] or any(created_at(row, otherwise=since) < since for row in items):
            break
    return rows


# ── Following ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def follow(ledger: Ledger) -> int:
    """See how the commands go on that Xyte has, with one look for all of a device; says how many were looked after."""
    async with ledger.session() as db:
        tasks = await repository.running(db, every_s=ledger.resources.settings.tasks_follow_every_s)
        keys = await repository.keys_of(db, ledger.resources, tasks) if tasks else {}
    devices: defaultdict[tuple[str, str | None], list[Task]] = defaultdict(list)
    for task in tasks:
        devices[task.tenant, task.device_id].append(task)
    reach(ledger.resources.settings, "before_follow") if tasks else None
    at_once = asyncio.Semaphore(10)

    async def one(group: Sequence[Task]) -> None:
        async with at_once:
            await follow_device(ledger, group, keys)

    async with asyncio.TaskGroup() as looks:
        for group in devices.values():
            looks.create_task(one(group))
    return len(tasks)


async def follow_device(ledger: Ledger, tasks: Sequence[Task], keys: dict[UUID, Key]) -> None:
    """Look at one device's commands. A list that cannot be read now is read at the next look."""
    readable_by = [key for key in map(keys.get, [task.id for task in tasks]) if isinstance(key, str)]
    rows: list[JsonObject] | None = None
    if readable_by:
        since = min(sent_since(task, ledger.resources.settings.tasks_clock_skew_s) for task in tasks)
        try:
            rows = await commands_since(cloud_of(ledger.resources, readable_by[0]), str(tasks[0].device_id), since)
        except Problem as problem:
            logger.info("commands cannot be followed now", extra={"error": problem.error})
    for task in tasks:
        await follow_one(ledger, task, keys[task.id], rows)
        reach(ledger.resources.settings, "after_follow")


async def follow_one(ledger: Ledger, task: Task, key: Key, rows: list[JsonObject] | None) -> None:
    """One command's news, if there are any."""
    if isinstance(key, Problem):
        await ledger.change(task, state="outcome_unknown", note=f"Xyte took it, but its end is unknown. {key.detail}")
        return
    row = await row_of(ledger, task, key, rows) if rows is not None else None
    if row is not None:
        status = str(row.get("status"))
        values: dict[str, Any] = {"upstream_id": str(row.get("id")), "upstream_status": readable(status)}
        values |= {"message": readable(row.get("message"))}
        if end := end_of(status, values["message"]):
            await ledger.change(task, **values, **end)
            return
        if (task.upstream_id, task.upstream_status) != (values["upstream_id"], values["upstream_status"]):
            values |= {"followed": 0, "follow_in_s": ledger.resources.settings.tasks_follow_every_s}
            await ledger.change(task, **values)
        if task.cancel_requested:
            await withdraw(ledger, task, key, values["upstream_id"])
    if task.follow_until and task.follow_at and task.follow_at > task.follow_until:
        await ledger.change(task, state="outcome_unknown", note="Xyte took it, but its end was not seen in time.")


async def row_of(ledger: Ledger, task: Task, key: str, rows: list[JsonObject]) -> JsonObject | None:
    """The task's row; where Xyte's answer had no id, the only one that looks like it."""
    if task.upstream_id is not None:
        return next((row for row in rows if str(row.get("id")) == task.upstream_id), None)
    candidates = await matching(ledger, task, key)
    return candidates[0] if len(candidates) == 1 else None


def end_of(status: str, message: str | None) -> dict[str, Any] | None:
    """How a command in this status ends its task; one we do not know is not final."""
    if status == "done":
        return {"state": "done", "note": None}
    if status == "failed":
        said = f": {message}" if message else "."
        return {"state": "error", "problem": XyteCommandFailed(f"The device failed to carry it out{said}").body()}
    if status == "aborted":
        return {"state": "cancelled", "note": "Cancelled at Xyte before it ended."}
    return None


async def withdraw(ledger: Ledger, task: Task, key: str, upstream_id: str) -> None:
    """Cancel a command at Xyte, if it still can be."""
    try:
        await cloud_of(ledger.resources, key).delete(
            dict[str, Any], "devices", str(task.device_id), "commands", upstream_id
        )
    except UpstreamRefused as problem:
        note = f"Xyte does not cancel it any more: {problem.message or problem.error}"
        await ledger.change(task, keep_on=True, note=note)
    except Problem as problem:
        logger.info("a command cannot be cancelled now", extra={"error": problem.error})
    else:
        await ledger.change(task, follow_in_s=0, followed=0)


# ── Sweeping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def sweep(ledger: Ledger) -> None:
    """End what is too late, what a restored backup brought back, and parents whose children have ended."""
    for ending, state in ((repository.expire, "expired"), (repository.end_old_epoch, "outcome_unknown")):
        async with ledger.session() as db:
            ended = await ending(db)
        TASK_OUTCOMES.labels(state).inc(len(ended))
        await ledger.resources.doorbell.tell(ended) if ended else None
    async with ledger.session() as db:
        parents = await repository.end_parents(db)
    await ledger.resources.doorbell.tell(parents) if parents else None


async def purge(ledger: Ledger) -> None:
    """Forget what has been kept long enough."""
    async with ledger.session() as db:
        await repository.purge(db, ledger.resources.settings.tasks_keep_days)
