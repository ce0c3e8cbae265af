"""Devices of the partner's models, over all customers."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import PartnerApi
from app.effects import DESTRUCTIVE, READ
from app.xyte.client import Answer
from app.xyte.schemas.partner import (
    PartnerCommand,
    PartnerCommandFilter,
    PartnerDevice,
    PartnerDeviceConfig,
    PartnerDeviceFilter,
    PartnerDeviceId,
    PartnerHistoryFilter,
    StateRecord,
    TelemetryRecord,
)
from app.xyte.schemas.shapes import Page, Success

router = APIRouter(prefix="/devices", tags=["Partner devices"])


@router.get("", summary="List partner devices", openapi_extra=READ)
async def partner_list_devices(
    xyte: PartnerApi, filters: Annotated[PartnerDeviceFilter, Query()]
) -> Answer[Page[PartnerDevice]]:
    """Devices of the partner's models over all customers; claimed names the customer. Needs a partner key."""
    return await xyte.page(PartnerDevice, "devices", query=filters)


@router.get("/histories", summary="List partner device histories", openapi_extra=READ)
async def partner_list_device_histories(
    xyte: PartnerApi, filters: Annotated[PartnerHistoryFilter, Query()]
) -> Answer[Page[StateRecord]]:
    """Past states of all the partner's devices, 500 rows a page. Needs a partner key."""
    return await xyte.page(StateRecord, "devices", "histories", query=filters)


@router.get("/{device_id}", summary="Get a partner device", openapi_extra=READ)
async def partner_get_device(xyte: PartnerApi, device_id: PartnerDeviceId) -> Answer[PartnerDevice]:
    """One of the partner's devices with its latest state. Needs a partner key."""
    return await xyte.one(PartnerDevice, "devices", device_id)


@router.delete("/{device_id}", summary="Delete a partner device", openapi_extra=DESTRUCTIVE)
async def partner_delete_device(xyte: PartnerApi, device_id: PartnerDeviceId) -> Answer[Success]:
    """Remove a device from the partner's fleet, and from its customer. Cannot be undone: it must register again."""
    return await xyte.delete(Success, "devices", device_id)


@router.get("/{device_id}/commands", summary="List partner device commands", openapi_extra=READ)
async def partner_list_device_commands(
    xyte: PartnerApi, device_id: PartnerDeviceId, filters: Annotated[PartnerCommandFilter, Query()]
) -> Answer[Page[PartnerCommand]]:
    """Commands that customers sent to a device; a partner cannot send any. Needs a partner key."""
    return await xyte.page(PartnerCommand, "devices", device_id, "commands", query=filters)


@router.get("/{device_id}/config", summary="Get a partner device's configuration", openapi_extra=READ)
async def partner_get_device_config(xyte: PartnerApi, device_id: PartnerDeviceId) -> Answer[PartnerDeviceConfig]:
    """A device's configuration document and its version. Needs a partner key."""
    return await xyte.get(PartnerDeviceConfig, "devices", device_id, "config")


@router.get("/{device_id}/telemetries", summary="List partner device telemetry", openapi_extra=READ)
async def partner_list_device_telemetries(
    xyte: PartnerApi, device_id: PartnerDeviceId
) -> Answer[Page[TelemetryRecord]]:
    """A device's latest raw messages, all at once. Needs a partner key."""
    return await xyte.page(TelemetryRecord, "devices", device_id, "telemetries")


@router.get("/{device_id}/history", summary="List a partner device's history", openapi_extra=READ)
async def partner_list_device_history(
    xyte: PartnerApi, device_id: PartnerDeviceId, filters: Annotated[PartnerHistoryFilter, Query()]
) -> Answer[Page[StateRecord]]:
    """Past states of one device, 500 rows a page. Needs a partner key."""
    return await xyte.page(StateRecord, "devices", device_id, "history", query=filters)
