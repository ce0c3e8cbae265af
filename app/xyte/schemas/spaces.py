"""Spaces: the tree of sites, floors and rooms."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import JsonObject, Moment, Paging, Received, Sent, SpaceNumber, Update

SpaceId = Annotated[SpaceNumber, Field(description="From list_spaces.")]
Config = Annotated[
    JsonObject,
    Field(
        description="Settings such as location, temperature_units, notification_delay, priority_factor; "
        "inherit_<setting> takes the parent's.",
        examples=[{"temperature_units": "celsius", "inherit_location": True}],
    ),
]


class Space(Received):
    """A place in the tree."""

    id: int | None = None
    name: str | None = None
    parent_id: int | None = None
    space_type: str | None = Field(None, description="root, customer, site, room, space and others.")
    path: str | None = None
    full_path: str | None = Field(None, description="Names from the organization down, joined by slashes.")
    config: JsonObject | None = Field(None, description="Its own settings, without inherited ones.")
    created_at: str | None = Field(None, description="ISO 8601.")


class FoundSpace(Space):
    found: bool | None = Field(None, description="Whether it existed before.")


class SpaceFilter(Paging):
    id: SpaceNumber | None = Field(None, description="Only this one.")
    parent_id: SpaceNumber | None = Field(None, description="Direct children of this space.")
    name: str | None = Field(None, max_length=255, description="Only spaces of this name.")
    path_includes: str | None = Field(None, max_length=255, description="A part of the full path.")
    space_type: str | None = Field(None, max_length=64, description="root, customer, site, room, space and others.")
    created_before: Moment | None = Field(None, description="ISO 8601.")
    created_after: Moment | None = Field(None, description="ISO 8601.")


class SpaceCreate(Sent):
    name: str = Field(min_length=1, max_length=255, examples=["Board Room"])
    parent_id: SpaceNumber | None = Field(None, description="Default: the root.")
    config: Config = Field(default_factory=dict[str, Any])


class SpacePath(Sent):
    name: str = Field(min_length=1, max_length=1000, description="A path.", examples=["Building/Floor/Room"])
    parent_id: SpaceNumber | None = Field(None, description="Where the path starts. Default: the root.")
    config: Config = Field(default_factory=dict[str, Any])


class SpaceUpdate(Update):
    name: str | None = Field(None, min_length=1, max_length=255)
    parent_id: SpaceNumber | None = Field(None, description="Move it under this space.")
    config: Config | None = None
