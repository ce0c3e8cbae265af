"""A device hands in diagnostic files."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from app.dependencies import DeviceApi
from app.effects import DEVICE, WRITE
from app.xyte.client import Answer, MimeType
from app.xyte.schemas.device_api import MIME_TYPE, Dump, DumpLength, DumpStored, FileName, OwnId
from app.xyte.schemas.shapes import Identifier

router = APIRouter()

DumpId = Annotated[Identifier, Field(description="As answered by device_send_dump.")]
MimeTypeText = Annotated[
    str, Path(pattern=MIME_TYPE, description="text/plain or text%2Fplain in the path.", examples=["text/plain"])
]


@router.post("/{device_id}/dumps/{mime_type:path}/{filename}", summary="Send a dump", openapi_extra=WRITE | DEVICE)
async def device_send_dump(
    xyte: DeviceApi, device_id: OwnId, mime_type: MimeTypeText, filename: FileName, dump: Dump
) -> Answer[DumpStored]:
    """Upload a diagnostic file; longer ones go on with device_append_dump and the id of the answer."""
    return await xyte.post(DumpStored, device_id, "dumps", MimeType(mime_type), filename, body=dump.to_xyte())


@router.put("/{device_id}/dumps/{dump_id}", summary="Append to a dump", openapi_extra=WRITE | DEVICE)
async def device_append_dump(xyte: DeviceApi, device_id: OwnId, dump_id: DumpId, dump: Dump) -> Answer[DumpLength]:
    """Add the next part to a file of device_send_dump."""
    return await xyte.put(DumpLength, device_id, "dumps", dump_id, body=dump.to_xyte())
