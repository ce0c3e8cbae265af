"""What events look like on the wire."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from app.xyte.schemas.devices import DeviceId
from app.xyte.schemas.shapes import NOT_TEXT, JsonObject, Sent, SpaceNumber

Source = Literal["task", "preset", "watch", "xyte", "webhook"]
Position = Annotated[int, Field(ge=0, le=2**62)]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be added to the log."""

    type: str
    source: Source
    data: dict[str, Any]
    device_id: str | None = None
    space_id: int | None = None
    at: datetime | None = None


class Event(BaseModel):
    """One thing that happened."""

    id: UUID = Field(description="The same whenever it is delivered: drop what you have had.")
    sequence: int = Field(description="Its place in the log; no number is left out.")
    type: str = Field(description="device.offline, incident.opened, task.done and so on.")
    source: str = Field(description="task, preset, watch, xyte (its notification) or webhook.")
    at: datetime
    device_id: str | None = None
    space_id: int | None = None
    data: JsonObject

    @cached_property
    def json_bytes(self) -> bytes:
        """As sent; made once for all who follow."""
        return orjson.dumps(self.model_dump(mode="json", exclude_none=True))


class Gap(BaseModel):
    """Events that can no longer be had: trimmed away, or lost when the log was restored from a backup."""

    first: int = Field(description="The first sequence that is missing.")
    last: int
    reason: Literal["trimmed", "restored"]


class EventChoice(Sent):
    """Which events."""

    type: str | None = Field(
        default=None,
        max_length=500,
        description="By comma; a dot at the end: all below. device.,task.done",
    )
    device_id: DeviceId | None = None
    space_id: SpaceNumber | None = Field(default=None, description="Devices in this space.")


class EventFilter(EventChoice):
    """A page of the log."""

    after: Position | None = Field(default=None, description="next_after of the last page.")
    limit: int = Field(default=25, ge=1, le=100, description="Rows per page.")


class StreamFilter(EventChoice):
    """Where a stream starts."""

    after: Position | None = Field(
        default=None, description="Start after this sequence; absent: now. Last-Event-ID comes before it."
    )


class NextFilter(EventChoice):
    """A named consumer's next event."""

    consumer: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$", max_length=64, description="A name of your own, the same each time."
    )
    ack: Position | None = Field(default=None, description="ack of the last answer, once dealt with.")
    after: Position | None = Field(default=None, description="First call: where to start; else now.")
    wait_seconds: Annotated[float, Field(ge=0, le=50)] = Field(default=0, description="How long to wait.")


class EventPage(BaseModel):
    """Events, oldest first."""

    items: list[Event]
    gap: Gap | None = Field(default=None, description="Events before these that are gone.")
    next_after: int = Field(description="Where the next page starts.")
    has_more: bool


class NextEvent(BaseModel):
    """The next event, or nothing yet."""

    event: Event | None = None
    gap: Gap | None = Field(default=None, description="Events before this one that are gone.")
    ack: int | None = Field(default=None, description="Give it with the next call; without it the same comes again.")


class WebhookCreate(Sent):
    """An address for others to hand events in."""

    name: str = Field(min_length=1, max_length=100, examples=["Vendor notifications"])


class WebhookRotate(Sent):
    """A new secret."""

    overlap_hours: Annotated[float, Field(ge=0, le=168), NOT_TEXT] = Field(
        default=24, description="How long the old secret still counts; 0 when it leaked.", examples=[24]
    )


class Webhook(BaseModel):
    """An address for others to hand events in."""

    id: UUID
    name: str
    created_at: datetime
    received_at: datetime | None = Field(default=None, description="When the last event came in.")
    old_secret_until: datetime | None = Field(default=None, description="Until then the secret before counts too.")


class WebhookSecret(Webhook):
    """With what is shown this once and stored nowhere."""

    path: str | None = Field(default=None, description="Where to POST, below this service's address.")
    secret: str = Field(description="What the body's field secret has to be.")


class WebhookList(BaseModel):
    """All webhooks of the tenant."""

    items: list[Webhook]
    has_more: bool = False


class Receipt(BaseModel):
    """The event is stored."""

    stored: Literal[True] = True
    duplicate: bool = Field(description="It came before, and is stored once.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader wants, ready to compare."""

    types: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()
    device_ids: frozenset[str] | None = None
    space_id: int | None = None

    def fits(self, event: Event) -> bool:
        """Whether it is one of those."""
        if (self.types or self.kinds) and event.type not in self.types and not event.type.startswith(self.kinds):
            return False
        if self.device_ids is None or event.device_id in self.device_ids:
            return True
        return self.space_id is not None and event.space_id == self.space_id


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a reader gets: events in order, and where it stands after them. Without events it only tells where."""

    position: int
    events: list[Event] = field(default_factory=list[Event])
    gap: Gap | None = None
