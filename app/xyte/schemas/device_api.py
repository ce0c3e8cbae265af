"""What a device says to the cloud with its own key, and what it hears."""

import base64
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from app.xyte.schemas.shapes import (
    NOT_TEXT,
    Flag,
    Identifier,
    JsonObject,
    Moment,
    Received,
    Sent,
    Update,
    keyed_by_id,
)

OwnId = Annotated[Identifier, Field(description="The device's own id, from its registration.")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=255, examples=["crash.log"])]
EventKey = Annotated[int, Field(ge=-(2**31), lt=2**31), NOT_TEXT]
Version = Annotated[
    str,
    Field(pattern=r"^[0-9]{1,10}$", coerce_numbers_to_str=True),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]{1,10}$"},
                {"type": "integer", "minimum": 0, "maximum": 9_999_999_999},
            ]
        }
    ),
]
Value = Annotated[str, StringConstraints(max_length=1000)] | StrictInt | StrictFloat | StrictBool | None
MIME_TYPE = r"^[A-Za-z0-9][A-Za-z0-9-]{0,126}/[A-Za-z0-9][A-Za-z0-9_.+-]{0,126}$"


class Registration(Received):
    """An identity, given once; access_key is a secret."""

    id: str | None = None
    access_key: str | None = None
    hub_url: str | None = None
    hub_url_static_cert: str | None = None
    mqtt_hub_url: str | None = None


class DeviceRegistration(Sent):
    """A factory identity. The model decides whether mac or cloud_id is needed beside sn."""

    hardware_key: str = Field(min_length=1, max_length=512, description="Of the production batch; a secret.")
    firmware_version: str = Field(min_length=1, max_length=64, examples=["1.0.1"])
    sn: str = Field(min_length=1, max_length=255, description="Serial number.")
    mac: str | None = Field(None, max_length=64, examples=["11:22:33:44:55:66"])
    cloud_id: str | None = Field(None, max_length=255)
    name: str | None = Field(None, max_length=255)
    sub_model: str | None = Field(None, max_length=255)
    details: JsonObject | None = None
    parent_id: Identifier | None = Field(None, description="Register as a child that talks for itself.")
    host_address: str | None = Field(None, max_length=255)
    device_model: str | None = Field(None, max_length=255)


class BridgedRegistration(DeviceRegistration):
    custom_partner_name: str | None = Field(None, max_length=255)
    custom_model_name: str | None = Field(None, max_length=255)


class DeviceRegistrations(Sent):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "devices": [{"hardware_key": "key-of-the-batch", "firmware_version": "1.0.1", "sn": "SN-000123"}]
            }
        }
    )

    devices: list[BridgedRegistration] = Field(min_length=1, max_length=25)


class ChildRegistration(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"model_id": "7b1f8a52-5a33-4f0f-9d2f-3f1c5b8f1a11", "firmware_version": "1.0.1"}}
    )

    model_id: Identifier = Field(description="From the partner portal.")
    firmware_version: str = Field(min_length=1, max_length=64)
    sn: str | None = Field(None, max_length=255)
    mac: str | None = Field(None, max_length=64)
    name: str | None = Field(None, max_length=255)
    sub_model: str | None = Field(None, max_length=255)
    details: JsonObject | None = None


class ChildDevice(Received):
    id: str | None = None
    sn: str | None = None
    mac: str | None = None
    state: JsonObject | None = None
    last_seen: str | None = None
    name: str | None = None
    firmware_version: str | None = None
    vendor: str | None = None
    model: str | None = None
    claimed: str | None = None
    details: JsonObject | None = None


class Telemetry(Sent):
    """A message: flat values that are merged into the device's state; null removes one."""

    status: Literal["online", "offline", "error"] = "online"
    telemetries: dict[str, Value] = Field(description="Flat values.", examples=[{"power": "on", "temperature": 41}])
    timestamp: Moment | None = Field(None, description="When it was measured; default: now.")
    override: Flag = Field(False, description="Replace the whole state.")
    message: str | None = Field(None, max_length=1000)

    def to_xyte(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class TokenTelemetry(Telemetry):
    access_token: str = Field(min_length=1, max_length=512, description="That device's access key.")


class ChildTelemetries(Sent):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "messages": {
                    "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f": {"telemetries": {"power": "on", "temperature": 41}}
                }
            }
        }
    )

    messages: dict[Identifier, Telemetry] = Field(
        min_length=1, max_length=100, description="By child id.", json_schema_extra=keyed_by_id
    )


class MassTelemetries(Sent):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "messages": {
                    "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f": {
                        "telemetries": {"power": "on", "temperature": 41},
                        "access_token": "key-of-that-device",
                    }
                }
            }
        }
    )

    messages: dict[Identifier, TokenTelemetry] = Field(
        min_length=1, max_length=100, description="By device id.", json_schema_extra=keyed_by_id
    )


class TelemetryAnswer(Received):
    """What the device should do next."""

    config_version: int | None = Field(None, description="Higher than the device's own: get the configuration.")
    command: bool | None = Field(None, description="A command waits.")
    info_version: int | None = None
    new_licenses: bool | None = Field(None, description="Licence changes wait.")
    latest_fw_version: str | None = None
    latest_fw_file_id: str | None = None
    space_data_version: int | None = Field(None, description="0 until the device is claimed.")
    success: bool | None = None


