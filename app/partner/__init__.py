"""What a partner (vendor) key can do, one module per Xyte resource."""

from app.partner import devices, organizations, tickets

routers = (
    devices.router,
    tickets.router,
    organizations.router,
)
