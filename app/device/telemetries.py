"""A device reports its state, for itself, for its children, or for many."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import ChildTelemetries, MassTelemetries, OwnId, Telemetry, TelemetryAnswer

router = APIRouter()


@router.post("/telemetries", summary="Send telemetry of many devices", openapi_extra=WRITE | DEVICE)
async def device_send_mass_telemetry(
    xyte: DeviceApi, telemetries: MassTelemetries
) -> Answer[dict[str, TelemetryAnswer]]:
    """Report for up to 100 unrelated devices, each with its own access_token; the caller's key is not sent.

    The answer has a row per device, which may be an error.
    """
    body = {device_id: message.to_xyte() for device_id, message in telemetries.messages.items()}
    return await xyte.without_key().post(dict[str, TelemetryAnswer], "telemetries", body=body)


@router.post("/{device_id}/telemetry", summary="Send telemetry", openapi_extra=WRITE | DEVICE)
async def device_send_telemetry(xyte: DeviceApi, device_id: OwnId, telemetry: Telemetry) -> Answer[TelemetryAnswer]:
    """Report the device's state; the answer tells what to fetch next: a command, a configuration, licences."""
    return await xyte.post(TelemetryAnswer, device_id, "telemetry", body=telemetry)


@router.post("/{device_id}/children/telemetries", summary="Send telemetry of children", openapi_extra=WRITE | DEVICE)
async def device_send_child_telemetry(
    xyte: DeviceApi, device_id: OwnId, telemetries: ChildTelemetries
) -> Answer[dict[str, TelemetryAnswer]]:
    """Report for several children. A 422 names the bad ones in xyte_message; the others are stored all the same."""
    body = {child_id: message.to_xyte() for child_id, message in telemetries.messages.items()}
    return await xyte.post(dict[str, TelemetryAnswer], device_id, "children", "telemetries", body=body)
