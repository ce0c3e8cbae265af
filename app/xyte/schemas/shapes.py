"""What all shapes share: what we send is checked, what we receive is passed on whole."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
    field_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

Item = TypeVar("Item")

LAST_SECOND = 253_402_300_799

ID_PATTERN = r"^[A-Za-z0-9_-]+$"
ID_LENGTH = 128

Identifier = Annotated[str, Field(pattern=ID_PATTERN, max_length=ID_LENGTH)]
"""An id as Xyte gives it; it becomes one segment of a path, so it has neither dots nor slashes."""


def _no_text(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_expected", "give a number")
    return value


NOT_TEXT = BeforeValidator(_no_text)
"""After the bounds of a number in a body, where "7" and true are mistakes."""

Flag = StrictBool
"""A choice in a body: 0 and "no" are mistakes there, not ways to say false."""


SpaceNumber = Annotated[int, Field(ge=1, description="A space (site or room) (list_spaces).")]

# Written out, since \s means something else to each engine that reads the pattern.
Email = Annotated[str, Field(pattern=r"^[^@\x00-\x20\x7f-\xa0]+@[^@\x00-\x20\x7f-\xa0]+$", max_length=254)]


class Received(BaseModel):
    """What the cloud says. Fields we do not know reach the caller too, and any may be missing."""

    model_config = ConfigDict(extra="allow")


class Sent(BaseModel):
    """What a caller asks for. A misspelt field is the caller's mistake, so it is refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Page(BaseModel, Generic[Item]):
    """One page of a list, the same for every list of the gateway."""

    items: list[Item]
    page: int = Field(description="This page, from 1.")
    per_page: int | None = Field(None, description="Rows asked for; absent where Xyte gives all rows at once.")
    next_page: int | None = Field(None, description="The page to ask for next; absent on the last one.")
    has_more: bool = Field(description="Whether there is another page.")


class Paging(Sent):
    """Which page of a list."""

    page: int = Field(1, ge=1, le=100_000)
    per_page: int = Field(25, ge=1, le=100)


class Update(Sent):
    """A change that names at least one field."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("give at least one field to change")
        return self


class Named(Received):
    """Something that Xyte names along with its id."""

    id: str | None = None
    name: str | None = None


class Success(Received):
    """The cloud took the change and has nothing more to say of it."""

    success: bool | None = None


def _from_seconds(value: object) -> object:
    """Unix seconds; what is no number is left to the parser of ISO 8601."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        seconds = float(value)
    except ValueError:
        return value
    if not 0 <= seconds <= LAST_SECOND:
        raise ValueError("Unix seconds are between 0 and 253402300799; milliseconds are not taken")
    return datetime.fromtimestamp(seconds, UTC)


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[
    datetime,
    BeforeValidator(_from_seconds),
    AfterValidator(_with_zone),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "examples": ["2026-11-22T10:00:00Z"]},
                {"type": "number", "minimum": 0, "maximum": LAST_SECOND},
            ]
        }
    ),
]
"""ISO 8601, in UTC where no offset is given, or Unix seconds."""


class Window(Sent):
    """A span of time, in Unix seconds on its way to Xyte."""

    longest: ClassVar[timedelta | None] = None

    from_: Moment | None = Field(None, alias="from", description="ISO 8601 or Unix seconds. Default: a week ago.")
    to: Moment | None = Field(None, description="Likewise. Default: now.")

    @model_validator(mode="after")
    def _within_window(self) -> Self:
        if self.from_ is None:
            return self
        span = (self.to or datetime.now(UTC)) - self.from_
        if span < timedelta():
            raise ValueError("from is after to")
        if self.longest is not None and span > self.longest:
            raise ValueError(f"from and to may be {self.longest.days} days apart at most")
        return self

    @field_serializer("from_", "to")
    def _as_xyte_takes_it(self, moment: Moment | None) -> int | str | None:
        return None if moment is None else self.written(moment)

    def written(self, moment: datetime) -> int | str:
        return int(moment.timestamp())


def keyed_by_id(schema: dict[str, Any]) -> None:
    """Says of a mapping from ids what generators of clients understand: any name, of this form, has such a value."""
    schema["additionalProperties"] = schema.pop("patternProperties")[ID_PATTERN]
    schema["propertyNames"] = {"maxLength": ID_LENGTH, "pattern": ID_PATTERN}


JsonObject = dict[str, Any]
