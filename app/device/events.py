"""A device writes to its event log."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import DeviceEvent, EventStored, OwnId

router = APIRouter()


@router.post("/{device_id}/events", summary="Add an event", openapi_extra=WRITE | DEVICE)
async def device_add_event(xyte: DeviceApi, device_id: OwnId, event: DeviceEvent) -> Answer[EventStored]:
    """Write a row to the device's event log; Xyte drops it while the device is unclaimed."""
    return await xyte.post(EventStored, device_id, "events", body=event)
