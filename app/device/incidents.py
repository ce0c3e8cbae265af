"""A device opens and closes its own incidents."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DESTRUCTIVE, DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import DeviceIncident, IncidentOpened, IncidentReport, OwnId
from app.xyte.schemas.incidents import IncidentId
from app.xyte.schemas.shapes import Page, Success

router = APIRouter()


@router.get("/{device_id}/incidents", summary="List the device's incidents", openapi_extra=READ | DEVICE)
async def device_list_incidents(xyte: DeviceApi, device_id: OwnId) -> Answer[Page[DeviceIncident]]:
    """Open incidents of the device."""
    return await xyte.page(DeviceIncident, device_id, "incidents")


@router.post("/{device_id}/incidents", summary="Open an incident", openapi_extra=WRITE | DEVICE)
async def device_open_incident(xyte: DeviceApi, device_id: OwnId, incident: IncidentReport) -> Answer[IncidentOpened]:
    """Tell that something is wrong; one incident of each issue code may be open."""
    return await xyte.post(IncidentOpened, device_id, "incidents", body=incident)


@router.delete("/{device_id}/incidents", summary="Close the device's incidents", openapi_extra=DESTRUCTIVE | DEVICE)
async def device_close_incidents(xyte: DeviceApi, device_id: OwnId) -> Answer[Success]:
    """Close all incidents that the device opened, as after a reboot. Cannot be undone."""
    return await xyte.delete(Success, device_id, "incidents")


@router.delete(
    "/{device_id}/incidents/{incident_id}", summary="Close one of its incidents", openapi_extra=DESTRUCTIVE | DEVICE
)
async def device_close_incident(xyte: DeviceApi, device_id: OwnId, incident_id: IncidentId) -> Answer[Success]:
    """Close an incident that the device or its customer opened; rules close their own. Cannot be undone."""
    return await xyte.delete(Success, device_id, "incidents", incident_id)
