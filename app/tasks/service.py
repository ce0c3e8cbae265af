"""What callers do with tasks: submit, wait, look, cancel."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from app.auth import Caller, client_of, tenant_of
from app.errors import (
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    TaskEnded,
    TooManyTasks,
    UpstreamProblem,
    UpstreamRefused,
    XyteRefusedKey,
)
from app.resources import Resources
from app.seal import Binding
from app.tasks import repository
from app.tasks.crashes import reach
from app.tasks.models import FINAL, Task, new_id
from app.tasks.outcomes import is_idempotent
from app.tasks.schemas import (
    BulkSubmit,
    CommandSubmit,
    TaskFilter,
    TaskHistory,
    TaskPage,
    TaskStatus,
    TaskStep,
    plain,
)
from app.xyte.capabilities import checked, mapping
from app.xyte.client import PREFIXES, Planned
from app.xyte.schemas.shapes import JsonObject

KEYS_KEPT = timedelta(days=7)
LOOK_EVERY_S = 1.0
MOST_AT_ONCE = 500
RINGS = 4


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task, and whether it was there before."""

    task: TaskStatus
    replayed: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be recorded: one command for each device, under a parent if there is one."""

    operation: str
    body: JsonObject
    device_ids: Sequence[str]
    deadline_seconds: int
    with_parent: bool
    key: str | None
    fingerprint: bytes


async def submit(resources: Resources, caller: Caller, asked: CommandSubmit, key: str | None = None) -> Submitted:
    """Record the task, then ring the worker: the row must be visible before the job looks for it."""
    fingerprint, key = fingerprint_of(asked), one_key(asked.idempotency_key, key)
    if key and (known := await _known(resources, caller, "send_command_async", key, fingerprint)):
        return known
    body = await checked_body(resources, caller, asked)
    if caller.dry_run:
        raise Planned("POST", f"{PREFIXES['organization']}/devices/{asked.device_id}/commands", body)
    order = Order(
        "send_command_async",
        body,
        [asked.device_id],
        asked.deadline_seconds,
        with_parent=False,
        key=key,
        fingerprint=fingerprint,
    )
    return await _record(resources, caller, order)


async def checked_body(resources: Resources, caller: Caller, asked: CommandSubmit) -> JsonObject:
    """The body for Xyte, checked against the device's model; unchecked while Xyte is away, for the task can wait."""
    command = plain(asked)
    try:
        return await checked(client_of(resources, caller, "organization"), asked.device_id, command)
    except (XyteRefusedKey, UpstreamRefused):
        raise
    except UpstreamProblem:
        return command.to_xyte()


async def submit_to_many(resources: Resources, caller: Caller, asked: BulkSubmit, key: str | None = None) -> Submitted:
    """One task for each device, under a parent that ends when the last of them ends."""
    body = plain(asked).to_xyte()
    fingerprint, key = fingerprint_of(asked), one_key(asked.idempotency_key, key)
    if key and (known := await _known(resources, caller, "send_command_to_devices", key, fingerprint)):
        return known
    device_ids = list(dict.fromkeys(asked.device_ids or await _select(resources, caller, asked)))
    if caller.dry_run:
        raise Planned(
            "POST", f"{PREFIXES['organization']}/devices/{{device_id}}/commands", {"device_ids": device_ids} | body
        )
    order = Order(
        "send_command_to_devices",
        body,
        device_ids,
        asked.deadline_seconds,
        with_parent=True,
        key=key,
        fingerprint=fingerprint,
    )
    return await _record(resources, caller, order)


def one_key(argument: str | None, header: str | None) -> str | None:
    """The idempotency key, however it came."""
    if argument and header and argument != header:
        raise InvalidInput(
            "Two different idempotency keys.",
            [{"path": "idempotency_key", "message": "It differs from the header Idempotency-Key."}],
        )
    return argument or header


