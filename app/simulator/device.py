"""What a device can do in the simulated cloud with its own key, from registration to the last dump."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

from app.simulator import views
from app.simulator.calls import (
    NOT_AUTHORIZED,
    SUCCESS,
    Call,
    Refusal,
    as_integer,
    optional_object,
    optional_text,
    required_text,
)
from app.simulator.clock import iso
from app.simulator.records import PRIORITIES, Device, Incident, JsonObject, License, Model
from app.simulator.routing import Routes
from app.simulator.world import World

routes = Routes("device", "/v1/devices")

REPORTED_STATUSES = ("online", "offline", "error")
UPDATABLE = frozenset(("firmware_version", "name", "sub_model", "details", "space_version", "config_version"))
HOUR_SECONDS = 3600.0
LARGEST_BULK = 25
LARGEST_MASS = 100


# Registration


@routes.add("POST", scope="none", status=201)
def register_device(call: Call) -> object:
    return _register(call, call.json())


@routes.add("POST", "/bulk_create", scope="none", status=201)
def bulk_register_device(call: Call) -> object:
    entries = call.any_json()
    if not isinstance(entries, list) or len(cast(list[Any], entries)) > LARGEST_BULK:
        raise Refusal(422, f"A list of at most {LARGEST_BULK} devices is required")
    return [_try_register(call, entry) for entry in cast(list[Any], entries)]


@routes.add("GET", "/{device_id}/children")
def get_child_devices(call: Call) -> object:
    return [views.child_device(child) for child in call.device.children.values()]


@routes.add("POST", "/{device_id}/children", status=201)
def register_child_device(call: Call) -> object:
    body = call.json()
    model = call.world.models.get(str(body.get("model_id")))
    if model is None:
        raise Refusal(404, "Model not found")
    sn = optional_text(body, "sn") or call.world.new_id("serial")
    child = _new_device(call.world, model, sn, body, None)
    _adopt(call.world, call.device, child)
    return {"id": child.id, "access_key": child.access_key}


@routes.add("DELETE", "/{device_id}")
def delete_device(call: Call) -> object:
    call.world.forget(call.device)
    return SUCCESS


def _try_register(call: Call, entry: object) -> JsonObject:
    """One element of many: its refusal is its answer."""
    try:
        return _register(call, cast(JsonObject, entry) if isinstance(entry, dict) else {})
    except Refusal as refusal:
        return refusal.body


def _register(call: Call, body: JsonObject) -> JsonObject:
    model = call.world.models_by_hardware_key.get(str(body.get("hardware_key")))
    if model is None:
        raise Refusal(400, "Hardware key is invalid")
    cloud_id = _identity(call.world, model, body)
    parent_id = optional_text(body, "parent_id")
    if parent_id is not None and parent_id not in call.world.devices:
        raise Refusal(422, "Parent not found")
    device = _new_device(call.world, model, body["sn"], body, cloud_id)
    if parent_id is not None:
        _adopt(call.world, call.world.devices[parent_id], device)
    call.world.notify("registered_device", device)
    return {"id": device.id, "access_key": device.access_key} | _hubs(call)


def _identity(world: World, model: Model, body: JsonObject) -> str | None:
    """The cloud id, if any; what the model is known by has to be there and to be free."""
    required_text(body, "firmware_version")
    sn, cloud_id = required_text(body, "sn"), optional_text(body, "cloud_id")
    if model.authentication == "mac" and not body.get("mac"):
        raise Refusal(422, "Mac can't be blank")
    if model.authentication == "cloud_id" and not cloud_id:
        raise Refusal(422, "Cloud id can't be blank")
    if cloud_id in world.taken_cloud_ids:
        raise Refusal(422, "Cloud id has already been taken")
    if (model.id, sn) in world.taken_serials:
        raise Refusal(422, "Sn has already been taken")
    return cloud_id


def _new_device(world: World, model: Model, sn: str, body: JsonObject, cloud_id: str | None) -> Device:
    firmware_version, mac = required_text(body, "firmware_version"), optional_text(body, "mac")
    name, sub_model = optional_text(body, "name"), optional_text(body, "sub_model")
    details = optional_object(body, "details")
    device = world.register(
        model, sn, name=name, firmware_version=firmware_version, mac=mac.lower() if mac else None, cloud_id=cloud_id
    )
    device.sub_model, device.details = sub_model, details
    device.host_address = optional_text(body, "host_address")
    return device


def _adopt(world: World, parent: Device, child: Device) -> None:
    child.parent = parent
    parent.children[child.id] = child
    if parent.organization is not None and parent.space is not None:
        world.claim(child, parent.organization, parent.space)


def _hubs(call: Call) -> JsonObject:
    """All addresses lead back here; there is no MQTT."""
    hub = call.world.settings.public_url or call.base_url
    return {"hub_url": hub, "hub_url_static_cert": hub, "mqtt_hub_url": "mqtt://mqtt.example.invalid:15582"}


# Telemetry


@routes.add("POST", "/{device_id}/telemetry", status=201)
def send_telemetry(call: Call) -> object:
    return _take_telemetry(call.world, call.device, call.json())


@routes.add("POST", "/{device_id}/children/telemetries", status=201)
def send_child_telemetry(call: Call) -> object:
    answers: JsonObject = {}
    for child_id, message in call.json().items():
        child = call.device.children.get(child_id)
        answers[child_id] = {"error": NOT_AUTHORIZED} if child is None else _try_telemetry(call.world, child, message)
    if any("error" in answer for answer in answers.values()):
        raise Refusal(422, answers)
    return answers


@routes.add("POST", "/telemetries", scope="none")
def send_mass_telemetry(call: Call) -> object:
    messages = call.json()
    if len(messages) > LARGEST_MASS:
        raise Refusal(422, f"At most {LARGEST_MASS} devices in one call")
    return {device_id: _mass_telemetry(call.world, device_id, message) for device_id, message in messages.items()}


def _mass_telemetry(world: World, device_id: str, message: object) -> JsonObject:
    device = world.devices.get(device_id)
    fields = cast(JsonObject, message) if isinstance(message, dict) else {}
    if device is None or fields.get("access_token") != device.access_key:
        return {"error": "Invalid access token"}
    return _try_telemetry(world, device, fields)


def _try_telemetry(world: World, device: Device, message: object) -> JsonObject:
    """One message of many may leave out its values."""
    fields: JsonObject = {"telemetries": {}}
    if isinstance(message, dict):
        fields |= cast(JsonObject, message)
    try:
        return _take_telemetry(world, device, fields)
    except Refusal as refusal:
        return refusal.body


def _take_telemetry(world: World, device: Device, message: JsonObject) -> JsonObject:
    status = message.get("status", "online")
    if status not in REPORTED_STATUSES:
        raise Refusal(422, "Status is invalid")
    if (values := optional_object(message, "telemetries")) is None:
        raise Refusal(422, "Missing 'telemetries' object")
    for name, value in values.items():
        if not isinstance(value, str | int | float | None):
            raise Refusal(422, f"Common telemetries.{name} must be string, number or boolean")
    measured = _moment(message.get("timestamp"), world.now())
    world.hear(device)
    world.merge_state(device, status, values, override=message.get("override") is True)
    device.telemetries.append((world.now(), measured, values | {"status": status}))
    return _telemetry_answer(device)


def _telemetry_answer(device: Device) -> JsonObject:
    newest = max(device.model.files, key=lambda file: file["version"], default=None)
    return {
        "config_version": device.config_version,
        "command": bool(device.queue),
        "info_version": device.info_version,
        "new_licenses": bool(_licenses(device)),
        "latest_fw_version": newest["version"] if newest else None,
        "latest_fw_file_id": newest["id"] if newest else None,
        "space_data_version": device.space_version,
        "success": True,
    }


def _moment(value: object, default: float) -> float:
    try:
        return default if value is None else datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise Refusal(422, "Timestamp is invalid") from None


# Commands


@routes.add("GET", "/{device_id}/command")
def get_command(call: Call) -> object:
    return views.device_command(call.device.queue[0]) if call.device.queue else {}


@routes.add("GET", "/{device_id}/command/pending_commands")
def get_commands_with_children(call: Call) -> object:
    family = (call.device, *call.device.children.values())
    return [views.device_command(command) for device in family for command in device.queue]


@routes.add("POST", "/{device_id}/command")
def update_command(call: Call) -> object:
    body = call.json()
    command = call.world.commands.get(str(body.get("id")))
    family = (call.device, *call.device.children.values())
    if command is None or command.device not in family or not command.open:
        raise Refusal(404, "no command")
    message = optional_text(body, "message")
    status = body.get("status", "done")
    if status not in ("in_progress", "done", "failed"):
        raise Refusal(422, "invalid status: done/in-progress/failed")
    call.world.move(command, status, message)
    return SUCCESS


# Configuration and info


@routes.add("GET", "/{device_id}/config")
def get_config(call: Call) -> object:
    device = call.device
    return {
        "name": device.name,
        "version": device.config_version,
        "last_updated": iso(device.config_updated_at),
        "config": device.config,
        "device_id": device.id,
    }


@routes.add("POST", "/{device_id}/config")
def set_config(call: Call) -> object:
    device, body = call.device, call.json()
    if body.get("version") is not None and as_integer(body["version"], "version") < device.config_version:
        raise Refusal(422, f"Error setting config with old version, latest is {device.config_version}")
    whole = isinstance(body.get("config"), dict)
    device.config = body["config"] if whole else {name: body[name] for name in body if name != "version"}
    device.config_version += 1
    device.config_updated_at = call.world.now()
    return SUCCESS | {"version": device.config_version}


@routes.add("GET", "/{device_id}")
def get_device_info(call: Call) -> object:
    return views.device_self(call.device)


@routes.add("PUT", "/{device_id}")
def update_device(call: Call) -> object:
    device, body = call.device, call.json()
    if unknown := body.keys() - UPDATABLE:
        raise Refusal(400, f"Unknown parameter {min(unknown)}")
    _count_update(call.world, device)
    device.name = optional_text(body, "name") or device.name
    device.firmware_version = optional_text(body, "firmware_version") or device.firmware_version
    device.sub_model = optional_text(body, "sub_model", device.sub_model)
    details = optional_object(body, "details")
    device.details = device.details if details is None else details
    if "config_version" in body:
        device.applied_config_version = as_integer(body["config_version"], "config_version")
    return views.device_self(device)


@routes.add("PUT", "/{device_id}/cloud_settings")
def set_cloud_settings(call: Call) -> object:
    body = call.json()
    changes = {str(body["property"]): body.get("value")} if "property" in body else body
    if not changes:
        raise Refusal(422, "Property can't be blank")
    if "incidents.suspend_creation" in changes:
        call.device.incidents_suspended = changes["incidents.suspend_creation"] in (True, "true")
    return SUCCESS


@routes.add("GET", "/{device_id}/space")
def get_space_info(call: Call) -> object:
    return _space(call.world, call.device)


@routes.add("PUT", "/{device_id}/space/move")
def space_move(call: Call) -> object:
    device, target = call.device, call.json().get("target")
    if device.space is None:
        raise Refusal(422, "Device not in space")
    if target == "follow_parent" and device.parent is not None:
        device.space = device.parent.space
    elif target == "unsorted":
        root = device.space.organization.root
        unsorted = next((space for space in root.children.values() if space.name == "Unsorted"), None)
        device.space = unsorted or call.world.add_space(root.organization, "Unsorted", root, "space", call.world.now())
    else:
        raise Refusal(422, "Target is invalid")
    return _space(call.world, device)


def _count_update(world: World, device: Device) -> None:
    """Update Device has a limit of its own."""
    now, limit = world.now(), world.settings.update_device_limit
    while device.updates and device.updates[0] <= now - HOUR_SECONDS:
        device.updates.popleft()
    if limit and len(device.updates) >= limit:
        raise Refusal(429, "Too many updates")
    device.updates.append(now)


def _space(world: World, device: Device) -> JsonObject:
    space = device.space
    if space is None:
        raise Refusal(422, "Device not in space")
    place: JsonObject | None = None
    above = space
    while place is None and above is not None:
        place = above.config.get("location")
        above = above.parent
    offset = (place or {}).get("utc_offset", 0)
    local = datetime.fromtimestamp(world.now(), UTC).astimezone(timezone(timedelta(minutes=offset)))
    return {
        "location": place
        and {"coordinates": place.get("location"), "utc_offset": offset, "name": place.get("description")},
        "temperature_units": space.config.get("temperature_units", "celsius"),
        "maintenance": False,
        "name": space.name,
        "local_time": local.isoformat(timespec="seconds"),
        "device_id": device.id,
    }


# Incidents and events


@routes.add("GET", "/{device_id}/incidents")
def get_incidents(call: Call) -> object:
    return [views.device_incident(incident) for incident in call.device.incidents.values()]


@routes.add("POST", "/{device_id}/incidents")
def open_incident(call: Call) -> object:
    body = call.json()
    title, description = required_text(body, "title"), optional_text(body, "description")
    priority = as_integer(body.get("priority", 3), "priority")
    if not 1 <= priority <= len(PRIORITIES):
        raise Refusal(422, "Priority must be between 1 and 5")
    issue = optional_text(body, "issue") or f"issue_{call.world.new_id('issue')[:8]}"
    incident = call.world.open_incident(call.device, title, description, PRIORITIES[priority - 1], issue)
    return {"incident_id": incident.id if incident else None}


@routes.add("DELETE", "/{device_id}/incidents")
def close_incidents(call: Call) -> object:
    for incident in list(call.device.incidents.values()):
        if _by_device(incident):
            call.world.close_incident(incident)
    return SUCCESS


@routes.add("DELETE", "/{device_id}/incidents/{incident_id}")
def close_incident(call: Call) -> object:
    incidents = {incident.id: incident for incident in call.device.incidents.values()}
    incident = incidents.get(call.path["incident_id"])
    if incident is None:
        raise Refusal(404, "Incident not found")
    if not incident.issue.startswith("rule_"):
        call.world.close_incident(incident)
    return SUCCESS


@routes.add("POST", "/{device_id}/events")
def add_event(call: Call) -> object:
    body = call.json()
    required_text(body, "name")
    required_text(body, "category")
    if call.device.organization is not None:
        call.device.events.append(body | {"created_at": iso(call.world.now())})
    return {"status": True}


def _by_device(incident: Incident) -> bool:
    return incident.issue not in ("offline", "user") and not incident.issue.startswith("rule_")


# Licences, files and dumps


@routes.add("GET", "/{device_id}/license")
def get_license(call: Call) -> object:
    waiting = _licenses(call.device)
    return views.device_license(waiting[0], call.device) if waiting else {}


@routes.add("GET", "/{device_id}/licenses")
def get_licenses(call: Call) -> object:
    return [views.device_license(row, call.device) for row in _licenses(call.device)]


@routes.add("POST", "/{device_id}/licenses")
def update_license(call: Call) -> object:
    body = call.json()
    rows = call.device.organization.licenses if call.device.organization else {}
    row = rows.get(str(body.get("id")))
    if row is None or row.device is not call.device:
        raise Refusal(404, "Couldn't find License")
    state = body.get("state")
    if state not in ("inuse", "removed", "error") or (state == "error" and row.state == "inuse"):
        raise Refusal(422, f"State can't switch to {state} from {row.state}")
    call.world.settle_license(row, state)
    return views.device_license(row, call.device)


@routes.add("GET", "/{device_id}/files")
def get_files(call: Call) -> object:
    return call.device.model.files


@routes.add("GET", "/{device_id}/files/{file_id}")
def get_file(call: Call) -> object:
    for file in call.device.model.files:
        if file["id"] == call.path["file_id"]:
            return file
    raise Refusal(400, "File not found")


@routes.add("POST", "/{device_id}/dumps/{mime_type}/{filename}", status=201)
def send_dump(call: Call) -> object:
    if not call.body:
        raise Refusal(422, "Data can't be blank")
    dump_id = call.world.new_id("dump")
    call.device.dumps[dump_id] = bytearray(call.body)
    return {"id": dump_id}


@routes.add("PUT", "/{device_id}/dumps/{dump_id}")
def append_dump_file(call: Call) -> object:
    dump = call.device.dumps.get(call.path["dump_id"])
    if dump is None:
        raise Refusal(404, "Dump not found")
    dump += call.body
    return {"length": len(dump)}


def _licenses(device: Device) -> list[License]:
    """Changes that the device has not carried out yet."""
    if device.organization is None:
        return []
    return [row for row in device.organization.licenses.values() if row.device is device and row.change is not None]
