"""Licences: what was bought for which device."""

from typing import Literal

from pydantic import Field

from app.xyte.schemas.shapes import Identifier, Moment, Named, Paging, Received

LicenseState = Literal["available", "inuse", "remove", "error", "disabled", "renew"]


class LicensedDevice(Received):
    id: str | None = None
    sn: str | None = None


class License(Received):
    """A licence and what it is bound to."""

    id: str | None = None
    state: str | None = Field(None, description="available, inuse, remove, error, disabled, renew, or disable.")
    expires_at: str | None = Field(None, description="ISO 8601.")
    activated_at: str | None = Field(None, description="ISO 8601.")
    warranty: bool | None = None
    transferable: bool | None = None
    bound_device_sn: str | None = None
    created_at: str | None = Field(None, description="ISO 8601.")
    order_short_id: str | None = None
    partner: Named | None = None
    device: LicensedDevice | None = None
    product: Named | None = None
    device_model: Named | None = None


class LicenseFilter(Paging):
    """Filters add up: a licence has to match them all."""

    state: list[LicenseState] | None = Field(
        None, serialization_alias="state[]", max_length=6, description="In any of these states."
    )
    assigned: bool | None = Field(None, description="Linked to a device or bound to a serial number.")
    device_id: Identifier | None = None
    product_id: Identifier | None = None
    device_model_id: Identifier | None = None
    bound_device_sn: str | None = Field(None, max_length=255)
    warranty: bool | None = None
    transferable: bool | None = None
    expires_before: Moment | None = Field(None, description="ISO 8601, inclusive; leaves out those without expiry.")
    expires_after: Moment | None = Field(None, description="ISO 8601, inclusive.")
    order_short_id: str | None = Field(None, max_length=255)