class WaitingCommand(Received):
    """A command to carry out; empty when none waits."""

    id: str | None = None
    device_id: str | None = None
    status: str | None = None
    name: str | None = None
    parameters: JsonObject | None = None


class CommandReport(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "0b0f6a4e-7a0e-4d53-9f0e-6f3f5a1c2d3e", "status": "done"}}
    )

    id: Identifier = Field(description="As in device_get_command.")
    status: Literal["in_progress", "done", "failed"] = "done"
    message: str | None = Field(None, max_length=1000, description="For the operator, above all on failure.")


class DeviceConfig(Received):
    name: str | None = None
    version: int | None = None
    last_updated: str | None = None
    config: JsonObject | None = None


class DeviceConfigReport(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"document": {"poll_seconds": 30}}})

    document: JsonObject = Field(description="The whole document, as device_get_config gives it.")


class ConfigStored(Received):
    success: bool | None = None
    version: int | None = None


class DeviceSelf(Received):
    id: str | None = None
    name: str | None = None
    firmware_version: str | None = None
    claimed: str | None = None
    partner: JsonObject | None = None
    config: JsonObject | None = None
    state: JsonObject | None = None
    details: JsonObject | None = None
    custom: JsonObject | None = None
    last_seen: str | None = None
    test: bool | None = None


class DeviceReport(Update):
    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "example": {"firmware_version": "1.0.2"}})

    firmware_version: str | None = Field(None, max_length=64)
    name: str | None = Field(None, max_length=255)
    sub_model: str | None = Field(None, max_length=255)
    details: JsonObject | None = None
    space_version: Version | None = Field(None, description="Space data that the device has applied.")
    config_version: Version | None = Field(None, description="Configuration that the device has applied.")


class CloudSetting(Sent):
    property: str = Field(min_length=1, max_length=255, examples=["incidents.suspend_creation"])
    value: Any = Field(examples=[True])


class DeviceSpaceInfo(Received):
    name: str | None = None
    location: JsonObject | None = None
    temperature_units: str | None = None
    maintenance: bool | None = None
    local_time: str | None = None
    device_id: str | None = None


class SpaceTarget(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"target": "follow_parent"}})

    target: Literal["follow_parent", "unsorted"] = Field(description="The parent's space, or the Unsorted one.")


class DeviceEvent(Sent):
    name: str = Field(min_length=1, max_length=255, examples=["power surge"])
    category: str = Field(min_length=1, max_length=255, examples=["electric"])
    int_key_1: EventKey | None = None
    int_key_2: EventKey | None = None
    string_key_1: str | None = Field(None, max_length=255)
    string_key_2: str | None = Field(None, max_length=255)
    timestamp: Moment | None = Field(None, description="For an event in the past.")


class EventStored(Received):
    status: bool | None = None


class Dump(Sent):
    """Xyte takes bytes; here they are text, or base64 where they are not."""

    model_config = ConfigDict(
        str_strip_whitespace=False, json_schema_extra={"example": {"content": "12:00:01 link down"}}
    )

    content: str = Field(min_length=1, description="The file, or the next part of it.")
    encoding: Literal["text", "base64"] = "text"

    @model_validator(mode="after")
    def _decodable(self) -> Self:
        if self.encoding == "base64":
            try:
                base64.b64decode(self.content, validate=True)
            except ValueError:
                raise ValueError("content is not base64") from None
        return self

    def to_xyte(self) -> bytes:
        return base64.b64decode(self.content) if self.encoding == "base64" else self.content.encode()


class DumpStored(Received):
    id: str | None = None


class DumpLength(Received):
    length: int | None = None


class DeviceIncident(Received):
    id: str | None = None
    device_id: str | None = None
    status: str | None = None
    priority: str | None = None
    title: str | None = None
    description: str | None = None
    issue: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class IncidentReport(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"title": "Lamp is worn out", "priority": 3, "issue": "lamp"}}
    )

    title: str = Field(min_length=1, max_length=255)
    description: str | None = Field(None, max_length=10_000)
    priority: Annotated[int, Field(ge=1, le=5), NOT_TEXT] = Field(
        3, description="1 critical, 2 high, 3 moderate, 4 low, 5 planning."
    )
    issue: str | None = Field(None, max_length=255, description="Short code; one open incident each.")


class IncidentOpened(Received):
    incident_id: str | None = None


class DeviceLicense(Received):
    """A licence change to carry out; empty when none waits. data and signature are secrets."""

    id: str | None = None
    device_id: str | None = None
    data: str | None = None
    signature: str | None = None
    add: bool | None = None
    remove: bool | None = None
    update: bool | None = None
    expires_at: str | None = None


class LicenseReport(Sent):
    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "32fbe976-0876-583e-aabf-001301c88eb3", "state": "inuse"}}
    )

    id: Identifier = Field(description="As in device_list_licenses.")
    state: Literal["inuse", "removed", "error"]
    error: str | None = Field(None, max_length=1000, description="For the operator.")


class DeviceFile(Received):
    """A file of the model; its url is a secret for a time."""

    id: str | None = None
    name: str | None = None
    url: str | None = None
    desc: str | None = None
    file_type: str | None = None
    version: str | None = None
    checksum: str | None = None
    signature: str | None = None
    created_at: str | None = None
    public_notes: str | None = None
