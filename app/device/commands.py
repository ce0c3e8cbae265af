"""A device fetches its commands and reports their end."""

from fastapi import APIRouter

from app.dependencies import DeviceApi
from app.effects import DEVICE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.device_api import CommandReport, OwnId, WaitingCommand
from app.xyte.schemas.shapes import Page, Success

router = APIRouter()


@router.get("/{device_id}/command", summary="Get the next command", openapi_extra=READ | DEVICE)
async def device_get_command(xyte: DeviceApi, device_id: OwnId) -> Answer[WaitingCommand]:
    """The command to run now, or nothing; the same one until it is finished."""
    return await xyte.get(WaitingCommand, device_id, "command")


@router.get("/{device_id}/command/pending_commands", summary="List waiting commands", openapi_extra=READ | DEVICE)
async def device_list_pending_commands(xyte: DeviceApi, device_id: OwnId) -> Answer[Page[WaitingCommand]]:
    """Commands that wait for the device and for its children."""
    return await xyte.page(WaitingCommand, device_id, "command", "pending_commands")


@router.post("/{device_id}/command", summary="Report on a command", openapi_extra=WRITE | DEVICE)
async def device_update_command(xyte: DeviceApi, device_id: OwnId, report: CommandReport) -> Answer[Success]:
    """Tell that a command runs, is done, or has failed."""
    return await xyte.post(Success, device_id, "command", body=report)
