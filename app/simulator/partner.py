"""What a vendor's key can do in the simulated cloud: its devices, their tickets, new customers."""

from datetime import UTC, datetime

from app.simulator import histories, views
from app.simulator.calls import (
    NOT_AUTHORIZED,
    NOT_FOUND,
    SUCCESS,
    Call,
    Refusal,
    optional_text,
    partner_page,
    required_text,
)
from app.simulator.clock import iso
from app.simulator.organization.commands import STATUSES
from app.simulator.organization.devices import DEVICE_STATUSES
from app.simulator.organization.tickets import change, resolve, say
from app.simulator.records import Device, JsonObject, Ticket
from app.simulator.routing import Routes

routes = Routes("partner", "/core/v1/partner")

HISTORY_ROWS = 500


@routes.add("GET", "/devices")
def get_devices(call: Call) -> object:
    model_id, sn, mac = call.text("model_id"), call.text("sn"), call.text("mac")
    rows = [
        device
        for device in _devices(call)
        if (model_id is None or device.model.id == model_id)
        and (sn is None or device.sn == sn)
        and (mac is None or device.mac == mac)
    ]
    return partner_page(call, rows, views.partner_device)


@routes.add("GET", "/devices/histories")
def get_histories(call: Call) -> object:
    return _histories(call, _devices(call))


@routes.add("GET", "/devices/{device_id}")
def get_device(call: Call) -> object:
    return {"data": [views.partner_device(_device(call))]}


@routes.add("DELETE", "/devices/{device_id}")
def delete_device(call: Call) -> object:
    call.world.forget(_device(call))
    return SUCCESS


@routes.add("GET", "/devices/{device_id}/commands")
def get_commands(call: Call) -> object:
    status = call.choice("status", STATUSES)
    rows = [row for row in reversed(_device(call).commands) if status in (None, row.status)]
    return partner_page(call, rows, views.partner_command)


@routes.add("GET", "/devices/{device_id}/config")
def get_configuration(call: Call) -> object:
    device = _device(call)
    return {
        "version": device.config_version,
        "last_updated": iso(device.config_updated_at),
        "config": device.config,
    }


@routes.add("GET", "/devices/{device_id}/telemetries")
def get_telemetries(call: Call) -> object:
    return [
        {"created_at": iso(created), "device_timestamp": iso(measured), "telemetries": values}
        for created, measured, values in histories.telemetries(call.world, _device(call))
    ]


@routes.add("GET", "/devices/{device_id}/history")
def get_state_history(call: Call) -> object:
    return _histories(call, [_device(call)])


@routes.add("POST", "/organizations", status=201)
def create_organization(call: Call) -> object:
    body = call.json()
    name = required_text(body, "name")
    admin_email = required_text(body, "admin_contact_email")
    contacts: JsonObject = {
        "admin_email": admin_email,
        "admin_name": optional_text(body, "admin_contact_name"),
        "finance_email": optional_text(body, "finance_contact_email"),
        "finance_name": optional_text(body, "finance_contact_name"),
    }
    organization = call.world.add_organization(name, call.world.new_key("organization"), contacts, call.world.now())
    return {"id": organization.id, "name": organization.name, "api_key": organization.key}


@routes.add("GET", "/tickets")
def get_tickets(call: Call) -> object:
    return [views.ticket(row) for row in _tickets(call).values() if row.status == "open"]


@routes.add("GET", "/tickets/{ticket_id}")
def get_ticket(call: Call) -> object:
    return views.ticket_whole(_ticket(call))


@routes.add("PUT", "/tickets/{ticket_id}")
def update_ticket(call: Call) -> object:
    ticket = _ticket(call)
    change(ticket, call.json())
    return views.ticket_whole(ticket)


@routes.add("POST", "/tickets/{ticket_id}/message")
def add_comment(call: Call) -> object:
    ticket = _ticket(call)
    say(call.world, ticket, required_text(call.json(), "message"), call.partner.name, "partner")
    return views.ticket_whole(ticket)


@routes.add("POST", "/tickets/{ticket_id}/resolved")
def close_ticket(call: Call) -> object:
    ticket = _ticket(call)
    resolve(ticket)
    return views.ticket_whole(ticket)


def _devices(call: Call) -> list[Device]:
    return [device for device in call.world.devices.values() if device.model.vendor == call.partner.name]


def _device(call: Call) -> Device:
    device = call.world.devices.get(call.path["device_id"])
    if device is None or device.model.vendor != call.partner.name:
        raise Refusal(404, NOT_FOUND)
    return device


def _tickets(call: Call) -> dict[str, Ticket]:
    """Tickets about the partner's own devices."""
    return {
        row.id: row
        for organization in call.world.organizations.values()
        for row in organization.tickets.values()
        if row.device is not None and row.device.model.vendor == call.partner.name
    }


def _ticket(call: Call) -> Ticket:
    if (ticket := _tickets(call).get(call.path["ticket_id"])) is None:
        raise Refusal(401, NOT_AUTHORIZED)
    return ticket


def _histories(call: Call, devices: list[Device]) -> JsonObject:
    status = call.choice("status", DEVICE_STATUSES)
    start, end = call.moment("from"), call.moment("to")
    last = call.world.now() if end is None else call.world.clock.until(end)
    month = datetime.fromtimestamp(last, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = histories.rows(call.world, devices, month.timestamp() if start is None else start, last)
    wanted = [row for row in rows if status in (None, row[2].get("status"))]
    return partner_page(call, wanted, _history_row, HISTORY_ROWS)


def _history_row(row: histories.Row) -> JsonObject:
    at, device, state = row
    return {"created_at": iso(at), "device_id": device.id, "state": state}
