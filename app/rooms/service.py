"""What callers do with rooms: find them and their devices, and see how they are."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.auth import Caller, client_of, tenant_of
from app.errors import InvalidInput, Problem, XyteRefusedKey
from app.resources import Resources
from app.rooms import repository
from app.rooms.fleet import Device, Fleet, Space
from app.rooms.kinds import KINDS, Rule, kind_of
from app.rooms.names import alike, begun, folded, words_of
from app.rooms.schemas import (
    Control,
    Controlled,
    DeviceInRoom,
    DeviceQuery,
    FoundDevice,
    FoundDevices,
    IncidentInRoom,
    KindTable,
    Room,
    RoomFilter,
    RoomPage,
    RoomQuery,
    RoomStatus,
    TicketInRoom,
    room_of,
)
from app.tasks import service as tasks
from app.tasks.repository import as_tenant
from app.tasks.schemas import CommandSubmit
from app.xyte.client import XyteClient

READ_AT_ONCE = 8
STATES_READ = 60
JUST_NOW_S = 2.0
ON = frozenset({"on", "true", "1", "active"})
OFF = frozenset({"off", "false", "0", "standby", "sleep"})


async def fleet_of(resources: Resources, caller: Caller) -> Fleet:
    """What the caller's key sees."""
    tenant = await tenant_of(resources, caller)
    async with as_tenant(resources, tenant) as db:
        rules = await repository.rules_of(db, tenant)
    return await Fleet.seen_by(client_of(resources, caller, "organization"), rules)


async def list_rooms(resources: Resources, caller: Caller, filters: RoomFilter) -> RoomPage:
    fleet = await fleet_of(resources, caller)
    rooms = sorted(fleet.rooms, key=lambda room: folded(room.path))
    start = (filters.page - 1) * filters.per_page
    shown = rooms[start : start + filters.per_page]
    return RoomPage(items=[counted(fleet, room) for room in shown], has_more=start + len(shown) < len(rooms))


async def find_rooms(resources: Resources, caller: Caller, wanted: RoomQuery) -> RoomPage:
    fleet = await fleet_of(resources, caller)
    found = fleet.rooms_like(wanted.query, wanted.limit + 1)
    items = [counted(fleet, room) for room in found[: wanted.limit]]
    return RoomPage(items=items, has_more=len(found) > wanted.limit)


def counted(fleet: Fleet, space: Space) -> Room:
    return room_of(space, fleet.devices_in(space))


async def find_devices(resources: Resources, caller: Caller, wanted: DeviceQuery) -> FoundDevices:
    fleet = await fleet_of(resources, caller)
    found = fleet.devices_in(fleet.room(wanted.room)) if wanted.room else fleet.devices
    found = [device for device in found if fits(device, wanted)]
    if wanted.kind and not any(device.kind.kind == wanted.kind for device in fleet.devices):
        known = sorted({device.kind.kind for device in fleet.devices})
        mistake = {"path": "kind", "message": "No device is of this kind.", "allowed": known}
        raise InvalidInput(f"No device is of this kind. There are: {', '.join(known)}.", [mistake])
    if wanted.query:
        words = words_of(wanted.query)
        exact = [
            device
            for device in found
            if device.id == wanted.query or begun(words, words_of(f"{device.name} {device.path} {device.model}"))
        ]
        found = exact or alike(
            wanted.query, found, lambda device: (device.name, f"{device.name} {device.path}"), wanted.per_page
        )
    start = (wanted.page - 1) * wanted.per_page
    shown = found[start : start + wanted.per_page]
    more = start + len(shown) < len(found)
    return FoundDevices(
        items=[FoundDevice.of(device, explain=wanted.explain) for device in shown],
        page=wanted.page,
        next_page=wanted.page + 1 if more else None,
        has_more=more,
    )


def fits(device: Device, wanted: DeviceQuery) -> bool:
    return (
        (wanted.kind is None or device.kind.kind == wanted.kind)
        and (wanted.model is None or folded(wanted.model) in folded(device.model))
        and (wanted.serial is None or folded(wanted.serial) in folded(device.serial))
        and (wanted.status is None or is_so(device, wanted.status))
    )


def is_so(device: Device, status: str) -> bool:
    if status == "offline":
        return device.away
    return not device.away and status in ("online", device.status)


async def control(resources: Resources, caller: Caller, asked: Control, header: str | None) -> Controlled:
    """Send one command to the one device that is meant, as a task, and wait a while for its end."""
    fleet = await fleet_of(resources, caller)
    device = fleet.one_device(asked.device, fleet.room(asked.room) if asked.room else None)
    command = CommandSubmit.model_validate(
        {
            "device_id": device.id,
            "name": asked.command,
            "extra_params": asked.extra_params,
            "idempotency_key": asked.idempotency_key,
        }
    )
    task = (await tasks.submit(resources, caller, command, header)).task
    tenant, until = await tenant_of(resources, caller), time.monotonic() + asked.wait_seconds
    while not task.final and (left := until - time.monotonic()) > 0:
        task = await tasks.wait_for_change(resources, tenant, task.id, left)
    return Controlled(device=FoundDevice.of(device), task=task.model_dump(mode="json", exclude_none=True))


# ── How a room is ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Look:
    """A room seen now, device by device; `unread` tells what could not be."""

    space: Space
    devices: list[Device]
    incidents: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tickets: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    histories: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    unread: list[str] = field(default_factory=list[str])

    @property
    def notice(self) -> str | None:
        return f"Could not be read: {', '.join(sorted(set(self.unread)))}." if self.unread else None

    @property
    def room(self) -> Room:
        return room_of(self.space, self.devices)


