"""The demonstration fleet: two organizations, their places, people and equipment, and one vendor."""

from app.simulator import machines
from app.simulator.products import PARTNER_VENDOR, stock
from app.simulator.records import (
    Asset,
    Comment,
    Device,
    Edge,
    Group,
    JsonObject,
    Label,
    License,
    Model,
    Note,
    Organization,
    Partner,
    Space,
    Ticket,
    User,
)
from app.simulator.world import World

ORGANIZATION_KEYS: tuple[str, str] = (
    "fake-harbor-organization-key-for-tests-0000000001",
    "fake-northwind-organization-key-for-tests-00000002",
)
PARTNER_KEY = "fake-orbitone-partner-key-for-tests-000000000001"

DAY = 86400.0

BOARD = ("projector", "motor_screen", "dsp", "microphone", "codec", "camera", "touch_panel", "lights", "blinds")
MEETING = ("display", "soundbar", "camera", "scheduler")
VIDEO = ("wide_display", "codec", "microphone", "dsp", "lights")
STUDIO = ("display", "matrix", "dsp", "camera", "player", "lights")
HALL = ("projector", "motor_screen", "matrix", "dsp", "microphone", "lights", "touch_panel")
LOBBY = ("wide_display", "player", "soundbar")
HUDDLE = ("short_throw", "soundbar", "scheduler")

HARBOR: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "EMEA": {
        "London": {
            "Board Room": BOARD,
            "Huddle 1": HUDDLE,
            "Thames": VIDEO,
            "Tower Auditorium": HALL,
            "Reception": LOBBY,
            "Quiet Room": (),
        },
        "Paris": {"Salle Zürich": VIDEO, "Huddle 1": HUDDLE, "Louvre": MEETING, "Seine Studio": STUDIO},
    },
    "Americas": {
        "New York": {
            "Hudson": MEETING,
            "Brooklyn": VIDEO,
            "Executive Suite": MEETING,
            "Broadcast Studio": STUDIO,
            "Training Center": HALL,
        },
    },
}
NORTHWIND: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "Northwind Europe": {
        "Oslo": {"Board Room": VIDEO, "Huddle 1": HUDDLE},
        "Austin": {"Lab A": STUDIO, "Thames": MEETING},
    },
}
LOCATIONS: dict[str, JsonObject] = {
    "London": {
        "location": {"lat": 51.5072, "lng": -0.1276},
        "utc_offset": 0,
        "description": "London, UK",
        "region_name": "Europe/London",
    },
    "Paris": {
        "location": {"lat": 48.8566, "lng": 2.3522},
        "utc_offset": 60,
        "description": "Paris, France",
        "region_name": "Europe/Paris",
    },
    "New York": {
        "location": {"lat": 40.7128, "lng": -74.006},
        "utc_offset": -300,
        "description": "New York, USA",
        "region_name": "America/New_York",
    },
}
HARBOR_PEOPLE = ("Ada Marsh", "Bruno Keller", "Chloé Dubois", "Dev Raman", "Elin Strand", "Farid Nasser")
NORTHWIND_PEOPLE = ("Greta Holm", "Hugo Lind")


def build(world: World) -> None:
    """Found the world."""
    models = stock(world)
    world.partner = Partner(world.new_id("partner"), PARTNER_VENDOR, PARTNER_KEY)
    world.keys[PARTNER_KEY] = world.partner
    harbor = _organization(world, "Harbor Light Group", ORGANIZATION_KEYS[0], "harbor.example")
    northwind = _organization(world, "Northwind Labs", ORGANIZATION_KEYS[1], "northwind.example")
    for organization, places, people in ((harbor, HARBOR, HARBOR_PEOPLE), (northwind, NORTHWIND, NORTHWIND_PEOPLE)):
        _furnish(world, models, organization, places)
        _employ(world, organization, people)
        _store(world, organization)
        _license(world, organization)
        _remark(world, organization)
    _connect_edges(world, models, harbor, northwind)
    _break_harbor(world, harbor)
    _break_northwind(world, northwind)
    _remember_commands(world, harbor)
    world.commands_overlooked = world.command_count
    for organization in (harbor, northwind):
        _discuss(world, organization)
    _leave_unclaimed(world, models)


