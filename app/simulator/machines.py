"""The pretend hardware: loops that report, notice commands, act on them, restart, fail and fall silent."""

from functools import partial
from typing import Any, cast

from app.simulator.records import Command, Device, JsonObject
from app.simulator.world import World

REPORTS_BETWEEN_SNAPSHOTS = 30


def start(world: World, device: Device) -> None:
    """Put the device's loop to work."""
    device.simulated = True
    device.state = dict(device.model.state) | device.state
    world.clock.schedule(world.random.uniform(0, world.settings.telemetry_seconds), partial(_loop, world, device))


def awake(world: World, device: Device) -> bool:
    """Whether the device can talk to the cloud at this moment."""
    alive = device.plugged and world.clock.elapsed >= device.away_until and world.devices.get(device.id) is device
    return alive and (device.parent is None or not device.parent.simulated or awake(world, device.parent))


def report(world: World, device: Device) -> None:
    """One telemetry message, and whatever the answer asks for."""
    if not awake(world, device):
        return
    device.reports += 1
    world.hear(device)
    values = _measure(world, device)
    world.merge_state(device, device.reports_as, values)
    now = world.now()
    device.telemetries.append((now, now, values | {"status": device.reports_as}))
    if device.reports % REPORTS_BETWEEN_SNAPSHOTS == 0:
        device.snapshots.append((now, dict(device.state)))
    device.applied_config_version = device.config_version
    _settle_licenses(world, device)
    work(world, device)


def nudge(world: World, device: Device) -> None:
    """A command has arrived; the device will notice soon."""
    if device.simulated:
        seconds = world.settings.pickup_seconds
        world.clock.schedule(world.random.uniform(seconds / 2, seconds), partial(work, world, device))


def work(world: World, device: Device) -> None:
    """Take up the oldest open command, one at a time."""
    if not device.simulated or not awake(world, device):
        return
    busy = device.working is not None and device.working.open
    if not busy and device.queue:
        _begin(world, device, device.queue[0])


def plug(world: World, device: Device, plugged: bool) -> None:
    """Pull the plug, or put it back in."""
    device.plugged = plugged
    if plugged:
        world.clock.schedule(1.0, partial(_return, world, device))


def _begin(world: World, device: Device, command: Command) -> None:
    world.hear(device)
    device.working = command
    world.move(command, "in_progress")
    seconds = _duration(world, device, command)
    if command.model.restarts and _excuse(device, command) is None:
        _go_away(world, device, seconds)
    world.clock.schedule(seconds, partial(_finish, world, device, command))


def _finish(world: World, device: Device, command: Command) -> None:
    if not awake(world, device):
        return
    if command.status == "in_progress":
        excuse = _failure(world, device) or _excuse(device, command)
        if excuse is None:
            _act(world, device, command)
            world.move(command, "done")
        else:
            world.move(command, "failed", excuse)
    report(world, device)


def _return(world: World, device: Device) -> None:
    """Back on line, a device first ends what it was doing when it fell silent."""
    if device.working is not None and device.working.open:
        _finish(world, device, device.working)
    else:
        report(world, device)


def _duration(world: World, device: Device, command: Command) -> float:
    fixed = device.command_seconds if device.command_seconds is not None else world.settings.command_seconds
    return fixed if fixed is not None else command.model.seconds * world.random.uniform(0.5, 1.5)


def _failure(world: World, device: Device) -> str | None:
    if device.failures_due > 0:
        device.failures_due -= 1
        return "The device did not respond as expected"
    if world.settings.failure_rate and world.random.random() < world.settings.failure_rate:
        return "The device is busy"
    return None


def _excuse(device: Device, command: Command) -> str | None:
    """Why the device cannot do what it was asked to."""
    if command.model.with_file and _file(device, command) is None:
        return "No such file"
    return next((excuse for field in command.model.fields if (excuse := _complaint(field, command.params))), None)


def _complaint(field: JsonObject, params: JsonObject) -> str | None:
    name = field["name"]
    value = params.get(name)
    if value is None:
        return f"{name} is missing" if field["required"] else None
    if "min" in field:
        return None if _within(value, field["min"], field["max"]) else f"{name} is out of range"
    if "options" in field:
        chosen = cast(list[Any], value) if isinstance(value, list) else [value]
        return None if all(one in field["options"] for one in chosen) else f"{name} is not an option"
    return None


def _within(value: object, low: int, high: int) -> bool:
    try:
        return low <= float(str(value)) <= high
    except ValueError:
        return False


def _act(world: World, device: Device, command: Command) -> None:
    """The command's effect, and the moment of it in the history."""
    for key, value in command.model.effect.items():
        place = _resolve(key, command.params)
        if (resolved := _resolve(value, command.params)) is None:
            device.state.pop(place, None)
        else:
            device.state[place] = resolved
    if (file := _file(device, command)) is not None:
        device.firmware_version = file["version"]
    device.snapshots.append((world.now(), dict(device.state)))


def _resolve(value: Any, params: JsonObject) -> Any:
    """A value as it stands, or "$field" and "$field|default" as they were sent."""
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name, _, default = value[1:].partition("|")
    return params.get(name, default or None)


def _file(device: Device, command: Command) -> JsonObject | None:
    return next((file for file in device.model.files if file["id"] == command.file_id), None)


def _go_away(world: World, device: Device, seconds: float) -> None:
    world.merge_state(device, "offline", {})
    device.away_until = world.clock.elapsed + seconds


def _measure(world: World, device: Device) -> JsonObject:
    values: JsonObject = {"uptime_seconds": int(world.clock.elapsed)}
    if (temperature := device.state.get("temperature")) is not None:
        values["temperature"] = round(min(60.0, max(20.0, float(temperature) + world.random.uniform(-0.4, 0.4))), 1)
    return values


def _settle_licenses(world: World, device: Device) -> None:
    if device.organization is None:
        return
    for row in device.organization.licenses.values():
        if row.device is device and row.change is not None:
            world.settle_license(row, "removed" if row.change == "remove" else "inuse")


def _loop(world: World, device: Device) -> None:
    if world.devices.get(device.id) is device and device.simulated:
        report(world, device)
        mean = world.settings.telemetry_seconds
        rate = world.settings.outage_rate
        if rate and awake(world, device) and world.random.random() < rate * mean / 3600:
            _fall_silent(world, device)
        world.clock.schedule(world.random.uniform(0.8 * mean, 1.2 * mean), partial(_loop, world, device))


def _fall_silent(world: World, device: Device) -> None:
    seconds = world.random.uniform(120, 600)
    device.away_until = world.clock.elapsed + seconds
    world.clock.schedule(seconds, partial(_return, world, device))
