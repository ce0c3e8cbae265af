"""Licences, read only."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import READ
from app.xyte.client import Answer
from app.xyte.schemas.licenses import License, LicenseFilter
from app.xyte.schemas.shapes import Page

router = APIRouter(prefix="/licenses", tags=["Licenses"])


@router.get("", summary="List licences", openapi_extra=READ)
async def list_licenses(xyte: OrganizationApi, filters: Annotated[LicenseFilter, Query()]) -> Answer[Page[License]]:
    """Licences with their state, expiry, device and product, newest first. Filters add up."""
    return await xyte.page(License, "licenses", query=filters)
