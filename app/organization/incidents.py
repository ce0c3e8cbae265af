"""Incidents of the organization's devices."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import DESTRUCTIVE, READ
from app.xyte.client import Answer
from app.xyte.schemas.incidents import Incident, IncidentFilter, IncidentId
from app.xyte.schemas.shapes import Page, Success

router = APIRouter(prefix="/incidents", tags=["Incidents"])


@router.get("", summary="List incidents", openapi_extra=READ)
async def list_incidents(xyte: OrganizationApi, filters: Annotated[IncidentFilter, Query()]) -> Answer[Page[Incident]]:
    """Incidents of the last week; from=0 for all. Filters add up; for one device compare device_id in the rows."""
    return await xyte.page(Incident, "incidents", query=filters)


@router.delete("/{incident_id}", summary="Close an incident", openapi_extra=DESTRUCTIVE)
async def close_incident(xyte: OrganizationApi, incident_id: IncidentId) -> Answer[Success]:
    """End an incident. Cannot be undone; it does not mend the device, whose next failure opens a new one."""
    return await xyte.delete(Success, "incidents", incident_id)
