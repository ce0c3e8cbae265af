"""What tasks look like on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, model_validator

from app.dependencies import VISIBLE
from app.tasks.models import FINAL, State, Task, TaskEvent
from app.xyte.schemas.commands import CommandSend
from app.xyte.schemas.devices import DeviceId, SpaceNumber
from app.xyte.schemas.shapes import NOT_TEXT, Identifier, JsonObject, Sent

TaskId = Annotated[UUID, Field(description="From send_command_async or list_tasks.")]
Action = Literal["wait", "cancel_task", "check_device", "resend_with_new_key"]

UNKNOWN = (
    "The command was handed to Xyte, but whether Xyte took it could not be found out. It may or may not have run."
    " It is not sent again by itself: look at the device first, and send anew only if it did not act."
)


def _printable(key: str) -> str:
    if not key.isascii() or not key.isprintable():
        raise ValueError("an idempotency key is visible ASCII")
    return key


IdempotencyKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="Sent again with it, it is the same task.",
        json_schema_extra={"pattern": VISIBLE},
    ),
    AfterValidator(_printable),
]


class TaskOptions(Sent):
    """What is common to all work that is done later."""

    deadline_seconds: Annotated[int, Field(ge=1, le=86_400), NOT_TEXT] = Field(
        default=900, description="Not sent after this time."
    )
    idempotency_key: IdempotencyKey | None = None


class CommandSubmit(CommandSend, TaskOptions):
    """A command for one device."""

    device_id: DeviceId


class BulkSubmit(CommandSend, TaskOptions):
    """A command for many devices: those named, or all in a space or of a model."""

    device_ids: list[Identifier] | None = Field(
        default=None, min_length=1, max_length=500, description="From list_devices."
    )
    space_id: SpaceNumber | None = Field(default=None, description="All devices in this space, instead of device_ids.")
    model: str | None = Field(default=None, min_length=1, max_length=200, description="Only devices of this model id.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.device_ids is None) == (self.space_id is None and self.model is None):
            raise ValueError("give device_ids, or space_id or model")
        return self


def plain(order: CommandSend) -> CommandSend:
    """The command alone, without what is ours."""
    return CommandSend(**order.model_dump(include=set(CommandSend.model_fields)))


class TaskStatus(BaseModel):
    """A task and what became of it."""

    id: UUID
    kind: str = Field(description="command, or the parent of several: bulk, preset.")
    state: State = Field(
        description="queued, dispatching (being sent), running (Xyte has it); final: done, error, cancelled, expired"
        " (not sent in time), outcome_unknown (it may or may not have run)."
    )
    final: bool = Field(description="Whether it changes no more.")
    command: str
    device_id: str | None = None
    parent_id: UUID | None = None
    attempts: int
    children: dict[str, int] | None = Field(default=None, description="A parent's children by state.")
    xyte_command_id: str | None = Field(default=None, description="As get_device_commands lists it.")
    xyte_status: str | None = Field(default=None, description="pending, in_progress, done, failed or aborted.")
    message: str | None = Field(default=None, description="The device's words.")
    cancel_requested: bool | None = None
    note: str | None = Field(default=None, description="Why it waits or how it ended.")
    problem: JsonObject | None = Field(default=None, description="Why it failed.")
    explanation: str | None = None
    evidence: JsonObject | None = Field(default=None, description="What is known of an unknown outcome.")
    actions: list[Action] | None = Field(default=None, description="What can be done now.")
    deadline: datetime
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None

    @classmethod
    def of(cls, task: Task, children: dict[str, int] | None = None) -> Self:
        """As the caller sees it."""
        unknown = task.state == "outcome_unknown"
        return cls(
            id=task.id,
            kind=task.kind,
            state=task.state,
            final=task.state in FINAL,
            command=task.command,
            device_id=task.device_id,
            parent_id=task.parent_id,
            attempts=task.attempt,
            children=children or None,
            xyte_command_id=task.upstream_id,
            xyte_status=task.upstream_status,
            message=task.message,
            cancel_requested=task.cancel_requested or None,
            note=task.note,
            problem=task.problem,
            explanation=UNKNOWN if unknown and task.device_id else None,
            evidence=task.evidence if unknown else None,
            actions=actions(task.state),
            deadline=task.not_after,
            created_at=task.created_at,
            updated_at=task.updated_at,
            ended_at=task.ended_at,
        )


def actions(state: State) -> list[Action] | None:
    """What a caller can do about a task in this state."""
    if state == "outcome_unknown":
        return ["check_device", "resend_with_new_key"]
    return None if state in FINAL else ["wait", "cancel_task"]


class TaskFilter(Sent):
    """Which tasks to list."""

    state: State | None = Field(default=None, description="Only tasks in this state.")
    device_id: Identifier | None = Field(default=None, description="Only commands to this device.")
    parent_id: UUID | None = Field(default=None, description="Only the children of this task.")
    cursor: UUID | None = Field(default=None, description="next_cursor of the page before.")
    limit: int = Field(default=25, ge=1, le=100, description="Rows per page.")


class TaskPage(BaseModel):
    """Tasks, newest first."""

    items: list[TaskStatus]
    next_cursor: UUID | None = Field(default=None, description="Where the next page starts; absent on the last one.")
    has_more: bool


class TaskStep(BaseModel):
    """One step of a task's life."""

    at: datetime
    from_state: str | None = None
    to_state: str
    detail: dict[str, Any]

    @classmethod
    def of(cls, event: TaskEvent) -> Self:
        return cls(at=event.at, from_state=event.from_state, to_state=event.to_state, detail=event.detail)


class TaskHistory(BaseModel):
    """Every step of a task's life, oldest first."""

    items: list[TaskStep]
