"""What the simulated cloud keeps: plain records, linked to each other by reference."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
CommandStatus: TypeAlias = Literal["scheduled", "pending", "in_progress", "done", "failed", "aborted"]

PRIORITIES = ("critical", "high", "moderate", "low", "planning")


@dataclass(slots=True, eq=False)
class CommandModel:
    """A command that a model of device understands, and what it does to the state of one."""

    id: str
    name: str
    friendly_name: str
    fields: tuple[JsonObject, ...] = ()
    effect: JsonObject = field(default_factory=dict[str, Any])
    seconds: float = 1.0
    with_file: bool = False
    restarts: bool = False


@dataclass(slots=True, eq=False)
class Model:
    """A product of a vendor."""

    id: str
    key: str
    vendor: str
    name: str
    kind: str
    hardware_key: str
    firmware_version: str
    authentication: Literal["cloud_id", "mac"]
    state: JsonObject
    commands: dict[str, CommandModel]
    parameters: tuple[JsonObject, ...] = ()
    edge: bool = False
    files: list[JsonObject] = field(default_factory=list[JsonObject])

    def command(self, selector: str) -> CommandModel | None:
        """The command of this name or friendly name."""
        if found := self.commands.get(selector):
            return found
        return next((command for command in self.commands.values() if command.friendly_name == selector), None)


@dataclass(slots=True, eq=False)
class Space:
    """A node in the tree of an organization's places."""

    id: int
    name: str
    space_type: str
    created_at: float
    organization: "Organization"
    parent: "Space | None" = None
    config: JsonObject = field(default_factory=dict[str, Any])
    children: dict[int, "Space"] = field(default_factory=dict[int, "Space"])
    version: int = 1

    @property
    def full_path(self) -> str:
        return self.name if self.parent is None else f"{self.parent.full_path}/{self.name}"

    def within(self, other: "Space") -> bool:
        """Whether this is the other space or lies below it."""
        return self is other or (self.parent is not None and self.parent.within(other))


@dataclass(slots=True, eq=False)
class Command:
    """One command sent to one device."""

    id: str
    sequence: int
    device: "Device"
    tenant: str
    model: CommandModel
    params: JsonObject
    file_id: str | None
    created_at: float
    updated_at: float
    status: CommandStatus = "pending"
    message: str | None = None

    @property
    def open(self) -> bool:
        return self.status in ("pending", "in_progress")


@dataclass(slots=True, eq=False)
class Incident:
    """Something wrong with a device."""

    id: str
    device: "Device"
    organization: "Organization"
    title: str
    description: str | None
    priority: str
    issue: str
    created_at: float
    updated_at: float
    status: Literal["active", "closed"] = "active"


@dataclass(slots=True, eq=False)
class Comment:
    """One message in a ticket."""

    id: int
    text: str
    created_at: float
    user: str
    owner: str
    owner_type: str
    system: bool = False


@dataclass(slots=True, eq=False)
class Ticket:
    """A conversation between a customer and a vendor about a device."""

    id: str
    title: str
    description: str
    created_at: float
    device: "Device | None"
    user_name: str
    user_email: str
    status: Literal["open", "resolved"] = "open"
    comments: list[Comment] = field(default_factory=list[Comment])


@dataclass(slots=True, eq=False)
class Note:
    """A remark on a device or on a space."""

    id: str
    content: str
    created_by: JsonObject | None
    created_at: float
    device_id: str | None = None
    space_id: int | None = None


@dataclass(slots=True, eq=False)
class User:
    """A person of an organization, or a guest in one of its groups."""

    id: str
    email: str
    name: str
    created_at: float
    active: bool = True
    external: bool = False
    welcomed: int = 1


@dataclass(slots=True, eq=False)
class Group:
    """Users who are told about the same things."""

    id: str
    name: str
    created_at: float
    users: dict[str, User] = field(default_factory=dict[str, User])


@dataclass(slots=True, eq=False)
class Label:
    """A value that assets are sorted by."""

    id: str
    name: str


@dataclass(slots=True, eq=False)
class Asset:
    """A thing in the inventory, connected or not."""

    id: str
    name: str
    created_at: float
    updated_at: float
    serial_number: str | None = None
    space_id: int | None = None
    purchased_at: str | None = None
    comments: str | None = None
    icon_name: str | None = None
    labels: dict[str, Label] = field(default_factory=dict[str, Label])


