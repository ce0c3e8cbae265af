"""Devices: what an organization key may read and change of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.errors import InvalidInput
from app.xyte.schemas.shapes import Flag, Identifier, JsonObject, Paging, Received, Sent, SpaceNumber, Update, Window

DeviceId = Annotated[Identifier, Field(description="From list_devices.")]
HistoryStatus = Literal["online", "offline", "error", "unavailable"]

MASK = "*****"


class DeviceModel(Received):
    id: str | None = None
    name: str | None = None
    sub_model: str | None = None


class Firmware(Received):
    version: str | None = None


class DeviceSpace(Received):
    id: int | None = None
    full_path: str | None = Field(None, description="Names from the organization down, joined by slashes.")


class Device(Received):
    """A device as Xyte knows it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f",
                "name": "Board Room projector",
                "sn": "PX-000123",
                "status": "online",
                "effective_status": "ok",
                "last_seen_at": "2026-11-22T10:00:00.000Z",
                "state": {"power": "on", "input": "hdmi1"},
                "model": {"id": "7b1f8a52-5a33-4f0f-9d2f-3f1c5b8f1a11", "name": "PX-1000"},
                "firmware": {"version": "1.0.0"},
                "space": {"id": 16138, "full_path": "Harbor/London/Board Room"},
            }
        }
    )

    id: str | None = None
    name: str | None = None
    sn: str | None = Field(None, description="Serial number.")
    mac: str | None = None
    cloud_id: str | None = None
    status: str | None = Field(None, description="What the device says: online, offline, error; null before contact.")
    effective_status: str | None = Field(
        None, description="Computed health: ok, warning, error, offline, disconnected, never_seen."
    )
    merged_effective_status: str | None = Field(None, description="The same over a merge group, on its primary row.")
    last_seen_at: str | None = Field(None, description="ISO 8601.")
    details: JsonObject | None = None
    state: JsonObject | None = Field(None, description="Latest telemetry by name; in get_device only.")
    custom_parameters: JsonObject | None = Field(None, description="Devices claimed over an edge; secrets as *****.")
    model: DeviceModel | None = None
    firmware: Firmware | None = None
    space: DeviceSpace | None = None


class DeviceState(Received):
    """One snapshot of a device's state."""

    uuid: str | None = None
    device_id: str | None = None
    name: str | None = None
    model: str | None = None
    partner: str | None = None
    space_id: int | None = None
    state: JsonObject | None = None
    created_at: str | None = Field(None, description="ISO 8601.")


class DeviceFilter(Paging):
    """Xyte filters devices by space only; for other properties page through and compare."""

    space_id: SpaceNumber | None = Field(None, description="Only devices in this space (list_spaces).")


class HistoryFilter(Window, Paging):
    """Without times the last week; at most 31 days at once."""

    longest = timedelta(days=31)

    device_id: DeviceId | None = Field(None, description="Only this device (list_devices).")
    space_id: SpaceNumber | None = Field(None, description="Only devices in this space.")
    name: str | None = Field(None, max_length=200, description="Only devices of this name.")
    status: HistoryStatus | None = Field(
        None, description="Only devices whose status is this now, whatever it was then."
    )


class DeviceClaim(Sent):
    """Give cloud_id, or mac and sn together: the device's model decides which."""

    space_id: SpaceNumber = Field(description="Where to put the device; also decides which customer it belongs to.")
    name: str | None = Field(None, min_length=1, max_length=255, description="A name of your own.")
    cloud_id: str | None = Field(None, min_length=1, max_length=255, description="For models that use a Cloud ID.")
    mac: str | None = Field(None, min_length=1, max_length=64, description="With sn.", examples=["11:22:33:44:55:66"])
    sn: str | None = Field(None, min_length=1, max_length=255, description="Serial number, with mac.")

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if bool(self.cloud_id) == bool(self.mac or self.sn) or bool(self.mac) != bool(self.sn):
            raise ValueError("give either cloud_id, or mac and sn together")
        return self


class DeviceUpdate(Update):
    """Only the fields given change."""

    name: str | None = Field(None, min_length=1, max_length=255, description="New name.")
    configuration: JsonObject | None = Field(None, description="Replaces the device's configuration document.")
    custom_parameters: JsonObject | None = Field(
        None, description="Edge devices: values by the model's parameter names. Those not given keep their value."
    )
    device_host_address: str | None = Field(None, max_length=255, description="Edge devices: IP or host name.")
    sub_model: str | None = Field(None, max_length=255)
    sn: str | None = Field(None, max_length=255, description="Serial number.")
    mac: str | None = Field(None, max_length=64, examples=["00:11:22:33:44:55"])
    custom_model_name: str | None = Field(None, max_length=255)
    custom_vendor_name: str | None = Field(None, max_length=255)
    skip_connectivity_check: Flag | None = Field(
        None, description="Change an edge device's address although it does not answer there."
    )


class DeviceMove(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"space_id": 16138}})

    space_id: SpaceNumber = Field(description="The space to move to (list_spaces).")


class DeviceMerge(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"with_device_ids": ["c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f"]}}
    )

    with_device_ids: list[Identifier] = Field(
        min_length=1, max_length=3, description="Devices that become its shadows; a group has four at most."
    )


class DeviceSplit(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"shadow_device_id": "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f"}}
    )

    shadow_device_id: Identifier = Field(description="The shadow to take out of the merge group.")


def merged_parameters(present: Mapping[str, Any] | None, changed: Mapping[str, Any]) -> dict[str, Any]:
    """All custom parameters after a change, since Xyte replaces them as a whole.

    A set password reads as a mask; sent back it would become the password, and left out it would be lost.
    """
    return unmasked(
        {**(present or {}), **changed},
        "Xyte does not tell set passwords, and replaces all custom parameters at once: give these too.",
    )


def unmasked(parameters: Mapping[str, Any], reason: str = "A mask is not a password.") -> dict[str, Any]:
    """The parameters, if none of them is the mask that Xyte shows instead of a password."""
    if masked := sorted(name for name, value in parameters.items() if value == MASK):
        raise InvalidInput(
            reason,
            [{"path": f"custom_parameters.{name}", "message": "Give the password itself."} for name in masked],
        )
    return dict(parameters)
