"""What all shapes share: what we send is checked, what we receive is passed on whole."""

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=128)]
"""An id as Xyte gives it; it becomes one segment of a path, so it has neither dots nor slashes."""


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

    page: int = Field(1, ge=1, le=100_000, description="Page number, from 1.")
    per_page: int = Field(25, ge=1, le=100, description="Rows per page.")


class Success(Received):
    """The cloud took the change and has nothing more to say of it."""

    success: bool | None = None


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[
    datetime,
    AfterValidator(_with_zone),
    Field(examples=["2026-11-22T10:00:00Z"], description="ISO 8601 (UTC where no offset is given) or Unix seconds."),
]

JsonObject = dict[str, Any]