@dataclass(slots=True, eq=False)
class EdgeJob:
    """A ping or a claim under way on an edge."""

    ready_at: float
    result: Literal["success", "failed"]
    claim: JsonObject | None = None
    looks: int = 0


@dataclass(slots=True, eq=False)
class Edge:
    """A proxy on a site that reaches devices which cannot reach the cloud."""

    id: str
    name: str
    status: str
    space: Space
    pings: dict[str, EdgeJob] = field(default_factory=dict[str, EdgeJob])
    claims: dict[str, EdgeJob] = field(default_factory=dict[str, EdgeJob])


@dataclass(slots=True, eq=False)
class License:
    """A right to use a feature on a device."""

    id: str
    state: str
    created_at: float
    product: JsonObject
    model: Model
    data: str
    signature: str
    device: "Device | None" = None
    expires_at: float | None = None
    activated_at: float | None = None
    warranty: bool = False
    transferable: bool = True
    bound_device_sn: str | None = None
    order_short_id: str | None = None
    change: Literal["add", "remove", "update"] | None = None


@dataclass(slots=True, eq=False)
class Organization:
    """A customer of the cloud: one tenant."""

    id: str
    name: str
    created_at: float
    key: str
    contacts: JsonObject
    root: Space = field(init=False)
    lab: bool = False
    pricing_plan: str = "enterprise"
    spaces: dict[int, Space] = field(default_factory=dict[int, Space])
    devices: dict[str, "Device"] = field(default_factory=dict[str, "Device"])
    incidents: dict[str, Incident] = field(default_factory=dict[str, Incident])
    tickets: dict[str, Ticket] = field(default_factory=dict[str, Ticket])
    notes: dict[str, Note] = field(default_factory=dict[str, Note])
    users: dict[str, User] = field(default_factory=dict[str, User])
    groups: dict[str, Group] = field(default_factory=dict[str, Group])
    assets: dict[str, Asset] = field(default_factory=dict[str, Asset])
    labels: dict[str, dict[str, Label]] = field(default_factory=dict[str, dict[str, Label]])
    edges: dict[str, Edge] = field(default_factory=dict[str, Edge])
    licenses: dict[str, License] = field(default_factory=dict[str, License])


@dataclass(slots=True, eq=False)
class Partner:
    """A vendor, who sees every device of its models."""

    id: str
    name: str
    key: str


@dataclass(slots=True, eq=False)
class Device:
    """What the cloud knows of a device, and the pretend hardware behind it."""

    id: str
    name: str
    model: Model
    access_key: str
    sn: str
    mac: str | None = None
    cloud_id: str | None = None
    firmware_version: str = "1.0.0"
    sub_model: str | None = None
    details: JsonObject | None = None
    organization: Organization | None = None
    space: Space | None = None
    parent: "Device | None" = None
    children: dict[str, "Device"] = field(default_factory=dict[str, "Device"])
    primary: "Device | None" = None
    shadows: dict[str, "Device"] = field(default_factory=dict[str, "Device"])

    status: str | None = None
    connected: bool = False
    last_seen: float | None = None
    heard: float = 0.0
    state: JsonObject = field(default_factory=dict[str, Any])
    config: JsonObject = field(default_factory=dict[str, Any])
    config_version: int = 0
    config_updated_at: float = 0.0
    info_version: int = 0
    custom_parameters: JsonObject | None = None
    host_address: str | None = None
    incidents_suspended: bool = False
    incidents: dict[str, Incident] = field(default_factory=dict[str, Incident])
    commands: list[Command] = field(default_factory=list[Command])
    queue: deque[Command] = field(default_factory=deque[Command])
    telemetries: deque[tuple[float, float, JsonObject]] = field(default_factory=lambda: deque(maxlen=100))
    snapshots: deque[tuple[float, JsonObject]] = field(default_factory=lambda: deque(maxlen=500))
    events: list[JsonObject] = field(default_factory=list[JsonObject])
    dumps: dict[str, bytearray] = field(default_factory=dict[str, bytearray])
    calls: deque[float] = field(default_factory=deque[float])
    updates: deque[float] = field(default_factory=deque[float])

    simulated: bool = False
    plugged: bool = True
    away_until: float = 0.0
    reports_as: Literal["online", "error"] = "online"
    reports: int = 0
    working: Command | None = None
    failures_due: int = 0
    command_seconds: float | None = None
    applied_config_version: int = 0

    @property
    def space_version(self) -> int:
        return 0 if self.space is None else self.space.version

    @property
    def edge_claimed(self) -> bool:
        return self.custom_parameters is not None
