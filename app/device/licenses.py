"""A device fetches licence changes and confirms them."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import DeviceLicense, LicenseReport, OwnId
from app.xyte.schemas.shapes import Page

router = APIRouter()


@router.get("/{device_id}/license", summary="Get the next licence change", openapi_extra=READ | DEVICE)
async def device_get_license(xyte: DeviceApi, device_id: OwnId) -> Answer[DeviceLicense]:
    """The licence change to carry out now, or nothing."""
    return await xyte.one(DeviceLicense, device_id, "license")


@router.get("/{device_id}/licenses", summary="List licence changes", openapi_extra=READ | DEVICE)
async def device_list_licenses(xyte: DeviceApi, device_id: OwnId) -> Answer[Page[DeviceLicense]]:
    """All licence changes to carry out."""
    return await xyte.page(DeviceLicense, device_id, "licenses")


@router.post("/{device_id}/licenses", summary="Confirm a licence change", openapi_extra=WRITE | DEVICE)
async def device_update_license(xyte: DeviceApi, device_id: OwnId, report: LicenseReport) -> Answer[DeviceLicense]:
    """Tell that a licence is in use or removed, or that it failed."""
    return await xyte.post(DeviceLicense, device_id, "licenses", body=report)
