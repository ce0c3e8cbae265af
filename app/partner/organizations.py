"""Customers of the partner."""

from fastapi import APIRouter

from app.dependencies import PartnerApi
from app.effects import ACCESS
from app.xyte.client import Answer
from app.xyte.schemas.partner import OrganizationCreate, OrganizationCreated

router = APIRouter(prefix="/organizations", tags=["Partner organizations"])


@router.post("", summary="Create an organization", openapi_extra=ACCESS)
async def partner_create_organization(
    xyte: PartnerApi, organization: OrganizationCreate
) -> Answer[OrganizationCreated]:
    """Create a customer organization. The answer holds its live API key: keep it secret, nothing shows it again.

    No operation deletes an organization. Needs a partner key.
    """
    return await xyte.post(OrganizationCreated, "organizations", body=organization)
