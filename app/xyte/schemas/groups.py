"""Groups: who may see and do what."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import Email, Identifier, Received, Sent

GroupId = Annotated[Identifier, Field(description="As listed by list_groups.")]
UserIds = Annotated[list[Identifier], Field(min_length=1, max_length=100, description="As listed by list_users.")]


class Group(Received):
    """A group of users."""

    id: str | None = None
    name: str | None = None
    users: list[Any] | None = None


class GroupUpdate(Sent):
    name: str = Field(min_length=1, max_length=255, examples=["Facilities"])


class GroupCreate(GroupUpdate):
    user_ids: UserIds | None = Field(None, description="First members, as listed by list_users.")


class GroupMembers(Sent):
    user_ids: UserIds


class GroupGuest(Sent):
    email: Email = Field(examples=["external.user@example.com"])