def device_called(organization: Organization, name: str, site: str = "") -> Device:
    """The device of this name, on a site if names repeat."""
    return next(
        device
        for device in organization.devices.values()
        if device.name == name and device.space is not None and site in device.space.full_path
    )


def _organization(world: World, name: str, key: str, domain: str) -> Organization:
    contacts: JsonObject = {
        "admin_email": f"admin@{domain}",
        "admin_name": "Main Admin",
        "finance_email": f"finance@{domain}",
        "finance_name": "Main Finance",
    }
    return world.add_organization(name, key, contacts, world.clock.started - 700 * DAY)


# Places and equipment


def _furnish(
    world: World,
    models: dict[str, Model],
    organization: Organization,
    places: dict[str, dict[str, dict[str, tuple[str, ...]]]],
) -> None:
    since = world.clock.started - 650 * DAY
    for region, sites in places.items():
        customer = world.add_space(organization, region, organization.root, "customer", since)
        for site_name, rooms in sites.items():
            site = world.add_space(organization, site_name, customer, "site", since)
            if site_name in LOCATIONS:
                site.config = {"location": LOCATIONS[site_name], "temperature_units": "celsius"}
            for room_name, equipment in rooms.items():
                room = world.add_space(organization, room_name, site, "room", since)
                _equip(world, models, room, equipment)


def _equip(world: World, models: dict[str, Model], room: Space, equipment: tuple[str, ...]) -> None:
    processor: Device | None = None
    for key in equipment:
        device = install(world, models[key], room, f"{room.name} {models[key].kind}")
        if key == "dsp":
            processor = device
        if key == "microphone" and processor is not None and room.name == "Board Room":
            device.parent = processor
            processor.children[device.id] = device


def install(world: World, model: Model, room: Space, name: str) -> Device:
    """A working device of this model in this room."""
    device = appear(world, model, name)
    world.claim(device, room.organization, room)
    return device


def appear(world: World, model: Model, name: str) -> Device:
    """A working device that nobody has claimed."""
    number = world.count("serial")
    by_cloud_id = model.authentication == "cloud_id"
    device = world.register(
        model,
        sn=f"SN-{model.key.upper().replace('_', '-')}-{number:04d}",
        name=name,
        firmware_version=model.firmware_version,
        mac=None if by_cloud_id else f"02:00:5e:10:{number // 256:02x}:{number % 256:02x}",
        cloud_id=f"sim-{model.key.replace('_', '-')}-{number:04d}" if by_cloud_id else None,
    )
    machines.start(world, device)
    world.hear(device)
    world.merge_state(device, "online", {})
    device.snapshots.clear()
    return device


def _leave_unclaimed(world: World, models: dict[str, Model]) -> None:
    for key in ("projector", "codec", "display", "blinds"):
        appear(world, models[key], f"New {models[key].kind}")


def _connect_edges(world: World, models: dict[str, Model], harbor: Organization, northwind: Organization) -> None:
    for organization, site_name in ((harbor, "London"), (harbor, "New York"), (northwind, "Oslo")):
        site = _space(organization, site_name)
        edge = Edge(world.new_id("edge"), f"{site_name} edge", "online", site)
        organization.edges[edge.id] = edge
        switch = install(world, models["network_switch"], site, f"{site_name} Network Switch")
        switch.custom_parameters = {"SNMP community": "public", "Port": "161", "Password": "fake-snmp-password"}
        switch.host_address = "10.20.0.2"
    beacon = install(world, models["heartbeat"], _space(harbor, "London"), "London Gateway Heartbeat")
    beacon.custom_parameters = {}
    beacon.host_address = "10.20.0.1"


def _space(organization: Organization, name: str) -> Space:
    return next(space for space in organization.spaces.values() if space.name == name)


# Things that go wrong


