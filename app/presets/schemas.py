"""What presets and their runs look like on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.presets.models import PresetStep, StepState
from app.rooms.kinds import KIND_PATTERN
from app.rooms.schemas import RoomName
from app.tasks.models import FINAL, State, Task
from app.tasks.schemas import TaskOptions
from app.xyte.schemas.shapes import Flag, Identifier, JsonObject, Sent

LONGEST = 64 * 1024
MOST_STEPS = 200

PresetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="From list_presets.")]
InRoom = Annotated[str, Field(min_length=1, max_length=300)]
RunId = Annotated[UUID, Field(description="From start_meeting_room_preset or run_preset.")]
StepNumber = Annotated[int, Field(ge=1, le=10_000, description="As the run's table numbers them.")]
WaitSeconds = Annotated[float, Field(ge=0, le=50, description="Wait so long for the end, telling of each step.")]
Value = str | int | float | bool | None
Condition = dict[Annotated[str, Field(max_length=100)], Value | list[Value]]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Choice(Sent):
    """Another command for models that do not know the first."""

    command: Text
    params: JsonObject = Field(default_factory=dict[str, Any])


class Step(Choice):
    """A command for the devices that exactly one selector means."""

    name: Text | None = Field(default=None, description="What people call it.")
    device_id: Identifier | None = None
    device_name: Text | None = None
    model: Text | None = Field(default=None, description="Devices of models with this in their name.")
    kind: str | None = Field(default=None, pattern=KIND_PATTERN)
    all: Flag = Field(default=False, description="All in the room.")
    or_else: list[Choice] = Field(default_factory=list[Choice], max_length=5)
    when: Condition = Field(default_factory=Condition, max_length=10, description="Only if the device's state is so.")
    unless: Condition = Field(default_factory=Condition, max_length=10, description="Not if it is so already.")
    delay_seconds: float = Field(default=0, ge=0, le=3600, description="After its stage began.")
    timeout_seconds: float = Field(default=60, ge=1, le=600, description="Taken back if it has not ended by then.")
    tries: int = Field(default=1, ge=1, le=5, description="What surely failed is tried again so often.")
    on_error: Literal["stop", "continue"] = "continue"
    required: Flag | None = Field(
        default=None, description="Refuse the run if no device can do it, instead of skipping. Default: with device_id."
    )

    @model_validator(mode="after")
    def _one_selector(self) -> Self:
        given = [self.device_id, self.device_name, self.model, self.kind, self.all or None]
        if sum(one is not None for one in given) != 1:
            raise ValueError("give one of device_id, device_name, model, kind, all")
        return self

    @property
    def must(self) -> bool:
        return self.device_id is not None if self.required is None else self.required


class Stage(Sent):
    """Steps side by side; the next stage begins when they have ended."""

    name: Text | None = None
    steps: list[Step] = Field(min_length=1, max_length=MOST_STEPS)


class Document(Sent):
    """A preset: stages in their order."""

    title: Text | None = None
    description: str | None = Field(default=None, max_length=1_000)
    stages: list[Stage] = Field(min_length=1, max_length=MOST_STEPS)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if sum(len(stage.steps) for stage in self.stages) > MOST_STEPS:
            raise ValueError(f"a preset has {MOST_STEPS} steps at most")
        if len(orjson.dumps(self.plain())) > LONGEST:
            raise ValueError(f"a preset has {LONGEST} bytes at most")
        return self

    def plain(self) -> dict[str, Any]:
        """As it is stored and shown: only what was given."""
        return self.model_dump(mode="json", exclude_defaults=True)


class PresetSave(Sent):
    """The preset as YAML, or its stages."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"yaml": "stages:\n  - steps:\n      - {kind: projector, command: power_on}\n"}}
    )

    yaml: str | None = Field(default=None, min_length=1, description="The whole preset as YAML or JSON text, ≤ 64 KiB.")
    title: Text | None = None
    description: str | None = Field(default=None, max_length=1_000)
    stages: list[JsonObject] | None = Field(
        default=None, min_length=1, max_length=MOST_STEPS, description="As get_preset shows them."
    )
    note: Text | None = Field(default=None, description="Why it was changed.")
    based_on: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Only if this is the latest version; 0: only if there is none."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.yaml is None) == (self.stages is None):
            raise ValueError("give yaml, or stages")
        if self.yaml is not None and (self.title or self.description):
            raise ValueError("with yaml, title and description stand in it")
        return self


