"""A device's configuration document."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import ConfigStored, DeviceConfig, DeviceConfigReport, OwnId

router = APIRouter()


@router.get("/{device_id}/config", summary="Get the configuration", openapi_extra=READ | DEVICE)
async def device_get_config(xyte: DeviceApi, device_id: OwnId) -> Answer[DeviceConfig]:
    """The configuration document with its version, to apply when it is newer than the device's own."""
    return await xyte.get(DeviceConfig, device_id, "config")


@router.post("/{device_id}/config", summary="Store the configuration", openapi_extra=WRITE | DEVICE)
async def device_set_config(xyte: DeviceApi, device_id: OwnId, report: DeviceConfigReport) -> Answer[ConfigStored]:
    """Store the configuration as the device has it; the answer gives its new version."""
    return await xyte.post(ConfigStored, device_id, "config", body=report.document)