def fingerprint_of(asked: CommandSubmit | BulkSubmit) -> bytes:
    """What must be equal for two requests to be the same."""
    plain = asked.model_dump(mode="json", exclude={"idempotency_key"})
    try:
        return hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).digest()
    except orjson.JSONEncodeError:
        raise InvalidInput("The body holds a number or a text that JSON cannot carry.") from None


async def _select(resources: Resources, caller: Caller, asked: BulkSubmit) -> list[str]:
    """The ids of the devices that a selector means."""
    xyte = client_of(resources, caller, "organization")
    asking: dict[str, Any] = {"per_page": 100, "page": 1}
    if asked.space_id is not None:
        asking["space_id"] = asked.space_id
    found: list[str] = []
    while True:
        page: dict[str, Any] = (await xyte.page(dict[str, Any], "devices", query=asking)).value
        items: list[dict[str, Any]] = page["items"]
        rows = [row for row in items if not asked.model or mapping(row.get("model")).get("id") == asked.model]
        found += [str(row["id"]) for row in rows if row.get("id")]
        if len(found) > MOST_AT_ONCE:
            raise InvalidInput(f"The selector means more than {MOST_AT_ONCE} devices. Narrow it, or give device_ids.")
        if not page["has_more"]:
            break
        asking["page"] = page["next_page"]
    if not found:
        raise InvalidInput("The selector means no device. list_devices shows what there is.")
    return found


async def _known(
    resources: Resources, caller: Caller, operation: str, key: str, fingerprint: bytes
) -> Submitted | None:
    """The task of an idempotency key that came before."""
    tenant = await tenant_of(resources, caller)
    async with repository.as_tenant(resources, tenant) as db:
        record = await repository.reservation(db, tenant, operation, key)
        if record is None or record.expires_at <= repository.now_of(db):
            return None
        if record.fingerprint != fingerprint:
            raise IdempotencyConflict
        assert record.task_id is not None
        task = await repository.get(db, tenant, record.task_id)
        assert task is not None
        children = await repository.children_of(db, tenant, [task.id])
    return Submitted(TaskStatus.of(task, children.get(task.id)), replayed=True)


async def _record(resources: Resources, caller: Caller, order: Order) -> Submitted:
    tenant = await tenant_of(resources, caller)
    while True:
        async with repository.as_tenant(resources, tenant) as db:
            if order.key is None or await repository.reserve(
                db, tenant, order.operation, order.key, order.fingerprint, KEYS_KEPT
            ):
                await _check_room(resources, db, tenant, order)
                task = await _add(resources, db, tenant, caller, order)
                if order.key is not None:
                    await repository.fulfil(db, tenant, order.operation, order.key, task_id=task.id)
                if resources.settings.tasks_wakeup == "poll":
                    await repository.notify(db)
                reach(resources.settings, "submit_before_commit")
                break
        known = await _known(resources, caller, order.operation, order.key, order.fingerprint)
        if known is not None:
            return known
    reach(resources.settings, "submit_after_commit")
    resources.doorbell.ring(task.id, times=min(RINGS, len(order.device_ids)))
    reach(resources.settings, "submit_after_ring")
    assert task is not None
    return Submitted(
        TaskStatus.of(task, {"queued": len(order.device_ids)} if order.with_parent else None), replayed=False
    )


async def _check_room(resources: Resources, db: Any, tenant: str, order: Order) -> None:
    settings = resources.settings
    unfinished, crowded = await repository.room(db, tenant, order.device_ids, settings.tasks_open_per_device)
    if unfinished + len(order.device_ids) > settings.tasks_open_per_tenant:
        limit = settings.tasks_open_per_tenant
        raise TooManyTasks(f"An organization may have {limit} unfinished tasks. Nothing was recorded.", 30)
    if crowded:
        limit = settings.tasks_open_per_device
        raise TooManyTasks(f"{limit} commands wait for device {crowded} already. Nothing was recorded.", 60)


