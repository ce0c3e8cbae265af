"""What an organization key can do, one module per Xyte resource."""

from app.organization import (
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
    search,
    spaces,
    tickets,
    users,
)

# notes come first: devices/notes and spaces/notes would be taken for a device and a space
routers = (
    notes.router,
    devices.router,
    commands.router,
    spaces.router,
    incidents.router,
    tickets.router,
    models.router,
    edges.router,
    assets.router,
    licenses.router,
    users.router,
    groups.router,
    info.router,
    search.router,
)