class Preset(BaseModel):
    """A preset; version 0 is a shipped one."""

    name: str
    version: int
    source: Literal["own", "shipped"]
    title: str | None = None
    description: str | None = None
    steps: int
    changed_at: datetime | None = None


class PresetPage(BaseModel):
    items: list[Preset]
    has_more: bool = False


class PresetDetails(Preset):
    """With its stages, as they were given."""

    stages: list[JsonObject]


class PresetVersionView(BaseModel):
    version: int
    deleted: bool
    note: str | None = None
    created_at: datetime


class PresetVersions(BaseModel):
    """Newest first."""

    items: list[PresetVersionView]
    has_more: bool = False


class VersionQuery(Sent):
    version: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Default: the latest; 0: the shipped one."
    )


class DiffQuery(Sent):
    before: int = Field(ge=0, le=1_000_000, description="A version; 0: the shipped one.")
    after: int | None = Field(default=None, ge=0, le=1_000_000, description="Another one. Default: the latest.")


class Difference(BaseModel):
    """What differs between two versions, line by line."""

    before: int
    after: int
    lines: list[str] = Field(description="Lines with - are only in the first, those with + only in the second.")


class RollBack(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"version": 1}})

    version: int = Field(ge=0, le=1_000_000, description="It becomes the latest again, as a version of its own.")


class PlanQuery(Sent):
    room: InRoom | None = Field(default=None, description="Id, path or name.")


class RoomRun(TaskOptions):
    """Which preset for which room."""

    model_config = ConfigDict(json_schema_extra={"example": {"room": "Board Room", "preset": "presentation"}})

    room: RoomName
    preset: PresetName = "default"
    wait_seconds: WaitSeconds = 20


class RoomShutdown(TaskOptions):
    model_config = ConfigDict(json_schema_extra={"example": {"room": "Board Room"}})

    room: RoomName
    wait_seconds: WaitSeconds = 20


class PresetRunStart(TaskOptions):
    """Which preset, and for which room."""

    model_config = ConfigDict(json_schema_extra={"example": {"preset": "presentation", "room": "Board Room"}})

    preset: PresetName
    room: InRoom | None = Field(default=None, description="Not needed where every step names its device by id.")
    wait_seconds: WaitSeconds = 20


class StepRerun(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"wait_seconds": 20}})

    wait_seconds: WaitSeconds = 20


class RunStep(BaseModel):
    """A row of a run's table."""

    number: int
    stage: int
    step: str
    device: str | None = None
    device_id: str | None = None
    kind: str | None = None
    command: str | None = None
    params: JsonObject | None = None
    delay_seconds: float | None = None
    state: StepState = Field(
        description="waiting, running; final: done, skipped, failed, unknown (may have run), cancelled, not_run."
    )
    reason: str | None = None
    message: str | None = Field(default=None, description="The device's words.")
    attempts: int | None = None
    task_id: UUID | None = Field(default=None, description="Its latest command.")
    rerun_id: UUID | None = Field(default=None, description="The run in which it was run again.")
    ended_at: datetime | None = None

    @classmethod
    def of(cls, step: PresetStep) -> Self:
        body = step.body or {}
        return cls(
            number=step.number,
            stage=step.stage,
            step=step.name,
            device=step.device,
            device_id=step.device_id,
            kind=step.kind,
            command=body.get("name") or body.get("friendly_name"),
            params=body.get("extra_params") or None,
            delay_seconds=step.delay_s or None,
            state=step.state,
            reason=step.reason,
            message=step.message,
            attempts=step.attempt or None,
            task_id=step.task_id,
            rerun_id=step.rerun_id,
            ended_at=step.ended_at,
        )


class RoomOfRun(BaseModel):
    id: int
    path: str


class PresetRun(BaseModel):
    """A run, or the plan of one."""

    id: UUID | None = Field(default=None, description="For get_preset_run and cancel_task; a plan has none.")
    state: State | Literal["planned"]
    final: bool
    summary: str = Field(description="One sentence for people.")
    preset: str
    version: int
    room: RoomOfRun | None = None
    steps: list[RunStep]
    deadline: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def of(cls, run: Task, steps: list[PresetStep], summary: str) -> Self:
        return cls(
            id=run.id,
            state=run.state,
            final=run.state in FINAL,
            summary=summary,
            preset=run.body["preset"],
            version=run.body["version"],
            room=run.body.get("room"),
            steps=[RunStep.of(step) for step in steps],
            deadline=run.not_after,
            created_at=run.created_at,
            ended_at=run.ended_at,
        )
