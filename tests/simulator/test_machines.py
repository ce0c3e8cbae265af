"""Devices live: they take commands, act, fail, restart and fall silent, as time passes."""

from typing import Any

import httpx
import pytest

from app.simulator import Settings, Simulator, create_simulator
from app.simulator.fleet import device_called
from app.simulator.records import Device, Organization

COMMANDS = "/core/v1/organization/devices/{}/commands"


async def sent(client: httpx.AsyncClient, device: Device, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(COMMANDS.format(device.id), json=body)
    assert response.status_code == 201, response.text
    return response.json()


async def latest(client: httpx.AsyncClient, device: Device) -> dict[str, Any]:
    return (await client.get(COMMANDS.format(device.id), params={"per_page": 1})).json()["items"][0]


async def test_a_command_is_done_a_moment_later(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    command = await sent(harbor, projector, {"command": "power_on", "name": "power_on"})
    assert (command["status"], command["name"], command["params"]) == ("pending", "power_on", {})

    simulator.tick(0.51)
    assert (await latest(harbor, projector))["status"] == "in_progress"
    simulator.tick(2.5)

    assert (await latest(harbor, projector))["id"] == command["id"]
    assert (await latest(harbor, projector))["status"] == "done"
    device = (await harbor.get(f"/core/v1/organization/devices/{projector.id}")).json()
    assert device["state"]["power"] == "on"


async def test_a_command_is_found_by_its_friendly_name(harbor: httpx.AsyncClient, projector: Device) -> None:
    assert (await sent(harbor, projector, {"friendly_name": "Set input"}))["name"] == "set_input"


@pytest.mark.parametrize("body", [{}, {"command": "dance"}, {"name": 5}])
async def test_an_unknown_command_is_refused(
    harbor: httpx.AsyncClient, projector: Device, body: dict[str, Any]
) -> None:
    response = await harbor.post(COMMANDS.format(projector.id), json=body)

    assert response.status_code == 422
    assert response.json() == {"error": "Either a valid command or friendly_name is required"}


@pytest.mark.parametrize(
    ("name", "command", "params", "state"),
    [
        ("Board Room Projector", "set_input", {"input": "hdbaset"}, {"input": "hdbaset"}),
        ("Board Room Projector", "set_brightness", {"level": "55"}, {"brightness": "55"}),
        ("Board Room Audio Processor", "set_volume", {"level": 12}, {"volume": 12}),
        ("Board Room Video Codec", "start_recording", {}, {"recording": True}),
        ("Board Room Blinds", "close_blinds", {}, {"position": 0}),
        ("Thames Display", "show_windows", {"inputs": ["hdmi1", "hdmi2"]}, {"windows": ["hdmi1", "hdmi2"]}),
        ("Seine Studio Matrix Switcher", "set_route", {"input": "wireless"}, {"output_1": "wireless"}),
        (
            "Seine Studio Matrix Switcher",
            "set_route",
            {"input": "hdmi1", "output": "output_2"},
            {"output_2": "hdmi1"},
        ),
        ("Reception Media Player", "select_content", {"content": "safety"}, {"content": "safety"}),
    ],
)
async def test_a_command_changes_the_state(
    simulator: Simulator,
    harbor: httpx.AsyncClient,
    harbor_light: Organization,
    name: str,
    command: str,
    params: dict[str, Any],
    state: dict[str, Any],
) -> None:
    device = device_called(harbor_light, name)

    await sent(harbor, device, {"name": command, "extra_params": params})
    simulator.tick(3)

    assert (await latest(harbor, device))["status"] == "done"
    assert device.state | state == device.state


async def test_a_value_of_nothing_leaves_the_state(
    simulator: Simulator, harbor: httpx.AsyncClient, codec: Device
) -> None:
    await sent(harbor, codec, {"name": "join_call", "extra_params": {"address": "lobby"}})
    await sent(harbor, codec, {"name": "end_call"})

    simulator.tick(6)

    assert [state.get("call_address") for _, state in list(codec.snapshots)[-2:]] == ["lobby", None]
    assert "call_address" not in codec.state


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"level": 101}, "level is out of range"),
        ({"level": "loud"}, "level is out of range"),
        ({}, "level is missing"),
    ],
)
async def test_a_device_refuses_values_it_cannot_take(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device, params: dict[str, Any], message: str
) -> None:
    await sent(harbor, projector, {"name": "set_volume", "extra_params": params})
    simulator.tick(3)

    row = await latest(harbor, projector)

    assert (row["status"], row["message"]) == ("failed", message)


