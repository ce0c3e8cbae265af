"""What changed between two views of a tenant at the cloud."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from app.events.schemas import Draft

View = dict[str, Any]
Rows = dict[str, dict[str, Any]]

AWAY = frozenset({"offline", "disconnected", "never_seen"})
SHOWN = {
    "device": ("name", "status", "effective_status", "space_id", "space", "model", "firmware"),
    "incident": ("title", "priority", "issue", "device_id", "device_name", "space_id", "created_at"),
    "ticket": ("title", "status", "device_id", "created_at"),
}


def mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def device_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a device: nothing that changes by itself, such as when it was last seen."""
    space = mapping(row.get("space"))
    return {
        "name": row.get("name"),
        "status": row.get("status"),
        "effective_status": row.get("effective_status"),
        "space_id": space.get("id"),
        "space": space.get("full_path"),
        "model": mapping(row.get("model")).get("name"),
        "firmware": mapping(row.get("firmware")).get("version"),
    }


def incident_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN["incident"]}


def ticket_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in SHOWN["ticket"]}


def command_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("name", "status", "message", "created_at")}


def carried(before: Rows, after: Rows, doubted: Iterable[str]) -> tuple[Rows, list[str]]:
    """A list that came in several pages may lack a row that moved between them, so that one look proves nothing: a row
    that is missing for the first time is kept, and doubted; missing again, it is gone."""
    missing = before.keys() - after.keys() - set(doubted)
    return after | {number: before[number] for number in missing}, sorted(missing)


def is_online(device: Mapping[str, Any]) -> bool:
    """By the health that Xyte computes; where it tells none, by the device's own word."""
    return (device["effective_status"] or device["status"] or "never_seen") not in AWAY


def changes(before: View, after: View) -> list[Draft]:
    """Everything that is different, in the order in which people ask: devices, incidents, tickets, commands."""
    return [
        *devices_changed(before.get("devices"), after.get("devices")),
        *opened_and_closed("incident", before.get("incidents"), after.get("incidents")),
        *opened_and_closed("ticket", before.get("tickets"), after.get("tickets")),
        *commands_moved(before.get("commands", {}), after.get("commands", {}), after.get("devices") or {}),
    ]


def devices_changed(before: Rows | None, after: Rows | None) -> Iterator[Draft]:
    if before is None or after is None:
        return
    for device_id, device in after.items():
        old = before.get(device_id)
        if old is None:
            yield about(device_id, device, "device.added", told(device))
            continue
        different = {name: value for name, value in device.items() if value != old.get(name)}
        if is_online(device) != is_online(old):
            kind = "device.online" if is_online(device) else "device.offline"
            yield about(device_id, device, kind, told(device))
            different = {name: value for name, value in different.items() if name not in ("status", "effective_status")}
        if different:
            was = {name: old.get(name) for name in different}
            yield about(device_id, device, "device.changed", told(device) | {"changed": different, "before": was})
    for device_id in before.keys() - after.keys():
        yield about(device_id, before[device_id], "device.removed", told(before[device_id]))


def opened_and_closed(kind: str, before: Rows | None, after: Rows | None) -> Iterator[Draft]:
    """Of lists that hold what is open: new there is opened, gone from there is closed."""
    if before is None or after is None:
        return
    for number, row in after.items():
        if number not in before:
            yield of(f"{kind}.opened", kind, number, row)
        elif row != before[number]:
            yield of(f"{kind}.changed", kind, number, row)
    for number in before.keys() - after.keys():
        yield of(f"{kind}.closed", kind, number, before[number])


def commands_moved(before: Rows, after: Rows, devices: Rows) -> Iterator[Draft]:
    """For devices whose commands were looked at twice: new ones, and those with another status."""
    for device_id, commands in after.items():
        if device_id not in before:
            continue
        old = before[device_id]
        newest = max((str(command["created_at"]) for command in old.values()), default="")
        for number, command in commands.items():
            known = old.get(number)
            if known["status"] == command["status"] if known else str(command["created_at"]) < newest:
                continue
            device = devices.get(device_id, {})
            data = {"command_id": number, "device_name": device.get("name")} | command
            yield Draft(f"command.{command['status']}", "watch", filled(data), device_id, device.get("space_id"))


def about(device_id: str, device: Mapping[str, Any], kind: str, data: dict[str, Any]) -> Draft:
    return Draft(kind, "watch", data, device_id, device.get("space_id"))


def told(device: Mapping[str, Any]) -> dict[str, Any]:
    return filled({name: device.get(name) for name in SHOWN["device"]})


def of(kind: str, what: str, number: str, row: Mapping[str, Any]) -> Draft:
    return Draft(kind, "watch", {f"{what}_id": number} | filled(row), row.get("device_id"), row.get("space_id"))


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in data.items() if value is not None}
