"""What a partner (vendor) sees of its devices, over all customers."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from app.xyte.schemas.commands import CommandStatus
from app.xyte.schemas.devices import DeviceModel, Firmware, HistoryStatus
from app.xyte.schemas.shapes import Email, Identifier, JsonObject, Moment, Received, Sent, Window

PartnerDeviceId = Annotated[Identifier, Field(description="From partner_list_devices.")]
PartnerTicketId = Annotated[Identifier, Field(description="From partner_list_tickets.")]


class PartnerDevice(Received):
    """A device of one of the partner's models."""

    id: str | None = None
    sn: str | None = Field(None, description="Serial number.")
    mac: str | None = None
    cloud_id: str | None = None
    status: str | None = None
    effective_status: str | None = Field(None, description="Computed health.")
    merged_effective_status: str | None = None
    last_seen_at: str | None = Field(None, description="ISO 8601.")
    details: JsonObject | None = None
    state: JsonObject | None = None
    claimed: str | None = Field(None, description="The claiming organization's name; empty when unclaimed.")
    model: DeviceModel | None = None
    firmware: Firmware | None = None


class PartnerCommand(Received):
    id: str | None = None
    status: str | None = None
    name: str | None = None
    parameters: JsonObject | None = None


class PartnerDeviceConfig(Received):
    version: int | None = None
    last_updated: str | None = Field(None, description="ISO 8601.")
    config: JsonObject | None = None


class StateRecord(Received):
    """A past state."""

    created_at: str | None = Field(None, description="ISO 8601.")
    device_id: str | None = None
    state: JsonObject | None = None


class TelemetryRecord(Received):
    """One message of a device."""

    created_at: str | None = Field(None, description="ISO 8601.")
    device_timestamp: str | None = Field(None, description="ISO 8601, by the device's clock.")
    telemetries: JsonObject | None = None


class PartnerPaging(Sent):
    """Xyte chooses how many rows a partner's page has."""

    page: int = Field(1, ge=1, le=100_000)


class PartnerDeviceFilter(PartnerPaging):
    model_id: Identifier | None = None
    sn: str | None = Field(None, max_length=255, description="Serial number.")
    mac: str | None = Field(None, max_length=64)


class PartnerCommandFilter(PartnerPaging):
    status: CommandStatus | None = None


class PartnerHistoryFilter(Window, PartnerPaging):
    """Partners' histories take ISO 8601, and start with the current month unless told otherwise."""

    from_: Moment | None = Field(
        None, alias="from", description="ISO 8601 or Unix seconds. Default: the month's first day."
    )
    status: HistoryStatus | None = None

    def written(self, moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class OrganizationCreate(Sent):
    """A new customer and the people to talk to."""

    name: str = Field(min_length=1, max_length=255, examples=["Acme Corp"])
    admin_contact_email: Email = Field(examples=["admin@acme.example"])
    admin_contact_name: str | None = Field(None, max_length=255, examples=["Alice Smith"])
    finance_contact_email: Email | None = Field(None, examples=["finance@acme.example"])
    finance_contact_name: str | None = Field(None, max_length=255, examples=["Bob Jones"])


class OrganizationCreated(Received):
    """The new organization with its API key, in a field that Xyte does not document."""

    id: str | None = None
    name: str | None = None
