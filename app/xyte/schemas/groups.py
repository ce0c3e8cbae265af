"""Groups: who may see and do what."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.xyte.schemas.shapes import Email, Identifier, Received, Sent

GroupId = Annotated[Identifier, Field(description="From list_groups.")]
UserIds = Annotated[list[Identifier], Field(min_length=1, max_length=100, description="From list_users.")]


class Group(Received):
    """A group of users."""

    id: str | None = None
    name: str | None = None
    users: list[Any] | None = None


class GroupUpdate(Sent):
    name: str = Field(min_length=1, max_length=255, examples=["Facilities"])


class GroupCreate(GroupUpdate):
    user_ids: UserIds | None = Field(None, description="First members (list_users).")


class GroupMembers(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"user_ids": ["e0e39c5d-a9f8-50e0-9550-1e59a331d5c3"]}})

    user_ids: UserIds


class GroupGuest(Sent):
    email: Email = Field(examples=["external.user@example.com"])
