"""What rooms look like on the wire."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from app.rooms.fleet import Device, Space
from app.rooms.kinds import KIND_PATTERN, Kind, Rule
from app.tasks.schemas import IdempotencyKey
from app.xyte.schemas.shapes import JsonObject, Paging, Sent

RoomName = Annotated[
    str, Field(min_length=1, max_length=300, description="Id, path or name; the beginnings of its words will do.")
]
Health = Literal["online", "offline", "error", "warning"]


class Room(BaseModel):
    """A room and how many devices are in it."""

    id: int
    name: str
    path: str
    devices: int
    offline: int


class RoomPage(BaseModel):
    """Rooms; where words were given, best first."""

    items: list[Room]
    has_more: bool


class RoomFilter(Paging):
    pass


class RoomQuery(Sent):
    query: str = Field(min_length=1, max_length=300, description="Id, path or name, in part or nearly right.")
    limit: int = Field(default=10, ge=1, le=50, description="How many at most.")


class WhichRoom(Sent):
    room: RoomName


class FoundDevice(BaseModel):
    """A device and where it is."""

    id: str
    name: str
    kind: str
    model: str | None = None
    serial: str | None = None
    room: str | None = Field(default=None, description="Path of its space.")
    status: str = Field(description="ok, warning, error, offline, disconnected or never_seen.")
    last_seen_at: str | None = None
    why: Kind | None = Field(default=None, description="With explain: what told its kind.")

    @classmethod
    def of(cls, device: Device, *, explain: bool = False) -> Self:
        return cls(
            id=device.id,
            name=device.name,
            kind=device.kind.kind,
            model=device.model,
            serial=device.serial,
            room=device.path,
            status=device.status,
            last_seen_at=device.last_seen,
            why=device.kind if explain else None,
        )


class FoundDevices(BaseModel):
    items: list[FoundDevice]
    page: int
    next_page: int | None = None
    has_more: bool


class DeviceQuery(Paging):
    """All that are given must hold."""

    query: str | None = Field(default=None, min_length=1, max_length=200, description="Name, in part or nearly right.")
    kind: str | None = Field(default=None, pattern=KIND_PATTERN, description="projector, display, camera, …")
    model: str | None = Field(default=None, min_length=1, max_length=200, description="Part of the model's name.")
    room: str | None = Field(default=None, min_length=1, max_length=300, description="Only in this room.")
    status: Health | None = None
    serial: str | None = Field(default=None, min_length=1, max_length=200, description="Part of it.")
    explain: bool = Field(default=False, description="Say why each is of its kind.")


class DeviceInRoom(BaseModel):
    """A device as it is now."""

    id: str
    name: str
    kind: str
    status: str
    on: bool | None = Field(default=None, description="Absent where its state does not tell.")
    last_seen_at: str | None = None
    state: JsonObject | None = None


class IncidentInRoom(BaseModel):
    device_id: str | None = None
    device: str | None = None
    title: str | None = None
    priority: str | None = None
    since: str | None = None


class TicketInRoom(BaseModel):
    id: str | None = None
    device_id: str | None = None
    title: str | None = None
    since: str | None = None


class RoomStatus(BaseModel):
    """How a room is now."""

    room: Room
    summary: str
    devices: dict[str, list[DeviceInRoom]] = Field(description="By kind.")
    incidents: list[IncidentInRoom]
    tickets: list[TicketInRoom]
    last_activity: str | None = Field(default=None, description="When the state of a device changed last.")
    notice: str | None = Field(default=None, description="What could not be read.")


class Fact(BaseModel):
    """Something that is so."""

    what: Literal["offline", "error", "incident", "failed_command", "change", "state"]
    text: str
    device_id: str | None = None
    device: str | None = None
    at: str | None = None
    details: JsonObject | None = None


class Cause(BaseModel):
    """What may be behind it, and the facts that say so."""

    cause: str
    likelihood: Literal["high", "medium", "low"]
    evidence: list[int] = Field(description="Places in facts, from 0.")


class NextOperation(BaseModel):
    """What to call next."""

    operation: str
    arguments: dict[str, Any]
    why: str


class Diagnosis(BaseModel):
    """Facts first, then what they point to, then what to do."""

    room: Room
    summary: str
    facts: list[Fact]
    causes: list[Cause] = Field(description="Likeliest first.")
    next: list[NextOperation]
    notice: str | None = Field(default=None, description="What could not be read.")


class Complaint(WhichRoom):
    issue: str | None = Field(
        default=None, min_length=1, max_length=500, description="What people notice, such as: no picture."
    )


class Control(Sent):
    """A command for the one device that is meant."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"device": "projector", "room": "Board Room", "command": "power_on"}}
    )

    device: str = Field(min_length=1, max_length=200, description="Id, serial, name, or its kind in the room.")
    room: str | None = Field(default=None, min_length=1, max_length=300, description="Only in this room.")
    command: str = Field(min_length=1, max_length=200, description="Command of its model, such as power_on.")
    extra_params: JsonObject = Field(default_factory=dict[str, Any], description="Values by the command's fields.")
    wait_seconds: float = Field(default=10, ge=0, le=50, description="Wait so long for its end.")
    idempotency_key: IdempotencyKey | None = None


class Controlled(BaseModel):
    """The device that was found and what became of the command."""

    device: FoundDevice
    task: JsonObject


class KindTable(BaseModel):
    """How devices get their kinds: own rules in their order, then the table."""

    rules: list[Rule]
    table: dict[str, list[str]]


class KindRules(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"rules": [{"kind": "display", "field": "model", "words": "laser wall"}]}}
    )

    rules: list[Rule] = Field(max_length=100, description="Asked in this order, before the table.")


def room_of(space: Space, devices: list[Device]) -> Room:
    """The room with its counts."""
    offline = sum(device.away for device in devices)
    return Room(id=space.id, name=space.name, path=space.path, devices=len(devices), offline=offline)
