"""Files that a model has for its devices, such as firmware."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.dependencies import DeviceApi
from app.effects import DEVICE, READ
from app.xyte.client import Answer
from app.xyte.schemas.device_api import DeviceFile, OwnId
from app.xyte.schemas.shapes import Identifier, Page

router = APIRouter()

FileId = Annotated[Identifier, Field(description="From device_list_files.")]


@router.get("/{device_id}/files", summary="List files", openapi_extra=READ | DEVICE)
async def device_list_files(xyte: DeviceApi, device_id: OwnId) -> Answer[Page[DeviceFile]]:
    """Files of the device's model, each with the address to download it from."""
    return await xyte.page(DeviceFile, device_id, "files")


@router.get("/{device_id}/files/{file_id}", summary="Get a file", openapi_extra=READ | DEVICE)
async def device_get_file(xyte: DeviceApi, device_id: OwnId, file_id: FileId) -> Answer[DeviceFile]:
    """One file's record; the file itself is at its url."""
    return await xyte.get(DeviceFile, device_id, "files", file_id)
