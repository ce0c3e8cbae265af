"""Users: the people of an organization."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import Email, Identifier, Received, Sent

UserId = Annotated[Identifier, Field(description="From list_users.")]


class User(Received):
    """A person who may sign in."""

    id: str | None = None
    email: str | None = None
    name: str | None = None
    groups: list[Any] | None = None


class UserCreate(Sent):
    email: Email = Field(examples=["ada@example.com"])
    name: str | None = Field(None, min_length=1, max_length=255)
    group_ids: list[Identifier] | None = Field(None, max_length=100, description="Groups to join (list_groups).")