async def look_at(resources: Resources, caller: Caller, room: str) -> Look:
    """Everything about a room that a few calls can tell."""
    fleet = await fleet_of(resources, caller)
    xyte = client_of(resources, caller, "organization")
    space = fleet.room(room)
    look = Look(space, [])
    look.devices, incidents, tickets, histories = await asyncio.gather(
        seen_now(xyte, fleet.devices_in(space), fleet.rules, look.unread),
        rows_of(xyte, look.unread, "incidents", status="active", **{"from": 0, "to": int(time.time()) // 60 * 60 + 60}),
        rows_of(xyte, look.unread, "tickets"),
        first_page(xyte, look.unread, "devices", "histories", space_id=space.id, per_page=100),
    )
    ids = {device.id for device in look.devices}
    look.incidents = [row for row in incidents if row.get("device_id") in ids]
    look.tickets = [row for row in tickets if row.get("device_id") in ids]
    look.histories = histories
    return look


async def seen_now(
    xyte: XyteClient, devices: Sequence[Device], rules: Sequence[Rule], unread: list[str]
) -> list[Device]:
    """The devices with their state; one that cannot be read stays as it was listed."""
    room = asyncio.Semaphore(READ_AT_ONCE)

    async def one(device: Device) -> Device:
        async with room:
            try:
                row: dict[str, Any] = (await xyte.get(dict[str, Any], "devices", device.id)).value
            except XyteRefusedKey:
                raise
            except Problem:
                unread.append("the state of some devices")
                return device
        return Device(row, kind_of(row, rules))

    if len(devices) > STATES_READ:
        unread.append(f"the state of {len(devices) - STATES_READ} devices, for they are too many")
    return [*await asyncio.gather(*map(one, devices[:STATES_READ])), *devices[STATES_READ:]]


async def rows_of(xyte: XyteClient, unread: list[str], *path: str, **query: Any) -> list[dict[str, Any]]:
    """A whole list, or nothing where it cannot be read."""
    try:
        return await xyte.whole(*path, query=query, believed_for_s=JUST_NOW_S)
    except XyteRefusedKey:
        raise
    except Problem:
        unread.append(path[-1])
        return []


async def first_page(xyte: XyteClient, unread: list[str], *path: str, **query: Any) -> list[dict[str, Any]]:
    try:
        page: dict[str, Any] = (await xyte.page(dict[str, Any], *path, query=query)).value
    except XyteRefusedKey:
        raise
    except Problem:
        unread.append(path[-1])
        return []
    return page["items"]


async def status_of(resources: Resources, caller: Caller, room: str) -> RoomStatus:
    look = await look_at(resources, caller, room)
    by_kind: dict[str, list[DeviceInRoom]] = {}
    for device in sorted(look.devices, key=lambda one: (one.kind.kind, one.name)):
        by_kind.setdefault(device.kind.kind, []).append(in_room(device))
    return RoomStatus(
        room=look.room,
        summary=summary_of(look),
        devices=by_kind,
        incidents=[incident_of(row) for row in look.incidents],
        tickets=[
            TicketInRoom(
                id=row.get("id"),
                device_id=row.get("device_id"),
                title=row.get("title"),
                since=row.get("created_at"),
            )
            for row in look.tickets
        ],
        last_activity=max((str(row["created_at"]) for row in look.histories if row.get("created_at")), default=None),
        notice=look.notice,
    )


def in_room(device: Device) -> DeviceInRoom:
    return DeviceInRoom(
        id=device.id,
        name=device.name,
        kind=device.kind.kind,
        status=device.status,
        on=is_on(device),
        last_seen_at=device.last_seen,
        state={name: value for name, value in device.state.items() if name != "status"} or None,
    )


def incident_of(row: dict[str, Any]) -> IncidentInRoom:
    return IncidentInRoom(
        device_id=row.get("device_id"),
        device=row.get("device_name"),
        title=row.get("title"),
        priority=row.get("priority"),
        since=row.get("created_at"),
    )


def is_on(device: Device) -> bool | None:
    """Whether it is on, as far as its state tells; what cannot be reached is not known to be."""
    power = str(device.state.get("power", "")).casefold()
    if device.away or power not in ON | OFF:
        return None
    return power in ON


def summary_of(look: Look) -> str:
    """One sentence, without the cloud's own words."""
    if not look.devices:
        return "There are no devices in this room."
    away = [device for device in look.devices if device.away]
    wrong = [device for device in look.devices if device.status == "error" and not device.away]
    on = sum(is_on(device) is True for device in look.devices)
    parts = [f"{len(look.devices)} devices: {on} on"]
    parts += [f"{len(away)} offline ({kinds_of(away)})"] if away else []
    parts += [f"{len(wrong)} in error ({kinds_of(wrong)})"] if wrong else []
    parts += [f"{len(look.incidents)} open incidents"] if look.incidents else []
    parts += [f"{len(look.tickets)} open tickets"] if look.tickets else []
    return ", ".join(parts) + "."


def kinds_of(devices: Sequence[Device]) -> str:
    return ", ".join(sorted({device.kind.kind.replace("_", " ") for device in devices}))


# ── Kinds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def kinds(resources: Resources, caller: Caller) -> KindTable:
    tenant = await tenant_of(resources, caller)
    async with as_tenant(resources, tenant) as db:
        rules = await repository.rules_of(db, tenant)
    return KindTable(rules=rules, table={kind: list(words) for kind, words in KINDS.items()})


async def replace_kinds(resources: Resources, caller: Caller, rules: Sequence[Rule]) -> KindTable:
    tenant = await tenant_of(resources, caller)
    if not caller.dry_run:
        async with as_tenant(resources, tenant) as db:
            await repository.replace_rules(db, tenant, rules)
    return KindTable(rules=list(rules), table={kind: list(words) for kind, words in KINDS.items()})