async def test_a_device_refuses_an_option_it_does_not_have(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await sent(harbor, projector, {"name": "set_input", "extra_params": {"input": "vga"}})
    simulator.tick(3)

    assert (await latest(harbor, projector))["message"] == "input is not an option"


async def test_a_reboot_takes_the_device_away_for_a_while(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await sent(harbor, projector, {"name": "reboot"})

    simulator.tick(2)
    during = (await harbor.get(f"/core/v1/organization/devices/{projector.id}")).json()
    simulator.tick(30)
    after = (await harbor.get(f"/core/v1/organization/devices/{projector.id}")).json()

    assert (during["status"], during["effective_status"]) == ("offline", "offline")
    assert (after["status"], after["effective_status"]) == ("online", "ok")
    assert (await latest(harbor, projector))["status"] == "done"
    assert not projector.incidents


async def test_firmware_comes_from_a_file(simulator: Simulator, harbor: httpx.AsyncClient, codec: Device) -> None:
    await sent(harbor, codec, {"name": "update_firmware"})
    simulator.tick(60)
    assert (await latest(harbor, codec))["message"] == "No such file"

    await sent(harbor, codec, {"name": "update_firmware", "file_id": codec.model.files[0]["id"]})
    simulator.tick(60)

    assert (await latest(harbor, codec))["status"] == "done"
    assert codec.firmware_version == "1.3.0"


async def test_a_device_does_one_thing_at_a_time_oldest_first(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    for level in (1, 2, 3):
        await sent(harbor, projector, {"name": "set_volume", "extra_params": {"level": level}})

    seen: list[Any] = []
    for _ in range(60):
        simulator.tick(0.1)
        statuses = [command.status for command in projector.commands[-3:]]
        assert statuses.count("in_progress") <= 1
        seen.append(projector.state.get("volume"))

    assert [value for value, before in zip(seen, [None, *seen], strict=False) if value != before] == [20, 1, 2, 3]


async def test_a_device_fails_when_it_is_told_to(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"fails": 1, "command_seconds": 0})

    for _ in range(2):
        await sent(harbor, projector, {"name": "power_on"})
    simulator.tick(1)

    assert [command.status for command in projector.commands[-2:]] == ["failed", "done"]


async def test_a_share_of_commands_fails_by_chance(harbor_light: Organization) -> None:
    simulator = create_simulator(Settings(failure_rate=0.5, command_seconds=0)).state.simulator
    device = next(iter(simulator.world.devices.values()))

    for _ in range(100):
        simulator.world.send(device, "x", "power_on", {}, None)
    simulator.tick(60)

    statuses = [command.status for command in device.commands[-100:]]
    assert 30 < statuses.count("failed") < 70
    assert statuses.count("failed") + statuses.count("done") == 100


async def test_a_silent_device_goes_offline_and_its_incident_closes_by_itself(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})
    simulator.tick(120)

    lost = (await harbor.get(f"/core/v1/organization/devices/{projector.id}")).json()
    query = {"status": "active", "issue": "offline", "title": "offline"}
    incidents = (await harbor.get("/core/v1/organization/incidents", params=query)).json()["items"]
    assert (lost["status"], lost["effective_status"]) == ("offline", "offline")
    assert incidents[0]["device_id"] == projector.id

    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": True})
    simulator.tick(2)

    assert (await harbor.get(f"/core/v1/organization/devices/{projector.id}")).json()["effective_status"] == "ok"
    assert not projector.incidents


async def test_a_suspended_device_opens_no_incident(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await harbor.post(f"/core/v1/organization/devices/{projector.id}/suspend_incidents")
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})

    simulator.tick(120)

    assert projector.status == "offline"
    assert not projector.incidents


async def test_children_of_a_lost_device_are_disconnected(
    simulator: Simulator, harbor_light: Organization, harbor: httpx.AsyncClient
) -> None:
    parent = device_called(harbor_light, "Board Room Audio Processor")
    child = device_called(harbor_light, "Board Room Ceiling Microphone")
    await harbor.post(f"/_simulator/devices/{parent.id}", json={"plugged": False})

    simulator.tick(120)

    row = (await harbor.get(f"/core/v1/organization/devices/{child.id}")).json()
    assert row["effective_status"] == "disconnected"
    assert not child.incidents


