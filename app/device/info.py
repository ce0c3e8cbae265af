"""What the cloud knows of a device, its settings there, and its place."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import CloudSetting, DeviceReport, DeviceSelf, DeviceSpaceInfo, OwnId, SpaceTarget
from app.xyte.schemas.shapes import Success

router = APIRouter()


@router.get("/{device_id}", summary="Get the calling device", openapi_extra=READ | DEVICE)
async def device_get_info(xyte: DeviceApi, device_id: OwnId) -> Answer[DeviceSelf]:
    """What the cloud knows about the device."""
    return await xyte.get(DeviceSelf, device_id)


@router.put("/{device_id}", summary="Update the calling device", openapi_extra=WRITE | DEVICE)
async def device_update_info(xyte: DeviceApi, device_id: OwnId, report: DeviceReport) -> Answer[DeviceSelf]:
    """Report firmware, name, details or applied versions. Xyte takes 10 such calls an hour."""
    return await xyte.put(DeviceSelf, device_id, body=report)


@router.put("/{device_id}/cloud_settings", summary="Set a cloud setting", openapi_extra=WRITE | DEVICE)
async def device_set_cloud_settings(xyte: DeviceApi, device_id: OwnId, setting: CloudSetting) -> Answer[Success]:
    """Change a setting that the cloud keeps for the device, such as incidents.suspend_creation."""
    return await xyte.put(Success, device_id, "cloud_settings", body=setting.model_dump())


@router.get("/{device_id}/space", summary="Get the device's space", openapi_extra=READ | DEVICE)
async def device_get_space(xyte: DeviceApi, device_id: OwnId) -> Answer[DeviceSpaceInfo]:
    """Name, place, local time and units of the space the device is in; 422 until it is claimed."""
    return await xyte.get(DeviceSpaceInfo, device_id, "space")


@router.put("/{device_id}/space/move", summary="Move the device", openapi_extra=WRITE | DEVICE)
async def device_move_space(xyte: DeviceApi, device_id: OwnId, target: SpaceTarget) -> Answer[DeviceSpaceInfo]:
    """Move the device to its parent's space, or to the Unsorted space of its customer."""
    return await xyte.put(DeviceSpaceInfo, device_id, "space", "move", body=target)
