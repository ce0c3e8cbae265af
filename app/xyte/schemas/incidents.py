"""Incidents: what is or was wrong with a device."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.xyte.schemas.shapes import Identifier, Paging, Received, SpaceNumber, Window

IncidentId = Annotated[Identifier, Field(description="From list_incidents.")]
IncidentPriority = Literal["critical", "high", "moderate", "low", "planning"]


class Incident(Received):
    """An incident of a device."""

    id: str | None = None
    uuid: str | None = Field(None, description="In some answers instead of id.")
    status: str | None = Field(None, description="active or closed.")
    priority: str | None = Field(None, description="critical, high, moderate, low or planning.")
    title: str | None = None
    description: str | None = None
    issue: str | None = Field(None, description="offline, user, rule_<uuid>, or the device's own code.")
    device_id: str | None = None
    device_name: str | None = None
    device_model: str | None = None
    device_sub_model: str | None = None
    partner_name: str | None = None
    space_id: int | None = None
    space_name: str | None = None
    space_tree_path_name: str | None = Field(None, description="Full path of the space.")
    created_at: str | None = Field(None, description="ISO 8601.")
    updated_at: str | None = Field(None, description="ISO 8601.")


class IncidentFilter(Window, Paging):
    """Some environments answer nothing when one of the times is missing, so both are always sent."""

    status: Literal["active", "closed"] | None = None
    priority: IncidentPriority | None = None
    title: str | None = Field(None, max_length=255)
    description: str | None = Field(None, max_length=255)
    issue: str | None = Field(None, max_length=255, description="offline, user, rule_<uuid> or a device's code.")
    device_model: str | None = Field(None, max_length=255, description="Model name.")
    partner_name: str | None = Field(None, max_length=255, description="Vendor name.")
    sub_model: str | None = Field(None, max_length=255)
    space_id: SpaceNumber | None = Field(None, description="Devices in this space.")

    @model_validator(mode="after")
    def _both_times(self) -> Self:
        self.to = self.to or datetime.now(UTC)
        self.from_ = self.from_ or self.to - timedelta(days=7)
        return self
