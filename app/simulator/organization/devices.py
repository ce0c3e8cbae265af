"""Devices of an organization: read, claimed, changed, moved, merged and removed."""

from app.simulator import histories, views
from app.simulator.calls import (
    SUCCESS,
    Call,
    Refusal,
    as_integer,
    known,
    optional_object,
    optional_text,
    page,
    text_list,
)
from app.simulator.records import Device, JsonObject, Organization, Space
from app.simulator.routing import Routes
from app.simulator.world import World, leave_group

routes = Routes("organization", "/core/v1/organization/devices")

LONGEST_WINDOW_SECONDS = 31 * 86400
DEVICE_STATUSES = ("online", "offline", "unavailable", "error")
LARGEST_GROUP = 4


@routes.add("GET")
def get_devices(call: Call) -> object:
    rows = call.organization.devices.values()
    space = space_filter(call)
    if space is not None:
        rows = [device for device in rows if device.space is not None and device.space.within(space)]
    return page(call, rows, views.device_row)


@routes.add("GET", "/histories")
def get_histories(call: Call) -> object:
    end = call.integer("to")
    last = call.world.now() if end is None else call.world.clock.until(end)
    start = call.integer("from")
    first = (last if end is None else end) - 7 * 86400 if start is None else start
    if (last if end is None else end) - first > LONGEST_WINDOW_SECONDS + 60:
        raise Refusal(422, "The time range is limited to 31 days")
    rows = histories.rows(call.world, _devices_wanted(call), first, last)
    return page(
        call,
        rows,
        lambda row: views.history_row(call.world.id_of(f"{row[1].id}/{row[0]}"), *row),
        most=1000,
    )


@routes.add("POST", "/claim")
def claim_device(call: Call) -> object:
    body = call.json()
    space = space_of(call.organization, body.get("space_id"))
    name = optional_text(body, "name")
    device = _claimable(call.world, body)
    call.world.claim(device, call.organization, space, name)
    call.world.notify("claimed_device", device)
    return views.device_whole(device)


@routes.add("GET", "/{device_id}")
def get_device(call: Call) -> object:
    return views.device_whole(known(call.organization.devices, call.path["device_id"]))


@routes.add("PATCH", "/{device_id}")
def update_device(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    body = call.json()
    configuration = optional_object(body, "configuration")
    parameters = optional_object(body, "custom_parameters")
    for field, attribute in (("name", "name"), ("sub_model", "sub_model"), ("sn", "sn"), ("mac", "mac")):
        setattr(device, attribute, optional_text(body, field, getattr(device, attribute)))
    if parameters is not None:
        _replace_parameters(device, parameters)
    if (address := optional_text(body, "device_host_address")) is not None:
        device.host_address = address
    if configuration is not None:
        device.config = configuration
        device.config_version += 1
        device.config_updated_at = call.world.now()
    device.info_version += 1
    return views.device_whole(device)


@routes.add("DELETE", "/{device_id}")
def delete_device(call: Call) -> object:
    call.world.forget(known(call.organization.devices, call.path["device_id"]))
    return SUCCESS


@routes.add("POST", "/{device_id}/move")
def move_device(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    space = space_of(call.organization, call.json().get("space_id"))
    if _customer(device.space) is not _customer(space):
        raise Refusal(422, "Devices cannot be moved between customers")
    device.space = space
    space.version += 1
    return views.device_whole(device)


@routes.add("POST", "/{device_id}/merge")
def merge_device(call: Call) -> object:
    primary = known(call.organization.devices, call.path["device_id"])
    shadows = [known(call.organization.devices, one) for one in text_list(call.json(), "with_device_ids")]
    if not shadows or primary.primary is not None or any(one is primary or one.shadows for one in shadows):
        raise Refusal(422, "These devices cannot be merged")
    if len(primary.shadows.keys() | {one.id for one in shadows}) >= LARGEST_GROUP:
        raise Refusal(422, "A group holds at most 4 devices")
    for shadow in shadows:
        leave_group(shadow)
        shadow.primary = primary
        primary.shadows[shadow.id] = shadow
    return views.device_whole(primary)


@routes.add("POST", "/{device_id}/split")
def split_device(call: Call) -> object:
    primary = known(call.organization.devices, call.path["device_id"])
    shadow = primary.shadows.get(str(call.json().get("shadow_device_id")))
    if shadow is None:
        raise Refusal(422, "This device is not in the group")
    leave_group(shadow)
    return views.device_whole(primary)


@routes.add("POST", "/{device_id}/suspend_incidents")
def suspend_incidents(call: Call) -> object:
    known(call.organization.devices, call.path["device_id"]).incidents_suspended = True
    return SUCCESS


@routes.add("POST", "/{device_id}/resume_incidents")
def resume_incidents(call: Call) -> object:
    known(call.organization.devices, call.path["device_id"]).incidents_suspended = False
    return SUCCESS


def space_of(organization: Organization, value: object) -> Space:
    """The space that a body names."""
    if value is None:
        raise Refusal(422, "Space can't be blank")
    space = organization.spaces.get(as_integer(value, "space_id"))
    if space is None:
        raise Refusal(422, "Space not found")
    return space


def space_filter(call: Call) -> Space | None:
    """The space of the query; spaces below it count as well."""
    space_id = call.integer("space_id")
    if space_id is None:
        return None
    if (space := call.organization.spaces.get(space_id)) is None:
        raise Refusal(422, "Space not found")
    return space


def _devices_wanted(call: Call) -> list[Device]:
    status, device_id = call.choice("status", DEVICE_STATUSES), call.text("device_id")
    space, name = space_filter(call), call.text("name")
    return [
        device
        for device in call.organization.devices.values()
        if (status is None or device.status == status)
        and (device_id is None or device.id == device_id)
        and (space is None or (device.space is not None and device.space.within(space)))
        and (name is None or name.casefold() in device.name.casefold())
    ]


def _claimable(world: World, body: JsonObject) -> Device:
    """The registered device of this cloud id, or of this address and serial number together."""
    cloud_id, mac, sn = (optional_text(body, name) for name in ("cloud_id", "mac", "sn"))
    if cloud_id is not None:
        device = world.taken_cloud_ids.get(cloud_id)
    elif mac is not None and sn is not None:
        device = next((one for one in world.devices.values() if one.sn == sn and one.mac == mac.lower()), None)
    else:
        raise Refusal(422, "Either cloud_id or mac and sn are required")
    if device is None or device.parent is not None:
        raise Refusal(422, "Device not found")
    if device.organization is not None:
        raise Refusal(422, "Device has already been claimed")
    return device


def _replace_parameters(device: Device, parameters: JsonObject) -> None:
    if not device.edge_claimed:
        raise Refusal(422, "Custom parameters are for edge devices only")
    names = {parameter["name"] for parameter in device.model.parameters}
    if unknown := parameters.keys() - names:
        raise Refusal(422, f"Unknown parameter {min(unknown)}")
    device.custom_parameters = parameters


def _customer(space: Space | None) -> Space | None:
    """The customer that a space belongs to."""
    while space is not None and space.space_type != "customer":
        space = space.parent
    return space
