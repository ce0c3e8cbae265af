"""What an organization key can do, one module per Xyte resource."""

from fastapi import APIRouter

from app.organization import commands, devices, info

router = APIRouter()
for resource in (devices, commands, info):
    router.include_router(resource.router)
