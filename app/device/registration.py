"""A device gets its identity, speaks for children, and leaves."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DESTRUCTIVE, DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import (
    ChildDevice,
    ChildRegistration,
    DeviceRegistration,
    DeviceRegistrations,
    OwnId,
    Registration,
)
from app.xyte.schemas.shapes import Page, Success

router = APIRouter()


@router.post("", summary="Register a device", openapi_extra=WRITE | DEVICE)
async def device_register_device(xyte: DeviceApi, device: DeviceRegistration) -> Answer[Registration]:
    """Trade a factory identity for an id and an access key, which the device must keep: it can register only once.

    The caller's key is not sent; hardware_key decides.
    """
    return await xyte.at_entry().without_key().post(Registration, body=device)


@router.post("/bulk_create", summary="Register many devices", openapi_extra=WRITE | DEVICE)
async def device_register_devices(xyte: DeviceApi, registrations: DeviceRegistrations) -> Answer[list[Registration]]:
    """Register up to 25 devices; each row of the answer is a registration or an error. The caller's key is not sent."""
    devices = registrations.model_dump(exclude_none=True)["devices"]
    return await xyte.at_entry().without_key().post(list[Registration], "bulk_create", body=devices)


@router.get("/{device_id}/children", summary="List child devices", openapi_extra=READ | DEVICE)
async def device_list_children(xyte: DeviceApi, device_id: OwnId) -> Answer[Page[ChildDevice]]:
    """The devices this one speaks for."""
    return await xyte.page(ChildDevice, device_id, "children")


@router.post("/{device_id}/children", summary="Register a child device", openapi_extra=WRITE | DEVICE)
async def device_register_child(xyte: DeviceApi, device_id: OwnId, child: ChildRegistration) -> Answer[Registration]:
    """Register a device that this one speaks for; it is claimed together with its parent."""
    return await xyte.at_entry().post(Registration, device_id, "children", body=child)


@router.delete("/{device_id}", summary="Delete the calling device", openapi_extra=DESTRUCTIVE | DEVICE)
async def device_delete_device(xyte: DeviceApi, device_id: OwnId) -> Answer[Success]:
    """Remove the device itself from the cloud. Cannot be undone: it must register and be claimed again."""
    return await xyte.delete(Success, device_id)
