"""Notes on devices and on spaces."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import DESTRUCTIVE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.devices import DeviceId
from app.xyte.schemas.notes import Note, NoteCreate, NoteId
from app.xyte.schemas.shapes import Page, Paging, Success
from app.xyte.schemas.spaces import SpaceId

router = APIRouter(tags=["Notes"])

Pages = Annotated[Paging, Query()]


@router.get("/devices/notes", summary="List notes of all devices", openapi_extra=READ)
async def list_all_device_notes(xyte: OrganizationApi, paging: Pages) -> Answer[Page[Note]]:
    """What people wrote about any device; for one device use list_device_notes."""
    return await xyte.page(Note, "devices", "notes", query=paging)


@router.get("/devices/{device_id}/notes", summary="List notes of a device", openapi_extra=READ)
async def list_device_notes(xyte: OrganizationApi, device_id: DeviceId, paging: Pages) -> Answer[Page[Note]]:
    """What people wrote about a device."""
    return await xyte.page(Note, "devices", device_id, "notes", query=paging)


@router.post("/devices/{device_id}/notes", summary="Add a note to a device", openapi_extra=WRITE)
async def create_device_note(xyte: OrganizationApi, device_id: DeviceId, note: NoteCreate) -> Answer[Note]:
    """Write a note about a device. Notes cannot be changed, only deleted."""
    return await xyte.post(Note, "devices", device_id, "notes", body=note)


@router.delete("/devices/{device_id}/notes/{note_id}", summary="Delete a device's note", openapi_extra=DESTRUCTIVE)
async def delete_device_note(xyte: OrganizationApi, device_id: DeviceId, note_id: NoteId) -> Answer[Success]:
    """Remove a note of list_device_notes. Cannot be undone."""
    return await xyte.delete(Success, "devices", device_id, "notes", note_id)


@router.get("/spaces/notes", summary="List notes of all spaces", openapi_extra=READ)
async def list_all_space_notes(xyte: OrganizationApi, paging: Pages) -> Answer[Page[Note]]:
    """What people wrote about any space; for one space use list_space_notes."""
    return await xyte.page(Note, "spaces", "notes", query=paging)


@router.get("/spaces/{space_id}/notes", summary="List notes of a space", openapi_extra=READ)
async def list_space_notes(xyte: OrganizationApi, space_id: SpaceId, paging: Pages) -> Answer[Page[Note]]:
    """What people wrote about a space."""
    return await xyte.page(Note, "spaces", space_id, "notes", query=paging)


@router.post("/spaces/{space_id}/notes", summary="Add a note to a space", openapi_extra=WRITE)
async def create_space_note(xyte: OrganizationApi, space_id: SpaceId, note: NoteCreate) -> Answer[Note]:
    """Write a note about a space. Notes cannot be changed, only deleted."""
    return await xyte.post(Note, "spaces", space_id, "notes", body=note)


@router.delete("/spaces/{space_id}/notes/{note_id}", summary="Delete a space's note", openapi_extra=DESTRUCTIVE)
async def delete_space_note(xyte: OrganizationApi, space_id: SpaceId, note_id: NoteId) -> Answer[Success]:
    """Remove a note of list_space_notes. Cannot be undone."""
    return await xyte.delete(Success, "spaces", space_id, "notes", note_id)
