"""The organization behind a key."""

from pydantic import Field

from app.xyte.schemas.shapes import JsonObject, Received


class OrganizationInfo(Received):
    """The organization and its counters."""

    id: str | None = None
    name: str | None = None
    created_at: str | None = Field(None, description="ISO 8601.")
    lab: bool | None = Field(None, description="A test organization.")
    partner: str | None = None
    domain: str | None = None
    mobile_domain: str | None = None
    pricing_plan: str | None = None
    contacts: JsonObject | None = None
    statistics: dict[str, int] | None = Field(
        None, description="devices, users, groups, spaces, open_tickets, open_incidents, pending_invoices."
    )
