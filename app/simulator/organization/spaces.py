"""The tree of an organization's places."""

from app.simulator import views
from app.simulator.calls import (
    NOT_FOUND,
    SUCCESS,
    Call,
    Refusal,
    as_integer,
    optional_object,
    optional_text,
    page,
    required_text,
)
from app.simulator.records import Organization, Space
from app.simulator.routing import Routes

routes = Routes("organization", "/core/v1/organization/spaces")


@routes.add("GET")
def get_spaces(call: Call) -> object:
    space_id, parent_id = call.integer("id"), call.integer("parent_id")
    name, space_type, part = call.text("name"), call.text("space_type"), call.text("path_includes")
    before, after = call.moment("created_before"), call.moment("created_after")
    rows = (
        space
        for space in call.organization.spaces.values()
        if (space_id is None or space.id == space_id)
        and (parent_id is None or (space.parent is not None and space.parent.id == parent_id))
        and (name is None or space.name == name)
        and (space_type is None or space.space_type == space_type)
        and (part is None or part.casefold() in space.full_path.casefold())
        and (before is None or space.created_at <= before)
        and (after is None or space.created_at >= after)
    )
    return page(call, rows, views.space)


@routes.add("POST", "/find_or_create")
def find_or_create_space(call: Call) -> object:
    body = call.json()
    space = _parent(call.organization, body.get("parent_id"))
    config = optional_object(body, "config") or {}
    names = [part.strip() for part in required_text(body, "name").split("/") if part.strip()]
    found = True
    for name in names:
        child = _child(space, name)
        found = child is not None
        space = child or call.world.add_space(call.organization, name, space, "space", call.world.now())
    if not found:
        space.config = config
    return views.space(space) | {"found": found}


@routes.add("GET", "/{space_id}")
def get_space(call: Call) -> object:
    return views.space(space_in_path(call))


@routes.add("POST")
def create_space(call: Call) -> object:
    body = call.json()
    name = required_text(body, "name")
    parent = _parent(call.organization, body.get("parent_id"))
    config = optional_object(body, "config") or {}
    _check_name(parent, name, None)
    space = call.world.add_space(call.organization, name, parent, "space", call.world.now())
    space.config = config
    return views.space(space)


@routes.add("PATCH", "/{space_id}")
@routes.add("PUT", "/{space_id}")
def update_space(call: Call) -> object:
    space = space_in_path(call)
    body = call.json()
    name = optional_text(body, "name") or space.name
    config = optional_object(body, "config")
    parent = space.parent if body.get("parent_id") is None else _parent(call.organization, body["parent_id"])
    if parent is not None:
        if parent.within(space):
            raise Refusal(422, "A space cannot be inside itself")
        _check_name(parent, name, space)
        _move(space, parent)
    space.name = name
    space.config |= config or {}
    space.version += 1
    return views.space(space)


@routes.add("DELETE", "/{space_id}")
def delete_space(call: Call) -> object:
    space = space_in_path(call)
    occupied = any(device.space is space for device in call.organization.devices.values())
    if space.parent is None or space.children or occupied:
        raise Refusal(422, "Only an empty space can be deleted")
    del space.parent.children[space.id]
    del call.organization.spaces[space.id]
    return SUCCESS


def space_in_path(call: Call) -> Space:
    """The space of this id in the caller's tenant."""
    text = call.path["space_id"]
    space = call.organization.spaces.get(int(text)) if text.isdecimal() and len(text) < 16 else None
    if space is None:
        raise Refusal(404, NOT_FOUND)
    return space


def _parent(organization: Organization, value: object) -> Space:
    if value is None:
        return organization.root
    if (space := organization.spaces.get(as_integer(value, "parent_id"))) is None:
        raise Refusal(422, "Parent not found")
    return space


def _child(parent: Space, name: str) -> Space | None:
    return next((child for child in parent.children.values() if child.name == name), None)


def _check_name(parent: Space, name: str, space: Space | None) -> None:
    if _child(parent, name) not in (None, space):
        raise Refusal(422, "Name has already been taken")


def _move(space: Space, parent: Space) -> None:
    (space.parent or parent).children.pop(space.id, None)
    space.parent = parent
    parent.children[space.id] = space