async def test_an_offline_device_does_its_commands_when_it_is_back(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})
    await sent(harbor, projector, {"name": "power_on"})
    simulator.tick(600)
    assert (await latest(harbor, projector))["status"] == "pending"

    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": True})
    simulator.tick(5)

    assert (await latest(harbor, projector))["status"] == "done"


async def test_a_command_cut_short_is_ended_on_return(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await sent(harbor, projector, {"name": "power_on"})
    simulator.tick(0.51)
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})
    simulator.tick(30)
    assert (await latest(harbor, projector))["status"] == "in_progress"

    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": True})
    simulator.tick(2)

    assert (await latest(harbor, projector))["status"] == "done"


async def test_a_started_command_fails_after_its_time_limit(
    simulator: Simulator, harbor: httpx.AsyncClient, projector: Device
) -> None:
    await sent(harbor, projector, {"name": "power_on"})
    simulator.tick(0.51)
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})

    simulator.tick(100)
    assert projector.connected
    simulator.tick(60)

    assert (await latest(harbor, projector))["message"] == "Command timed out"
    assert not projector.connected


async def test_a_cancelled_command_is_not_done(
    simulator: Simulator, harbor: httpx.AsyncClient, northwind: httpx.AsyncClient, projector: Device
) -> None:
    first = await sent(harbor, projector, {"name": "power_on"})
    second = await sent(harbor, projector, {"name": "set_volume", "extra_params": {"level": 3}})
    simulator.tick(0.51)
    path = COMMANDS.format(projector.id)

    assert (await harbor.delete(f"{path}/{first['id']}")).json() == {"success": True}
    simulator.tick(5)

    assert [command.status for command in projector.commands[-2:]] == ["aborted", "done"]
    assert projector.state["power"] == "off"
    assert (await harbor.delete(f"{path}/{second['id']}")).status_code == 422
    assert (await harbor.delete(f"{path}/nothing")).status_code == 404
    aborted = (await harbor.get(path, params={"status": "aborted"})).json()["items"]
    assert [row["id"] for row in aborted] == [first["id"]]


async def test_outages_come_and_go_by_themselves() -> None:
    simulator = create_simulator(Settings(outage_rate=20)).state.simulator

    simulator.tick(600)
    away = [one for one in simulator.world.devices.values() if one.away_until > simulator.world.clock.elapsed]
    simulator.settings.outage_rate = 0
    simulator.tick(1200)

    assert away
    assert all(device.connected for device in away)


async def test_a_device_without_a_loop_waits_for_its_own_agent(
    simulator: Simulator, harbor: httpx.AsyncClient, own: httpx.AsyncClient, codec: Device
) -> None:
    await harbor.post(f"/_simulator/devices/{codec.id}", json={"simulated": False})
    command = await sent(harbor, codec, {"name": "mute"})
    simulator.tick(20)
    assert (await own.get("/command")).json()["id"] == command["id"]

    await harbor.post(f"/_simulator/devices/{codec.id}", json={"simulated": True})
    simulator.tick(20)

    assert (await latest(harbor, codec))["status"] == "done"


async def test_a_deleted_device_stops(simulator: Simulator, harbor: httpx.AsyncClient, projector: Device) -> None:
    await harbor.delete(f"/core/v1/organization/devices/{projector.id}")
    reports = projector.reports

    simulator.tick(60)

    assert projector.reports == reports


async def test_a_device_carries_out_changes_of_its_licences(simulator: Simulator, harbor_light: Organization) -> None:
    rows = [row for row in harbor_light.licenses.values() if row.device is not None]
    rows[0].change, rows[1].change, rows[2].change = "remove", "add", "add"
    rows[2].state = "available"

    simulator.tick(30)

    assert [(row.state, row.change) for row in rows[:3]] == [("available", None), ("inuse", None), ("inuse", None)]


async def test_a_quiet_device_leaves_snapshots(simulator: Simulator, projector: Device) -> None:
    simulator.tick(1000)

    assert len(projector.snapshots) >= 3
    assert projector.reports > 80
