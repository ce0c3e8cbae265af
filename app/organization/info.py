"""The organization itself."""

from fastapi import APIRouter

from app.dependencies import OrganizationApi
from app.effects import READ
from app.xyte.client import Answer
from app.xyte.schemas.info import OrganizationInfo

router = APIRouter(tags=["Organization"])


@router.get("/organization", summary="Get the organization", openapi_extra=READ)
async def get_organization_info(xyte: OrganizationApi) -> Answer[OrganizationInfo]:
    """The organization the key belongs to, with counts of devices, spaces, open incidents and tickets.

    The cheapest way to see whether a key works.
    """
    return await xyte.get(OrganizationInfo, "info")
