"""Rooms and their devices: find, see, diagnose, control."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import Caller, KeyHeader, Resources
from app.effects import PHYSICAL, READ, UNLISTED, WRITE
from app.rooms import diagnosis, service
from app.rooms.schemas import (
    Complaint,
    Control,
    Controlled,
    DeviceQuery,
    Diagnosis,
    FoundDevices,
    KindRules,
    KindTable,
    RoomFilter,
    RoomPage,
    RoomQuery,
    RoomStatus,
    WhichRoom,
)

router = APIRouter(tags=["Rooms"])


@router.get("/rooms", summary="List rooms", openapi_extra=READ | UNLISTED)
async def list_rooms(resources: Resources, caller: Caller, filters: Annotated[RoomFilter, Query()]) -> RoomPage:
    """Every room with its number of devices, by path. find_rooms is shorter where a name is known."""
    return await service.list_rooms(resources, caller, filters)


@router.get("/rooms/search", summary="Find rooms", openapi_extra=READ)
async def find_rooms(resources: Resources, caller: Caller, wanted: Annotated[RoomQuery, Query()]) -> RoomPage:
    """Rooms by id, path or name; typing errors are forgiven. Best first, with ids and paths."""
    return await service.find_rooms(resources, caller, wanted)


@router.get("/rooms/status", summary="Get a room's status", openapi_extra=READ)
async def get_room_status(resources: Resources, caller: Caller, which: Annotated[WhichRoom, Query()]) -> RoomStatus:
    """A room now: its devices by kind with their state, what is on, offline or in error, incidents, tickets."""
    return await service.status_of(resources, caller, which.room)


@router.get("/rooms/diagnosis", summary="Diagnose a room", openapi_extra=READ)
async def diagnose_av_issue(
    resources: Resources, caller: Caller, complaint: Annotated[Complaint, Query()]
) -> Diagnosis:
    """Why something does not work in a room: facts, likely causes with their evidence, and what to call next."""
    return await diagnosis.diagnose(resources, caller, complaint)


@router.get("/rooms/health", summary="Check a whole room", openapi_extra=READ | UNLISTED)
async def diagnose_room(resources: Resources, caller: Caller, which: Annotated[WhichRoom, Query()]) -> Diagnosis:
    """The same as diagnose_av_issue without a complaint: whatever is wrong in a room."""
    return await diagnosis.diagnose(resources, caller, Complaint(room=which.room))


@router.get("/fleet/devices", summary="Find devices", openapi_extra=READ)
async def find_devices(resources: Resources, caller: Caller, wanted: Annotated[DeviceQuery, Query()]) -> FoundDevices:
    """Devices of the whole fleet by name, kind, model, room, status or serial; at most half a minute old."""
    return await service.find_devices(resources, caller, wanted)


@router.post("/fleet/control", summary="Find and control a device", openapi_extra=PHYSICAL)
async def find_and_control_device(
    resources: Resources, caller: Caller, header: KeyHeader, asked: Control
) -> Controlled:
    """Have the one device act that is meant, such as the projector in a room; if several are, nothing is sent.

    Answers with its task; get_task_status tells the end.
    """
    return await service.control(resources, caller, asked, header)


@router.get("/kinds", summary="List device kinds", openapi_extra=READ | UNLISTED)
async def list_device_kinds(resources: Resources, caller: Caller) -> KindTable:
    """How devices become projectors or displays: the organization's own rules, then the table of words."""
    return await service.kinds(resources, caller)


@router.put("/kinds", summary="Replace device kind rules", openapi_extra=WRITE | UNLISTED)
async def replace_device_kinds(resources: Resources, caller: Caller, asked: KindRules) -> KindTable:
    """Set the organization's own rules, all at once; find_devices with explain shows what they do."""
    return await service.replace_kinds(resources, caller, asked.rules)
