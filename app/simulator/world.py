"""The state of the simulated cloud and the rules that hold whoever asks: identity, contact, incidents, claims."""

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Literal
from uuid import UUID, uuid5

from app.simulator.clock import Clock
from app.simulator.records import (
    Command,
    CommandModel,
    Device,
    Incident,
    JsonObject,
    License,
    Model,
    Organization,
    Partner,
    Space,
)
from app.simulator.settings import Settings

NAMESPACE = UUID("6f1d1c0a-5a9b-5e0e-9d0c-000000000001")
SWEEP_SECONDS = 30.0


class World:
    """Everything there is, indexed by what callers know it by."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.random = random.Random(settings.seed)  # noqa: S311  chance that can be repeated
        self.organizations: dict[str, Organization] = {}
        self.partner: Partner | None = None
        self.keys: dict[str, Organization | Partner] = {}
        self.models: dict[str, Model] = {}
        self.models_by_hardware_key: dict[str, Model] = {}
        self.devices: dict[str, Device] = {}
        self.taken_cloud_ids: dict[str, Device] = {}
        self.taken_serials: dict[tuple[str, str], Device] = {}
        self.commands: dict[str, Command] = {}
        self.notifications: deque[JsonObject] = deque(maxlen=1000)
        self.command_count = 0
        self.commands_overlooked = 0
        self._counters: dict[str, int] = {}
        clock.schedule(SWEEP_SECONDS, self._sweep)

    def new_id(self, kind: str) -> str:
        """The next id of this kind; it depends on the seed and on how many there were before."""
        return self.id_of(f"{kind}/{self.count(kind)}")

    def id_of(self, label: str) -> str:
        """The id that belongs to a label under this seed."""
        return str(uuid5(NAMESPACE, f"{self.settings.seed}/{label}"))

    def count(self, kind: str) -> int:
        self._counters[kind] = self._counters.get(kind, 0) + 1
        return self._counters[kind]

    def new_key(self, kind: str) -> str:
        """A key nobody can take for a real one."""
        label = f"{self.settings.seed}/{kind}/{self.count(kind)}"
        return f"fake-{kind}-key-{sha256(label.encode()).hexdigest()[:20]}"

    def now(self) -> float:
        return self.clock.timestamp()

    # Organizations and spaces

    def add_organization(self, name: str, key: str, contacts: JsonObject, created_at: float) -> Organization:
        organization = Organization(self.new_id("organization"), name, created_at, key, contacts)
        organization.root = self.add_space(organization, name, None, "root", created_at)
        self.organizations[organization.id] = organization
        self.keys[key] = organization
        return organization

    def add_space(
        self, organization: Organization, name: str, parent: Space | None, space_type: str, created_at: float
    ) -> Space:
        space = Space(12999 + 2 * self.count("space"), name, space_type, created_at, organization, parent)
        organization.spaces[space.id] = space
        if parent is not None:
            parent.children[space.id] = space
        return space

    # Devices

    def add_model(self, model: Model) -> None:
        self.models[model.id] = model
        self.models_by_hardware_key[model.hardware_key] = model

    def register(
        self,
        model: Model,
        sn: str,
        *,
        name: str | None,
        firmware_version: str,
        mac: str | None = None,
        cloud_id: str | None = None,
    ) -> Device:
        """A device makes itself known; nobody owns it yet."""
        device = Device(
            id=self.new_id("device"),
            name=name or model.name,
            model=model,
            access_key=self.new_key("device-access"),
            sn=sn,
            mac=mac,
            cloud_id=cloud_id,
            firmware_version=firmware_version,
            config_updated_at=self.now(),
        )
        self.devices[device.id] = device
        self.taken_serials.setdefault((model.id, sn), device)
        if cloud_id is not None:
            self.taken_cloud_ids[cloud_id] = device
        return device

    def claim(self, device: Device, organization: Organization, space: Space, name: str | None = None) -> None:
        """An organization takes the device, and its children with it, into one of its spaces."""
        device.organization = organization
        device.space = space
        device.name = name or device.name
        organization.devices[device.id] = device
        for child in device.children.values():
            self.claim(child, organization, space)

    def forget(self, device: Device) -> None:
        """The device is gone: its key is void and its identity is free again."""
        for child in list(device.children.values()):
            self.forget(child)
        if device.parent is not None:
            device.parent.children.pop(device.id, None)
        leave_group(device)
        for incident in list(device.incidents.values()):
            self.close_incident(incident)
        if device.organization is not None:
            device.organization.devices.pop(device.id, None)
        if self.taken_serials.get((device.model.id, device.sn)) is device:
            del self.taken_serials[(device.model.id, device.sn)]
        if device.cloud_id is not None:
            self.taken_cloud_ids.pop(device.cloud_id, None)
        self.devices.pop(device.id, None)

    def notify(self, event_type: str, device: Device) -> None:
        """Tell the partner, if the device is one of its own and it wants to know."""
        if self.settings.webhook_url is None or self.partner is None or device.model.vendor != self.partner.name:
            return
        self.notifications.append(NOTICES[event_type](device) | {"event_type": event_type})

    # Contact

    def hear(self, device: Device) -> None:
        """Any sign of life."""
        device.heard = self.clock.elapsed
        device.last_seen = self.now()
        if not device.connected:
            device.connected = True
            if (incident := device.incidents.get("offline")) is not None:
                self.close_incident(incident)

    def merge_state(self, device: Device, status: str, values: JsonObject, override: bool = False) -> None:
        """A telemetry message: keys overwrite, null removes, override replaces."""
        state = {} if override else device.state
        for key, value in values.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        if state.get("status") != status:
            device.snapshots.append((self.now(), state | {"status": status}))
        state["status"] = status
        device.state = state
        device.status = status

    def lose(self, device: Device) -> None:
        """The device has been silent for too long."""
        device.connected = False
        self.merge_state(device, "offline", {})
        if device.parent is None or device.parent.connected:
            self.open_incident(device, "Device offline", None, "high", "offline")

    def _sweep(self) -> None:
        limit = self.settings.offline_after_seconds
        for device in list(self.devices.values()):
            silent = self.clock.elapsed - device.heard > limit
            if device.connected and silent and not any(command.status == "in_progress" for command in device.queue):
                self.lose(device)
        self.clock.schedule(SWEEP_SECONDS, self._sweep)

    # Incidents

    def open_incident(
        self, device: Device, title: str, description: str | None, priority: str, issue: str
    ) -> Incident | None:
        """A new incident, or the one of this issue that is open already; none while incidents are suspended."""
        organization = device.organization
        if organization is None or device.incidents_suspended:
            return None
        if issue in device.incidents:
            return device.incidents[issue]
        return self.record_incident(organization, device, title, description, priority=priority, issue=issue)

    def record_incident(
        self,
        organization: Organization,
        device: Device,
        title: str,
        description: str | None,
        *,
        priority: str,
        issue: str,
    ) -> Incident:
        now = self.now()
        incident = Incident(
            self.new_id("incident"), device, organization, title, description, priority, issue, now, now
        )
        device.incidents[issue] = incident
        organization.incidents[incident.id] = incident
        return incident

    def close_incident(self, incident: Incident) -> None:
        incident.status = "closed"
        incident.updated_at = self.now()
        incident.device.incidents.pop(incident.issue, None)

    # Commands: their life is the same whoever moves it on

    def send(
        self, device: Device, tenant: str, selector: str, params: JsonObject, file_id: str | None
    ) -> Command | None:
        """Queue a command, or nothing if the model does not know it."""
        model = device.model.command(selector)
        return None if model is None else self.queue(device, tenant, model, params, file_id)

    def queue(
        self, device: Device, tenant: str, model: CommandModel, params: JsonObject, file_id: str | None
    ) -> Command:
        """The device will be asked to do this."""
        now = self.now()
        self.command_count += 1
        command = Command(self.new_id("command"), self.command_count, device, tenant, model, params, file_id, now, now)
        device.commands.append(command)
        device.queue.append(command)
        self.commands[command.id] = command
        return command

    def move(
        self, command: Command, status: Literal["in_progress", "done", "failed", "aborted"], message: str | None = None
    ) -> None:
        """The command goes on; a started one fails by itself when the device says nothing more."""
        starts = status == "in_progress" and command.status == "pending"
        command.status = status
        command.message = message
        command.updated_at = self.now()
        if starts:
            self.clock.schedule(timeout_of(command), partial(self._expire, command))
        elif not command.open:
            command.device.queue.remove(command)

    def _expire(self, command: Command) -> None:
        if command.status == "in_progress":
            self.move(command, "failed", "Command timed out")

    # Licences

    def settle_license(self, row: License, state: Literal["inuse", "removed", "error"]) -> None:
        """The device has carried out, or could not carry out, a change of its licence."""
        row.change = None
        if state == "removed":
            row.state, row.device, row.activated_at = "available", None, None
        elif state == "error":
            row.state = "error"
        elif row.state != "inuse":
            row.state, row.activated_at = "inuse", self.now()


def timeout_of(command: Command) -> float:
    """Seconds after which a started command counts as failed."""
    return 300.0 if command.model.with_file else 120.0


def leave_group(device: Device) -> None:
    """The device stands alone again."""
    if device.primary is not None:
        device.primary.shadows.pop(device.id, None)
        device.primary = None
    for shadow in list(device.shadows.values()):
        shadow.primary = None
    device.shadows.clear()


def _claimed(device: Device) -> JsonObject:
    organization = device.organization
    return {
        "device_id": device.id,
        "device_model_id": device.model.id,
        "device_model_name": device.model.name,
        "claiming_organization_name": organization.name if organization else None,
        "claiming_organization_email": organization.contacts["admin_email"] if organization else None,
    }


def _registered(device: Device) -> JsonObject:
    organization = device.organization
    return {
        "device_id": device.id,
        "device_sn": device.sn,
        "device_mac": device.mac,
        "device_cloud_id": device.cloud_id,
        "device_name": device.name,
        "device_model_id": device.model.id,
        "device_model_name": device.model.name,
        "device_firmware_version": device.firmware_version,
        "claiming_organization_name": organization.name if organization else None,
        "claiming_organization_display_name": organization.name if organization else None,
    }


NOTICES: dict[str, Callable[[Device], JsonObject]] = {"claimed_device": _claimed, "registered_device": _registered}
