"""Incidents of an organization's devices."""

from app.simulator import views
from app.simulator.calls import SUCCESS, Call, known, page
from app.simulator.organization.devices import space_filter
from app.simulator.records import PRIORITIES, Incident
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/incidents")

WEEK_SECONDS = 7 * 86400


@routes.add("GET")
def get_incidents(call: Call) -> object:
    start, end = call.integer("from"), call.integer("to")
    last = call.world.now() if end is None else call.world.clock.until(end)
    first = last - WEEK_SECONDS if start is None else start
    found = [row for row in _wanted(call) if first <= row.created_at <= last]
    found.sort(key=lambda row: (-row.created_at, row.id))
    return page(call, found, views.incident, most=500)


@routes.add("DELETE", "/{id}")
def delete_incident(call: Call) -> object:
    call.world.close_incident(known(call.organization.incidents, call.path["id"]))
    return SUCCESS


def _wanted(call: Call) -> list[Incident]:
    space = space_filter(call)
    exact = {
        "status": call.choice("status", ("active", "closed")),
        "priority": call.choice("priority", PRIORITIES),
        "issue": call.text("issue"),
        "device_model": call.text("device_model"),
        "device_sub_model": call.text("sub_model"),
        "partner_name": call.text("partner_name"),
    }
    parts = {"title": call.text("title"), "description": call.text("description")}
    return [
        row
        for row in call.organization.incidents.values()
        if (space is None or (row.device.space is not None and row.device.space.within(space)))
        and _matches(row, {name: value for name, value in exact.items() if value is not None}, parts)
    ]


def _matches(row: Incident, exact: dict[str, str], parts: dict[str, str | None]) -> bool:
    shown = views.incident(row)
    return all(shown[name] == value for name, value in exact.items()) and all(
        part is None or part.casefold() in (shown[name] or "").casefold() for name, part in parts.items()
    )