def _break_harbor(world: World, harbor: Organization) -> None:
    _silence(world, device_called(harbor, "Executive Suite Display"), days=2)
    _silence(world, device_called(harbor, "Training Center Projector"), days=9)
    failing = device_called(harbor, "Tower Auditorium Projector")
    failing.reports_as = "error"
    world.merge_state(failing, "error", {"fan_speed": 0, "temperature": 58})
    _report(
        world,
        harbor,
        failing,
        "Fan failure",
        "The intake fan does not turn.",
        priority="critical",
        issue="fan_failure",
        days=1,
    )
    hot = device_called(harbor, "Broadcast Studio Matrix Switcher")
    _report(
        world,
        harbor,
        hot,
        "Temperature is too high",
        None,
        priority="moderate",
        issue=f"rule_{world.id_of('rule/temperature')}",
        days=3,
    )
    worn = device_called(harbor, "Huddle 1 Projector", "Paris")
    _report(
        world,
        harbor,
        worn,
        "Lamp is nearing its end",
        "2900 hours of 3000.",
        priority="low",
        issue="lamp_worn",
        days=20,
    )
    asked = device_called(harbor, "Board Room Blinds")
    _report(
        world,
        harbor,
        asked,
        "Blinds hang slanted",
        "Seen by the morning team.",
        priority="planning",
        issue="user",
        days=4,
    )
    for number, device in enumerate(list(harbor.devices.values())[:12]):
        issue = "offline" if number % 3 else f"rule_{world.id_of('rule/firmware')}"
        title = "Device offline" if number % 3 else "Firmware is outdated"
        _report(
            world,
            harbor,
            device,
            title,
            None,
            priority="high" if number % 3 else "low",
            issue=issue,
            days=1 + 2 * number,
            closed=True,
        )


def _break_northwind(world: World, northwind: Organization) -> None:
    _silence(world, device_called(northwind, "Lab A Display"), days=1)
    device = device_called(northwind, "Huddle 1 Soundbar")
    _report(world, northwind, device, "Device offline", None, priority="high", issue="offline", days=3, closed=True)


def _silence(world: World, device: Device, days: float) -> None:
    device.plugged = False
    device.last_seen = world.clock.started - days * DAY
    world.lose(device)
    incident = device.incidents["offline"]
    incident.created_at = incident.updated_at = device.last_seen + 60
    device.snapshots.clear()
    device.snapshots.append((incident.created_at, dict(device.state)))


def _report(
    world: World,
    organization: Organization,
    device: Device,
    title: str,
    description: str | None,
    *,
    priority: str,
    issue: str,
    days: float,
    closed: bool = False,
) -> None:
    incident = world.record_incident(organization, device, title, description, priority=priority, issue=issue)
    if closed:
        world.close_incident(incident)
    incident.created_at = world.clock.started - days * DAY
    incident.updated_at = incident.created_at + (3600 if closed else 0)


def _remember_commands(world: World, harbor: Organization) -> None:
    for device in list(harbor.devices.values())[:20]:
        models = list(device.model.commands.values())
        repeats = 130 if device.name == "Board Room Projector" else 3
        for number in range(repeats):
            command = world.queue(device, harbor.name, models[number % len(models)], {}, None)
            failed = number % 7 == 2
            world.move(command, "failed" if failed else "done", "The device is busy" if failed else None)
            command.created_at = world.clock.started - (repeats - number) * 3600.0
            command.updated_at = command.created_at + 2


# People, inventory and paper


def _employ(world: World, organization: Organization, people: tuple[str, ...]) -> None:
    domain = organization.contacts["admin_email"].partition("@")[2]
    since = world.clock.started - 400 * DAY
    for name in people:
        address = f"{name.split()[0].lower().replace('é', 'e')}@{domain}"
        user = User(world.new_id("user"), address, name, since)
        organization.users[user.id] = user
    list(organization.users.values())[-1].active = len(people) < 3
    members = list(organization.users.values())
    for name, some in (("Facilities", members[:2]), ("AV Support", members[1:4])):
        group = Group(world.new_id("group"), name, since, {user.id: user for user in some})
        organization.groups[group.id] = group


