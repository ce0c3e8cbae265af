"""The inventory, and the labels it is sorted by."""

from app.simulator import views
from app.simulator.calls import Call, Refusal, as_integer, known, optional_text, page, required_text
from app.simulator.records import Asset, JsonObject, Label, Organization
from app.simulator.routing import Routes
from app.simulator.world import World

routes = Routes("organization", "/core/v1/organization/assets")

TEXTS = ("serial_number", "purchased_at", "comments", "icon_name")


@routes.add("GET")
def get_assets(call: Call) -> object:
    name, serial, space_id = call.text("name"), call.text("serial_number"), call.integer("space_id")
    rows = (
        row
        for row in call.organization.assets.values()
        if (name is None or name.casefold() in row.name.casefold())
        and (serial is None or row.serial_number == serial)
        and (space_id is None or row.space_id == space_id)
    )
    return page(call, rows, views.asset)


@routes.add("GET", "/labels/{category}")
def get_asset_labels(call: Call) -> object:
    if call.path["category"] not in views.LABEL_CATEGORIES:
        raise Refusal(422, "Category is not valid")
    labels = call.organization.labels.get(call.path["category"], {})
    return {"items": [{"id": entry.id, "name": entry.name} for entry in labels.values()]}


@routes.add("GET", "/{asset_id}")
def get_asset(call: Call) -> object:
    return views.asset(known(call.organization.assets, call.path["asset_id"]))


@routes.add("POST", status=201)
def create_asset(call: Call) -> object:
    body = call.json()
    name = required_text(body, "name")
    now = call.world.now()
    asset = Asset(call.world.new_id("asset"), name, now, now)
    _fill(call.world, call.organization, asset, body)
    call.organization.assets[asset.id] = asset
    return views.asset(asset)


@routes.add("PUT", "/{asset_id}")
def update_asset(call: Call) -> object:
    asset = known(call.organization.assets, call.path["asset_id"])
    body = call.json()
    asset.name = optional_text(body, "name") or asset.name
    _fill(call.world, call.organization, asset, body)
    asset.updated_at = call.world.now()
    return views.asset(asset)


@routes.add("DELETE", "/{asset_id}", status=204)
def delete_asset(call: Call) -> object:
    asset = known(call.organization.assets, call.path["asset_id"])
    del call.organization.assets[asset.id]
    return None


def _fill(world: World, organization: Organization, asset: Asset, body: JsonObject) -> None:
    """Only what was sent changes."""
    labels = {
        category: _label(world, organization, category, body[category])
        for category in views.LABEL_CATEGORIES
        if body.get(category) is not None
    }
    if body.get("space_id") is not None:
        space_id = as_integer(body["space_id"], "space_id")
        if space_id not in organization.spaces:
            raise Refusal(422, "Space not found")
        asset.space_id = space_id
    for name in TEXTS:
        setattr(asset, name, optional_text(body, name, getattr(asset, name)))
    asset.labels |= labels


def _label(world: World, organization: Organization, category: str, value: object) -> Label:
    """The label of this id or name; an unknown name makes a new one, as it does live."""
    labels = organization.labels.setdefault(category, {})
    if isinstance(value, str) and value:
        found = next((entry for entry in labels.values() if entry.name == value), None)
        return found or labels.setdefault(entry_id := world.new_id("label"), Label(entry_id, value))
    match value:
        case {"id": str(label_id)} if label_id in labels:
            return labels[label_id]
        case _:
            raise Refusal(422, f"{category} is not valid")
