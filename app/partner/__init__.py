"""What a partner (vendor) key can do, one module per Xyte resource."""

from fastapi import APIRouter

from app.partner import devices, organizations, tickets

router = APIRouter()
for resource in (devices, tickets, organizations):
    router.include_router(resource.router)
