"""What a device's own key can do, one module per group of the Device API; not offered over MCP unless asked for."""

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

routers = (
    registration.router,
    telemetries.router,
    info.router,
    commands.router,
    configuration.router,
    incidents.router,
    events.router,
    licenses.router,
    files.router,
    dumps.router,
)
