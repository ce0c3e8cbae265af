"""What an organization is, in one answer."""

from app.simulator.calls import Call
from app.simulator.clock import iso
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/info")


@routes.add("GET")
def get_organization_info(call: Call) -> object:
    organization = call.organization
    return {
        "id": organization.id,
        "name": organization.name,
        "created_at": iso(organization.created_at),
        "lab": organization.lab,
        "partner": call.world.partner.name if call.world.partner else None,
        "domain": "https://portal.example.invalid",
        "mobile_domain": "https://mobile.example.invalid",
        "pricing_plan": organization.pricing_plan,
        "contacts": organization.contacts,
        "statistics": {
            "devices": len(organization.devices),
            "users": sum(user.active for user in organization.users.values()),
            "groups": len(organization.groups),
            "spaces": len(organization.spaces),
            "open_tickets": sum(ticket.status == "open" for ticket in organization.tickets.values()),
            "open_incidents": sum(len(device.incidents) for device in organization.devices.values()),
            "pending_invoices": 0,
        },
    }
