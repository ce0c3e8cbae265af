"""Devices of the organization: find, read, claim, change, move, merge, delete."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import DESTRUCTIVE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.devices import (
    Device,
    DeviceClaim,
    DeviceFilter,
    DeviceId,
    DeviceMerge,
    DeviceMove,
    DeviceSplit,
    DeviceState,
    DeviceUpdate,
    HistoryFilter,
    merged_parameters,
)
from app.xyte.schemas.shapes import Page, Success

router = APIRouter(prefix="/devices", tags=["Devices"])


@router.get("", summary="List devices", openapi_extra=READ)
async def list_devices(xyte: OrganizationApi, filters: Annotated[DeviceFilter, Query()]) -> Answer[Page[Device]]:
    """Every device the key can see, one page at a time: id, name, status, model, space.

    Filters by space only. For a device's live state use get_device.
    """
    return await xyte.page(Device, "devices", query=filters)


@router.get("/histories", summary="List device histories", openapi_extra=READ)
async def list_device_histories(
    xyte: OrganizationApi, filters: Annotated[HistoryFilter, Query()]
) -> Answer[Page[DeviceState]]:
    """Past states of devices, newest first: the last week, or any 31 days between from and to."""
    return await xyte.page(DeviceState, "devices", "histories", query=filters)


@router.get("/{device_id}", summary="Get a device", openapi_extra=READ)
async def get_device(xyte: OrganizationApi, device_id: DeviceId) -> Answer[Device]:
    """One device with its latest state (power, input, volume and so on)."""
    return await xyte.get(Device, "devices", device_id)


@router.post("/claim", summary="Claim a device", openapi_extra=WRITE)
async def claim_device(xyte: OrganizationApi, claim: DeviceClaim) -> Answer[Device]:
    """Take ownership of a device that has registered with Xyte and put it in a space.

    It cannot be moved to another customer later.
    """
    return await xyte.post(Device, "devices", "claim", body=claim.model_dump(exclude_none=True))


@router.patch("/{device_id}", summary="Update a device", openapi_extra=WRITE)
async def update_device(xyte: OrganizationApi, device_id: DeviceId, update: DeviceUpdate) -> Answer[Device]:
    """Rename or reconfigure a device; only the fields given change.

    configuration replaces the whole document and reaches the device with its next contact.
    """
    body = update.model_dump(exclude_none=True)
    if update.custom_parameters is not None:  # Xyte replaces them all, so those not given are read first
        device = await xyte.get(Device, "devices", device_id)
        present = device.value.get("custom_parameters")
        body["custom_parameters"] = merged_parameters(present, update.custom_parameters)
    return await xyte.patch(Device, "devices", device_id, body=body)


@router.post("/{device_id}/move", summary="Move a device", openapi_extra=WRITE)
async def move_device(xyte: OrganizationApi, device_id: DeviceId, move: DeviceMove) -> Answer[Success]:
    """Put a device in another space of the same customer."""
    return await xyte.post(Success, "devices", device_id, "move", body=move.model_dump())


@router.post("/{device_id}/merge", summary="Merge devices", openapi_extra=WRITE)
async def merge_device(xyte: OrganizationApi, device_id: DeviceId, merge: DeviceMerge) -> Answer[Success]:
    """Join up to three rows of the same physical device to this one, as its shadows. split_device undoes it."""
    return await xyte.post(Success, "devices", device_id, "merge", body=merge.model_dump())


@router.post("/{device_id}/split", summary="Split a merged device", openapi_extra=WRITE)
async def split_device(xyte: OrganizationApi, device_id: DeviceId, split: DeviceSplit) -> Answer[Success]:
    """Take one shadow out of a device's merge group."""
    return await xyte.post(Success, "devices", device_id, "split", body=split.model_dump())


@router.post("/{device_id}/suspend_incidents", summary="Suspend incidents of a device", openapi_extra=WRITE)
async def suspend_device_incidents(xyte: OrganizationApi, device_id: DeviceId) -> Answer[Success]:
    """Open no incidents for this device until resume_device_incidents; for planned work."""
    return await xyte.post(Success, "devices", device_id, "suspend_incidents")


@router.post("/{device_id}/resume_incidents", summary="Resume incidents of a device", openapi_extra=WRITE)
async def resume_device_incidents(xyte: OrganizationApi, device_id: DeviceId) -> Answer[Success]:
    """Open incidents for this device again after suspend_device_incidents."""
    return await xyte.post(Success, "devices", device_id, "resume_incidents")


@router.delete("/{device_id}", summary="Delete a device", openapi_extra=DESTRUCTIVE)
async def delete_device(xyte: OrganizationApi, device_id: DeviceId) -> Answer[Success]:
    """Remove a device from the organization. Cannot be undone: it must register and be claimed again."""
    return await xyte.delete(Success, "devices", device_id)