async def _add(resources: Resources, db: Any, tenant: str, caller: Caller, order: Order) -> Task:
    """The rows of an order; gives the parent, or the only task."""
    deadline = repository.now_of(db) + timedelta(seconds=order.deadline_seconds)
    kept_until = deadline + timedelta(seconds=resources.settings.tasks_follow_s)
    common: dict[str, Any] = {
        "command": str(order.body.get("name") or order.body.get("friendly_name")),
        "body": order.body,
        "idempotent": is_idempotent(order.body),
        "not_after": deadline,
        "traceparent": resources.tracing.traceparent() if resources.tracing else None,
    }
    parent = new_id() if order.with_parent else None
    top = [{"id": parent, "kind": "bulk", "state": "running"} | common] if parent else []
    ids = [new_id() for _ in order.device_ids]
    rows = [
        {"id": task_id, "kind": "command", "state": "queued", "parent_id": parent, "device_id": device_id} | common
        for task_id, device_id in zip(ids, order.device_ids, strict=True)
    ]
    secrets = {task_id: resources.seal.close(caller.key, Binding(task_id, tenant, kept_until)) for task_id in ids}
    return await repository.add(db, tenant, [*top, *rows], secrets, kept_until)


async def wait_for_change(resources: Resources, tenant: str, task_id: UUID, seconds: float) -> TaskStatus:
    """The task as soon as it is another than now, and at the latest after so many seconds."""
    async with resources.doorbell.changes_of(task_id) as changed:
        first = await status(resources, tenant, task_id)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        latest = first
        while not latest.final and is_same(latest, first) and (left := until - loop.time()) > 0:
            try:
                async with asyncio.timeout(min(left, LOOK_EVERY_S)):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            latest = await status(resources, tenant, task_id)
    return latest


def is_same(one: TaskStatus, other: TaskStatus) -> bool:
    """Whether nothing has happened that a caller waits for."""
    return (one.state, one.xyte_status, one.children) == (other.state, other.xyte_status, other.children)


async def status(resources: Resources, tenant: str, task_id: UUID) -> TaskStatus:
    """The task as it is now."""
    async with repository.as_tenant(resources, tenant) as db:
        task = await _get(db, tenant, task_id)
        children = {} if task.device_id else await repository.children_of(db, tenant, [task_id])
    return TaskStatus.of(task, children.get(task_id))


async def listed(resources: Resources, tenant: str, filters: TaskFilter) -> TaskPage:
    """One page, newest first."""
    async with repository.as_tenant(resources, tenant) as db:
        rows = await repository.page(db, tenant, filters)
        parents = [row.id for row in rows if row.device_id is None]
        children = await repository.children_of(db, tenant, parents) if parents else {}
    shown = rows[: filters.limit]
    more = len(rows) > filters.limit
    items = [TaskStatus.of(row, children.get(row.id)) for row in shown]
    return TaskPage(items=items, next_cursor=shown[-1].id if more else None, has_more=more)


async def history(resources: Resources, tenant: str, task_id: UUID) -> TaskHistory:
    """What happened to a task."""
    async with repository.as_tenant(resources, tenant) as db:
        await _get(db, tenant, task_id)
        events = await repository.history(db, tenant, task_id)
    return TaskHistory(items=[TaskStep.of(event) for event in events])


async def cancel(resources: Resources, tenant: str, task_id: UUID) -> TaskStatus:
    """Stop what has not been sent; what Xyte has is cancelled there by the worker, if it still can be."""
    async with repository.as_tenant(resources, tenant) as db:
        task = await _get(db, tenant, task_id)
        if task.state in FINAL and task.state != "cancelled":
            raise TaskEnded(f"The task has ended as {task.state}; there is nothing left to cancel.")
        await repository.cancel(db, tenant, task_id)
    await resources.doorbell.tell([task_id])
    return await status(resources, tenant, task_id)


async def _get(db: Any, tenant: str, task_id: UUID) -> Task:
    task = await repository.get(db, tenant, task_id)
    if task is None:
        raise NotFound(f"No task {task_id}. list_tasks shows those there are.")
    return task
