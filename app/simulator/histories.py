"""What was before the world began: device states of the last weeks, made up the same way each time one looks."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

from app.simulator.records import Device, JsonObject
from app.simulator.world import World

SLOT_SECONDS = 6 * 3600
REACH_SECONDS = 45 * 86400

Row = tuple[float, Device, JsonObject]


def rows(world: World, devices: Iterable[Device], start: float, end: float) -> list[Row]:
    """Every state in the window, newest first."""
    found = [row for device in devices for row in _of_device(world, device, start, end)]
    found.sort(key=lambda row: (-row[0], row[1].id))
    return found


def telemetries(world: World, device: Device) -> list[tuple[float, float, JsonObject]]:
    """The latest measurements, newest first."""
    recent = list(device.telemetries)[::-1]
    if recent or device.last_seen is None:
        return recent
    return [(at, at, _made_up(device, at)) for at in _slots(world, device.last_seen - 86400, device.last_seen)][::-1]


def _of_device(world: World, device: Device, start: float, end: float) -> Iterator[Row]:
    if device.last_seen is None:
        return
    before = min(end, world.clock.started, device.last_seen)
    if device.simulated:
        for at in _slots(world, start, before):
            yield at, device, _made_up(device, at)
    for at, state in device.snapshots:
        if start <= at <= end:
            yield at, device, state


def _slots(world: World, start: float, end: float) -> Iterator[float]:
    """The moments of the past at which states were kept, counted back from the world's start."""
    began = world.clock.started
    first = int((began - end) // SLOT_SECONDS) + 1
    last = int((began - max(start, began - REACH_SECONDS)) // SLOT_SECONDS)
    for slot in range(last, first - 1, -1):
        yield began - slot * SLOT_SECONDS


def _made_up(device: Device, at: float) -> JsonObject:
    """A state as it may have been; only the place in time and the device decide it."""
    chance = blake2b(f"{device.id}/{int(at)}".encode(), digest_size=2).digest()
    state: JsonObject = dict(device.model.state) | {"status": "offline" if chance[0] < 4 else "online"}
    if "power" in state:
        state["power"] = "on" if chance[0] % 2 else "off"
    if "temperature" in state:
        state["temperature"] = state["temperature"] + chance[1] % 8 - 4
    return state
