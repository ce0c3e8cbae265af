"""How records look from outside, scope by scope."""

from app.simulator.clock import iso, iso_or_none
from app.simulator.records import (
    Asset,
    Command,
    CommandModel,
    Device,
    Edge,
    Group,
    Incident,
    JsonObject,
    License,
    Model,
    Note,
    Organization,
    Space,
    Ticket,
    User,
)

LABEL_CATEGORIES = ("manufacturer", "device_model", "device_type", "status")
SEVERITY = ("ok", "warning", "disconnected", "offline", "error")


def effective_status(device: Device) -> str:
    """The health that the cloud computes from contact, self-reported status and incidents."""
    if device.last_seen is None:
        return "never_seen"
    if device.parent is not None and not device.parent.connected:
        return "disconnected"
    if not device.connected or device.status == "offline":
        return "offline"
    priorities = {incident.priority for incident in device.incidents.values()}
    if device.status == "error" or priorities & {"critical", "high"}:
        return "error"
    return "warning" if "moderate" in priorities else "ok"


def merged_status(device: Device) -> str:
    """The worst of a merge group for its primary, the own health for all others."""
    statuses = [effective_status(device), *(effective_status(shadow) for shadow in device.shadows.values())]
    return max(statuses, key=lambda status: SEVERITY.index(status) if status in SEVERITY else -1)


def device_row(device: Device) -> JsonObject:
    space = device.space
    row: JsonObject = {
        "id": device.id,
        "name": device.name,
        "sn": device.sn,
        "mac": device.mac,
        "cloud_id": device.cloud_id,
        "status": device.status,
        "effective_status": effective_status(device),
        "merged_effective_status": merged_status(device),
        "last_seen_at": iso_or_none(device.last_seen),
        "details": device.details,
        "model": {"id": device.model.id, "name": device.model.name, "sub_model": device.sub_model},
        "firmware": {"version": device.firmware_version},
        "space": None if space is None else {"id": space.id, "full_path": space.full_path},
    }
    if device.custom_parameters is not None:
        row["custom_parameters"] = masked_parameters(device, device.custom_parameters)
    return row


def device_whole(device: Device) -> JsonObject:
    return device_row(device) | {"state": device.state}


def masked_parameters(device: Device, values: JsonObject) -> JsonObject:
    """Set passwords read as stars, unset ones as nothing, other unset values as null."""
    shown: JsonObject = {}
    for parameter in device.model.parameters:
        value = values.get(parameter["name"])
        if parameter["type"] == "password":
            value = "*****" if value else ""
        shown[parameter["name"]] = value
    return shown


def history_row(world_id: str, at: float, device: Device, state: JsonObject) -> JsonObject:
    return {
        "uuid": world_id,
        "device_id": device.id,
        "name": device.name,
        "model": device.model.name,
        "partner": device.model.vendor,
        "space_id": device.space.id if device.space else None,
        "state": state,
        "created_at": iso(at),
    }