def _store(world: World, organization: Organization) -> None:
    for category, names in (
        ("manufacturer", ("Lumenor", "Vistaglow", "Orbitone Systems")),
        ("device_model", ("LX-7", "VG-75")),
        ("device_type", ("Projector", "Display", "Cable")),
        ("status", ("In use", "Spare", "In repair")),
    ):
        labels = [Label(world.new_id("label"), name) for name in names]
        organization.labels[category] = {entry.id: entry for entry in labels}
    rooms = [space for space in organization.spaces.values() if space.space_type == "room"]
    since = world.clock.started - 300 * DAY
    for number, room in enumerate(rooms):
        asset = Asset(world.new_id("asset"), f"{room.name} spare cable set", since, since)
        asset.serial_number = f"AS-{number:05d}"
        asset.space_id = room.id
        asset.purchased_at = "2024-01-15T00:00:00Z"
        asset.icon_name = "cable"
        asset.labels = {category: next(iter(entries.values())) for category, entries in organization.labels.items()}
        organization.assets[asset.id] = asset


LICENSE_STATES = ("available", "inuse", "inuse", "renew", "disabled", "error", "remove", "disable", "available")


def _license(world: World, organization: Organization) -> None:
    eligible = [device for device in organization.devices.values() if device.model.vendor == PARTNER_VENDOR]
    product: JsonObject = {"id": world.id_of("product/monitoring"), "name": "Device Monitoring"}
    for number, state in enumerate(LICENSE_STATES):
        device = eligible[number % len(eligible)]
        row = License(
            id=world.new_id("license"),
            state=state,
            created_at=world.clock.started - (number // 2) * 10 * DAY - 5 * DAY,
            product=product,
            model=device.model,
            data=f"fake-license-data-{number}",
            signature=f"fake-license-signature-{number}",
            device=None if state == "available" else device,
            expires_at=None if number % 4 == 3 else world.clock.started + (number - 2) * 30 * DAY,
            activated_at=None if state == "available" else world.clock.started - 4 * DAY,
            warranty=number % 2 == 1,
            transferable=number % 3 != 0,
            bound_device_sn=device.sn if number == 0 else None,
            order_short_id=f"ORD-SIM{number:03d}" if number % 2 == 0 else None,
        )
        organization.licenses[row.id] = row


def _remark(world: World, organization: Organization) -> None:
    author = next(iter(organization.users.values()))
    written_by: JsonObject = {"id": author.id, "name": author.name, "email": author.email}
    since = world.clock.started - 30 * DAY
    for device in list(organization.devices.values())[:3]:
        note = Note(world.new_id("note"), "Cable replaced.", written_by, since, device_id=device.id)
        organization.notes[note.id] = note
    for space in [space for space in organization.spaces.values() if space.space_type == "room"][:2]:
        note = Note(world.new_id("note"), "The rack key is at the reception.", None, since, space_id=space.id)
        organization.notes[note.id] = note


TICKETS = (
    ("No picture on the far end", "The other side sees a black frame.", "open"),
    ("Camera drifts to the left", "After ten minutes it looks at the door.", "open"),
    ("Projector too loud", "The fan can be heard in the last row.", "open"),
    ("Echo in calls", "Only with remote guests.", "resolved"),
    ("Preset 3 is gone", "It was there on Friday.", "resolved"),
)


def _discuss(world: World, organization: Organization) -> None:
    partners = [device for device in organization.devices.values() if device.model.vendor == PARTNER_VENDOR]
    others = [device for device in organization.devices.values() if device.model.kind == "Projector"]
    author = next(iter(organization.users.values()))
    for number, (title, description, status) in enumerate(TICKETS):
        device = others[0] if number == 2 else partners[number % len(partners)]
        since = world.clock.started - (number + 1) * DAY
        ticket = Ticket(world.new_id("ticket"), title, description, since, device, author.name, author.email)
        ticket.status = "resolved" if status == "resolved" else "open"
        ticket.comments.append(
            Comment(world.count("comment"), description, since, author.name, organization.name, "organization")
        )
        if number % 2:
            answer = "Could you send us a dump of the device?"
            ticket.comments.append(
                Comment(world.count("comment"), answer, since + 3600, "Support", PARTNER_VENDOR, "partner")
            )
        organization.tickets[ticket.id] = ticket
