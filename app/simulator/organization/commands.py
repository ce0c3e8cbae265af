"""Commands to devices: sent, listed and called back."""

from typing import Any

from app.simulator import machines, views
from app.simulator.calls import SUCCESS, Call, Refusal, known, optional_object, optional_text, page
from app.simulator.records import JsonObject
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/devices/{device_id}/commands")

STATUSES = ("scheduled", "pending", "in_progress", "done", "failed", "aborted")
SELECTORS = ("command", "name", "friendly_name")


@routes.add("POST", status=201)
def send_command(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    body = call.json()
    params = optional_object(body, "extra_params") or {}
    file_id = optional_text(body, "file_id")
    command = call.world.send(device, call.organization.name, _selector(body), params, file_id)
    if command is None:
        raise Refusal(422, "Either a valid command or friendly_name is required")
    machines.nudge(call.world, device)
    return views.command(command)


@routes.add("GET")
def get_commands(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    status = call.choice("status", STATUSES)
    newest_first = reversed(device.commands)
    rows = newest_first if status is None else (row for row in newest_first if row.status == status)
    return page(call, rows, views.command, most=500)


@routes.add("DELETE", "/{command_id}")
def cancel_command(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    command = call.world.commands.get(call.path["command_id"])
    if command is None or command.device is not device:
        raise Refusal(404, "Errors::NotFound")
    if not command.open:
        raise Refusal(422, f"Cannot move from {command.status} to aborted")
    call.world.move(command, "aborted")
    return SUCCESS


def _selector(body: JsonObject) -> str:
    values: list[Any] = [body[name] for name in SELECTORS if body.get(name)]
    return values[0] if values and isinstance(values[0], str) else ""
