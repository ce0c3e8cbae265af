"""Long commands: submitted at once, carried out by the worker, looked at whenever one likes."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query

from app.auth import tenant_of
from app.dependencies import Caller, KeyHeader, Report, Resources
from app.effects import PHYSICAL, READ, WRITE
from app.tasks import service
from app.tasks.schemas import (
    BulkSubmit,
    CommandSubmit,
    TaskFilter,
    TaskHistory,
    TaskId,
    TaskPage,
    TaskStatus,
)
from app.xyte.client import Answer

router = APIRouter(prefix="/tasks", tags=["Tasks"])

ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"headers": {"Location": {"description": "Where the task is.", "schema": {"type": "string"}}}}
}


@router.post(
    "",
    summary="Send a command later and surely",
    status_code=202,
    responses=ACCEPTED,
    openapi_extra=PHYSICAL,
)
async def send_command_async(
    resources: Resources, caller: Caller, header: KeyHeader, command: CommandSubmit
) -> Answer[TaskStatus]:
    """Have a device act without waiting: answers with a task at once, and the command is sent once, in its turn.

    See its end with get_task_status. A task that ends as outcome_unknown may have run: do not send it again blindly.
    """
    return answer(await service.submit(resources, caller, command, header))


@router.post(
    "/bulk",
    summary="Send a command to many devices",
    status_code=202,
    responses=ACCEPTED,
    openapi_extra=PHYSICAL,
)
async def send_command_to_devices(
    resources: Resources, caller: Caller, header: KeyHeader, command: BulkSubmit
) -> Answer[TaskStatus]:
    """Have up to 500 devices act: those in device_ids, or all in a space or of a model. Real equipment moves.

    Answers with a parent task; list_tasks with parent_id shows what became of each device.
    """
    return answer(await service.submit_to_many(resources, caller, command, header))


def answer(submitted: service.Submitted) -> Answer[TaskStatus]:
    """202, with the place where the task is."""
    value = submitted.task.model_dump(mode="json", exclude_none=True)
    response: Answer[TaskStatus] = Answer(orjson.dumps(value), value, 202)
    response.headers["Location"] = f"/v1/tasks/{submitted.task.id}"
    if submitted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@router.get("", summary="List tasks", openapi_extra=READ)
async def list_tasks(resources: Resources, caller: Caller, filters: Annotated[TaskFilter, Query()]) -> TaskPage:
    """The organization's tasks, newest first."""
    return await service.listed(resources, await tenant_of(resources, caller), filters)


@router.get("/{task_id}", summary="Get a task", openapi_extra=READ)
async def get_task_status(
    resources: Resources,
    caller: Caller,
    report: Report,
    task_id: TaskId,
    wait_seconds: Annotated[
        float, Query(ge=0, le=50, description="Wait so long for a change; answers as soon as there is one.")
    ] = 0,
) -> TaskStatus:
    """What became of a task. With wait_seconds it answers as soon as something happens; call again until final."""
    tenant = await tenant_of(resources, caller)
    if wait_seconds:
        await report(0, 1, "Waiting for a change.")
    status = await service.wait_for_change(resources, tenant, task_id, wait_seconds)
    if wait_seconds:
        await report(1, 1, status.state)
    return status


@router.get("/{task_id}/history", summary="Get a task's history", openapi_extra=READ)
async def get_task_history(resources: Resources, caller: Caller, task_id: TaskId) -> TaskHistory:
    """Every step of a task with its time, oldest first: queued, each sending, what Xyte said, how it ended."""
    return await service.history(resources, await tenant_of(resources, caller), task_id)


@router.post("/{task_id}/cancel", summary="Cancel a task", openapi_extra=WRITE)
async def cancel_task(resources: Resources, caller: Caller, task_id: TaskId) -> TaskStatus:
    """Stop a task and its children. What is queued is never sent; what Xyte has is cancelled there if it still can be,
    so look at its end with get_task_status."""
    return await service.cancel(resources, await tenant_of(resources, caller), task_id)