def command(row: Command) -> JsonObject:
    return {
        "id": row.id,
        "status": row.status,
        "name": row.model.name,
        "friendly_name": row.model.friendly_name,
        "params": row.params,
        "file_id": row.file_id,
        "message": row.message,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def partner_command(row: Command) -> JsonObject:
    return {"id": row.id, "status": row.status, "name": row.model.name, "parameters": row.params or None}


def device_command(row: Command) -> JsonObject:
    parameters = dict(row.params)
    for file in row.device.model.files:
        if row.model.with_file and file["id"] == row.file_id:
            parameters |= {name: file[name] for name in ("url", "version", "checksum", "signature")}
    return {
        "id": row.id,
        "device_id": row.device.id,
        "status": row.status,
        "name": row.model.name,
        "parameters": parameters or None,
    }


def incident(row: Incident) -> JsonObject:
    device, space = row.device, row.device.space
    return {
        "id": row.id,
        "uuid": row.id,
        "status": row.status,
        "priority": row.priority,
        "title": row.title,
        "description": row.description,
        "issue": row.issue,
        "device_id": device.id,
        "device_name": device.name,
        "device_model": device.model.name,
        "device_sub_model": device.sub_model,
        "partner_name": device.model.vendor,
        "space_id": space.id if space else None,
        "space_name": space.name if space else None,
        "space_tree_path_name": space.full_path if space else None,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def device_incident(row: Incident) -> JsonObject:
    shown = ("id", "device_id", "status", "priority", "title", "description", "issue", "created_at", "updated_at")
    whole = incident(row)
    return {name: whole[name] for name in shown}


def ticket(row: Ticket) -> JsonObject:
    return {
        "id": row.id,
        "title": row.title,
        "description": row.description,
        "status": row.status,
        "created_at": iso(row.created_at),
        "device_id": row.device.id if row.device else None,
        "user_name": row.user_name,
        "user_email": row.user_email,
    }


def ticket_whole(row: Ticket) -> JsonObject:
    comments = [
        {
            "id": comment.id,
            "text": comment.text,
            "created_at": iso(comment.created_at),
            "system": comment.system,
            "user": comment.user,
            "owner": comment.owner,
            "owner_type": comment.owner_type,
        }
        for comment in row.comments
    ]
    return ticket(row) | {"comments": comments}


def space(row: Space) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "parent_id": row.parent.id if row.parent else None,
        "space_type": row.space_type,
        "path": row.full_path,
        "full_path": row.full_path,
        "config": row.config,
        "created_at": iso(row.created_at),
    }


def note(row: Note) -> JsonObject:
    shown: JsonObject = {"id": row.id, "content": row.content, "created_by": row.created_by}
    if row.device_id is not None:
        shown["device_id"] = row.device_id
    if row.space_id is not None:
        shown["space_id"] = row.space_id
    return shown | {"created_at": iso(row.created_at), "updated_at": iso(row.created_at)}


def user(row: User, organization: Organization) -> JsonObject:
    groups = [{"id": group.id, "name": group.name} for group in organization.groups.values() if row.id in group.users]
    return {
        "id": row.id,
        "email": row.email,
        "name": row.name,
        "active": row.active,
        "groups": groups,
        "created_at": iso(row.created_at),
    }


def group(row: Group) -> JsonObject:
    users = [
        {"id": member.id, "email": member.email, "name": member.name, "external": member.external}
        for member in row.users.values()
    ]
    return {"id": row.id, "name": row.name, "users": users, "created_at": iso(row.created_at)}


def asset(row: Asset) -> JsonObject:
    shown: JsonObject = {
        "id": row.id,
        "name": row.name,
        "serial_number": row.serial_number,
        "space_id": row.space_id,
        "purchased_at": row.purchased_at,
        "comments": row.comments,
        "icon_name": row.icon_name,
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
    for category in LABEL_CATEGORIES:
        label = row.labels.get(category)
        shown[category] = None if label is None else {"id": label.id, "name": label.name}
    return shown


def edge(row: Edge) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "space": {"id": row.space.id, "full_path": row.space.full_path},
    }


def model(row: Model) -> JsonObject:
    return {
        "id": row.id,
        "vendor": row.vendor,
        "model": row.name,
        "aliases": [],
        "parameters": list(row.parameters),
        "commands": [command_model(entry) for entry in row.commands.values()],
    }


def command_model(row: CommandModel) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "friendly_name": row.friendly_name,
        "custom_fields": list(row.fields),
        "with_file": row.with_file,
    }


def license_row(row: License, partner: JsonObject) -> JsonObject:
    device = row.device
    return {
        "id": row.id,
        "state": row.state,
        "expires_at": iso_or_none(row.expires_at),
        "activated_at": iso_or_none(row.activated_at),
        "warranty": row.warranty,
        "transferable": row.transferable,
        "bound_device_sn": row.bound_device_sn,
        "created_at": iso(row.created_at),
        "order_short_id": row.order_short_id,
        "partner": partner,
        "device": None if device is None else {"id": device.id, "sn": device.sn},
        "product": row.product,
        "device_model": {"id": row.model.id, "name": row.model.name},
    }


def device_license(row: License, device: Device) -> JsonObject:
    shown: JsonObject = {"id": row.id, "device_id": device.id, "data": row.data, "signature": row.signature}
    if row.change is not None:
        shown[row.change] = True
    if row.expires_at is not None:
        shown["expires_at"] = iso(row.expires_at)
    return shown


def partner_device(device: Device) -> JsonObject:
    return {
        "id": device.id,
        "sn": device.sn,
        "mac": device.mac,
        "cloud_id": device.cloud_id,
        "status": device.status,
        "effective_status": effective_status(device),
        "merged_effective_status": merged_status(device),
        "last_seen_at": iso_or_none(device.last_seen),
        "details": device.details or {},
        "state": device.state,
        "claimed": device.organization.name if device.organization else None,
        "model": {"id": device.model.id, "name": device.model.name, "sub_model": device.sub_model},
        "firmware": {"version": device.firmware_version},
    }


def device_self(device: Device) -> JsonObject:
    return {
        "id": device.id,
        "partner": {"sn": device.sn, "mac": device.mac, "vendor": device.model.vendor, "model": device.model.name},
        "config": {"version": device.config_version, "last_updated": iso(device.config_updated_at)} | device.config,
        "state": device.state,
        "last_seen": iso_or_none(device.last_seen),
        "custom": {"prompt": None},
        "name": device.name,
        "firmware_version": device.firmware_version,
        "claimed": device.organization.name if device.organization else None,
        "details": device.details or {},
        "test": False,
    }


def child_device(device: Device) -> JsonObject:
    return {
        "id": device.id,
        "sn": device.sn,
        "mac": device.mac,
        "state": device.state or None,
        "last_seen": iso_or_none(device.last_seen),
        "name": device.name,
        "firmware_version": device.firmware_version,
        "vendor": device.model.vendor,
        "model": device.model.name,
        "claimed": device.organization.name if device.organization else None,
        "details": device.details or {},
    }
