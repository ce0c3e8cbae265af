"""What a device's own key can do, one module per group of the Device API; not offered over MCP unless asked for."""

from fastapi import APIRouter

from app.device import (
    commands,
    configuration,
    dumps,
    events,
    files,
    incidents,
    info,
    licenses,
    registration,
    telemetries,
)

router = APIRouter(tags=["Device API"])
for resource in (
    registration,
    telemetries,
    info,
    commands,
    configuration,
    incidents,
    events,
    licenses,
    files,
    dumps,
):
    router.include_router(resource.router, prefix="/device")
