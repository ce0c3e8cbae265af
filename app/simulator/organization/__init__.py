"""What an organization key can do in the simulated cloud: one module per resource."""

from app.simulator.organization import (
    assets,
    commands,
    devices,
    edges,
    groups,
    incidents,
    info,
    licenses,
    models,
    notes,
    spaces,
    tickets,
    users,
)

ROUTES = (
    assets.routes,
    commands.routes,
    devices.routes,
    edges.routes,
    groups.routes,
    incidents.routes,
    info.routes,
    licenses.routes,
    models.routes,
    notes.routes,
    spaces.routes,
    tickets.routes,
    users.routes,
)

__all__ = ["ROUTES"]
