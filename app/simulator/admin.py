"""The simulator's own endpoints, for tests and demonstrations: faults, devices, what was asked, time."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from app.simulator import machines
from app.simulator.calls import NOT_FOUND, SUCCESS, Call, Refusal, as_integer, known, optional_object
from app.simulator.faults import Fault
from app.simulator.journal import CAPACITY
from app.simulator.records import Command, Device, JsonObject
from app.simulator.routing import Routes
from app.simulator.views import command as command_view

if TYPE_CHECKING:
    from app.simulator.simulator import Simulator

routes = Routes("admin", "/_simulator")


@routes.add("GET", "/health")
def get_health(_: Call) -> object:
    return {"status": "ok"}


@routes.add("GET", "/requests")
def get_requests(call: Call) -> object:
    journal = call.simulator.journal
    limit = call.bounded("limit", CAPACITY)
    rows = journal.read(call.text("method"), call.text("path"), call.integer("since") or 0, limit)
    latest = rows[-1]["sequence"] if len(rows) == limit else journal.total
    return {"requests": rows, "next": latest, "total": journal.total}


@routes.add("DELETE", "/requests")
def delete_requests(call: Call) -> object:
    call.simulator.journal.clear()
    return SUCCESS


@routes.add("GET", "/faults")
def get_faults(call: Call) -> object:
    return {"faults": [fault.model_dump() for fault in call.simulator.faults.rules.values()]}


@routes.add("POST", "/faults", status=201)
def create_fault(call: Call) -> object:
    try:
        return {"id": call.simulator.faults.add(Fault.model_validate(call.json()))}
    except ValidationError as error:
        raise Refusal(422, _complaints(error)) from None


@routes.add("DELETE", "/faults")
def delete_faults(call: Call) -> object:
    call.simulator.faults.rules.clear()
    return SUCCESS


@routes.add("DELETE", "/faults/{id}")
def delete_fault(call: Call) -> object:
    if call.simulator.faults.rules.pop(call.path["id"], None) is None:
        raise Refusal(404, NOT_FOUND)
    return SUCCESS


@routes.add("GET", "/devices")
def get_devices(call: Call) -> object:
    return {"devices": [_device(device) for device in call.simulator.world.devices.values()]}


@routes.add("POST", "/devices/{id}")
def change_device(call: Call) -> object:
    device = known(call.simulator.world.devices, call.path["id"])
    body = call.json()
    if (state := optional_object(body, "state")) is not None:
        _set_state(call.simulator, device, state)
    if "fails" in body:
        device.failures_due = as_integer(body["fails"], "fails")
    if "command_seconds" in body:
        device.command_seconds = None if body["command_seconds"] is None else _seconds(body["command_seconds"])
    if "simulated" in body:
        _employ(call.simulator, device, body["simulated"] is True)
    if "plugged" in body:
        machines.plug(call.simulator.world, device, body["plugged"] is True)
    return _device(device)


@routes.add("GET", "/commands")
def get_commands(call: Call) -> object:
    device_id = call.text("device_id")
    since = max(call.integer("since") or 0, call.simulator.world.commands_overlooked)
    rows = [
        _command(command)
        for command in call.simulator.world.commands.values()
        if command.sequence > since and device_id in (None, command.device.id)
    ]
    return {"commands": rows}


@routes.add("DELETE", "/commands")
def delete_commands(call: Call) -> object:
    call.simulator.world.commands_overlooked = call.simulator.world.command_count
    return SUCCESS


@routes.add("POST", "/tick")
def tick(call: Call) -> object:
    call.simulator.tick(_seconds(call.json().get("seconds")))
    return {"elapsed": call.simulator.world.clock.elapsed}


@routes.add("POST", "/reset")
def reset(call: Call) -> object:
    seed = call.json().get("seed")
    call.simulator.reset(None if seed is None else as_integer(seed, "seed"))
    return {"seed": call.simulator.settings.seed}


@routes.add("GET", "/settings")
def get_settings(call: Call) -> object:
    return call.simulator.settings.model_dump(exclude={"webhook_secret"})


@routes.add("PATCH", "/settings")
def change_settings(call: Call) -> object:
    body = call.json()
    if unknown := body.keys() - type(call.simulator.settings).model_fields.keys():
        raise Refusal(422, f"Unknown setting {min(unknown)}")
    try:
        for name, value in body.items():
            setattr(call.simulator.settings, name, value)
    except ValidationError as error:
        raise Refusal(422, _complaints(error)) from None
    return get_settings(call)


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or value < 0:
        raise Refusal(422, "seconds must be a positive number")
    return float(value)


def _set_state(simulator: "Simulator", device: Device, state: JsonObject) -> None:
    """A device keeps reporting what it was given, also that it is in error."""
    status = state.get("status", device.status or "online")
    if status in ("online", "error"):
        device.reports_as = status
    simulator.world.merge_state(device, status, {name: value for name, value in state.items() if name != "status"})


def _employ(simulator: "Simulator", device: Device, simulated: bool) -> None:
    if simulated and not device.simulated:
        machines.start(simulator.world, device)
    device.simulated = simulated


def _device(device: Device) -> JsonObject:
    return {
        "id": device.id,
        "name": device.name,
        "model": device.model.name,
        "kind": device.model.kind,
        "vendor": device.model.vendor,
        "organization": device.organization.name if device.organization else None,
        "space": device.space.full_path if device.space else None,
        "sn": device.sn,
        "mac": device.mac,
        "cloud_id": device.cloud_id,
        "online": device.connected,
        "plugged": device.plugged,
        "simulated": device.simulated,
        "state": device.state,
        "access_key": "*****",
    }


def _command(command: Command) -> JsonObject:
    return {"device_id": command.device.id, "tenant": command.tenant, "sequence": command.sequence} | command_view(
        command
    )


def _complaints(error: ValidationError) -> str:
    """What was wrong, without what was sent."""
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
