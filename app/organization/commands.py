"""Commands to devices."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import CommandGate, OrganizationApi, Report
from app.effects import DESTRUCTIVE, PHYSICAL, READ
from app.xyte.capabilities import checked
from app.xyte.client import Answer
from app.xyte.following import watched
from app.xyte.schemas.commands import Command, CommandFilter, CommandId, CommandSend
from app.xyte.schemas.devices import DeviceId
from app.xyte.schemas.shapes import Page, Success

router = APIRouter(prefix="/devices/{device_id}/commands", tags=["Commands"])


@router.get("", summary="List commands of a device", openapi_extra=READ)
async def get_device_commands(
    xyte: OrganizationApi, device_id: DeviceId, filters: Annotated[CommandFilter, Query()]
) -> Answer[Page[Command]]:
    """Commands sent to a device and what became of them, the queue included.

    It shows a command's end; what a device can do is told by its model.
    """
    return await xyte.page(Command, "devices", device_id, "commands", query=filters)


@router.post("", summary="Send a command to a device", openapi_extra=PHYSICAL)
async def send_command(
    xyte: OrganizationApi,
    gate: CommandGate,
    report: Report,
    device_id: DeviceId,
    command: CommandSend,
    wait_seconds: Annotated[float, Query(ge=0, le=50, description="Wait so long for its end.")] = 0,
) -> Answer[Command]:
    """Make a device act, such as power_on. Real equipment moves; it cannot be taken back once it runs.

    The answer says that Xyte queued it: wait_seconds or get_device_commands shows its end. After a time-out look there
    before sending again, for a second call is a second command.
    """
    body = await checked(xyte, device_id, command)
    await gate(device_id)
    sent = await xyte.post(Command, "devices", device_id, "commands", body=body)
    return await watched(xyte, device_id, sent, wait_seconds, report) if wait_seconds else sent


@router.delete("/{command_id}", summary="Cancel a command", openapi_extra=DESTRUCTIVE)
async def cancel_command(xyte: OrganizationApi, device_id: DeviceId, command_id: CommandId) -> Answer[Success]:
    """Withdraw a command that has not finished; one that runs may finish all the same."""
    return await xyte.delete(Success, "devices", device_id, "commands", command_id)
