"""What an organization key can do, one module per Xyte resource."""

from fastapi import APIRouter

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

router = APIRouter()
# notes come first: devices/notes and spaces/notes would be taken for a device and a space
for resource in (
    notes,
    devices,
    commands,
    spaces,
    incidents,
    tickets,
    models,
    edges,
    assets,
    licenses,
    users,
    groups,
    info,
    search,
):
    router.include_router(resource.router)
