"""Licences of an organization, read only."""

from app.simulator import views
from app.simulator.calls import Call, Refusal, page
from app.simulator.records import License
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/licenses")

STATES = frozenset(("available", "inuse", "remove", "error", "disabled", "renew"))


@routes.add("GET")
def get_licenses(call: Call) -> object:
    partner = {"id": call.world.partner.id, "name": call.world.partner.name} if call.world.partner else {}
    rows = [row for row in call.organization.licenses.values() if _matches(row, call)]
    rows.sort(key=lambda row: (-row.created_at, row.id))
    return page(call, rows, lambda row: views.license_row(row, partner))


def _matches(row: License, call: Call) -> bool:
    return _matches_values(row, call) and _expires_within(
        row, call.moment("expires_after"), call.moment("expires_before")
    )


def _matches_values(row: License, call: Call) -> bool:
    asked: list[tuple[object, object]] = [
        (call.flag("assigned"), row.device is not None or row.bound_device_sn is not None),
        (call.flag("warranty"), row.warranty),
        (call.flag("transferable"), row.transferable),
        (call.text("device_id"), row.device.id if row.device else None),
        (call.text("product_id"), row.product["id"]),
        (call.text("device_model_id"), row.model.id),
        (call.text("bound_device_sn"), row.bound_device_sn),
        (call.text("order_short_id"), row.order_short_id),
    ]
    states = _states(call)
    return (not states or row.state in states) and all(wanted in (None, found) for wanted, found in asked)


def _states(call: Call) -> set[str]:
    """One or many states, as a comma list or as a repeated key."""
    given = [*call.query.get("state[]", []), *call.query.get("state", [])]
    states = {state for value in given for state in value.split(",")}
    if states - STATES:
        raise Refusal(422, "state is not valid")
    return states


def _expires_within(row: License, after: float | None, before: float | None) -> bool:
    """Both ends count; a licence without an end never matches."""
    if after is None and before is None:
        return True
    if row.expires_at is None:
        return False
    return (after is None or row.expires_at >= after) and (before is None or row.expires_at <= before)
