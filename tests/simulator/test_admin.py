"""The simulator's own endpoints."""

import httpx
import pytest

from app.simulator import Simulator
from app.simulator.records import Device


async def test_it_is_healthy(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/_simulator/health")).json() == {"status": "ok"}


async def test_requests_are_read_in_parts(harbor: httpx.AsyncClient) -> None:
    for path in ("info", "spaces", "info", "models"):
        await harbor.get(f"/core/v1/organization/{path}")

    first = (await harbor.get("/_simulator/requests", params={"limit": 2, "method": "get"})).json()
    rest = (await harbor.get("/_simulator/requests", params={"since": first["next"]})).json()
    infos = (await harbor.get("/_simulator/requests", params={"path": "/info", "limit": 9})).json()

    assert [row["path"].split("/")[-1] for row in first["requests"] + rest["requests"]] == [
        "info",
        "spaces",
        "info",
        "models",
    ]
    assert (rest["next"], rest["total"]) == (4, 4)
    assert [row["sequence"] for row in infos["requests"]] == [1, 3]
    assert {len(row["key_id"]) for row in infos["requests"]} == {8}


async def test_a_cleared_record_keeps_counting(harbor: httpx.AsyncClient) -> None:
    await harbor.get("/core/v1/organization/info")
    await harbor.delete("/_simulator/requests")
    assert (await harbor.get("/_simulator/requests")).json() == {"requests": [], "next": 1, "total": 1}

    await harbor.get("/core/v1/organization/info")

    assert [row["sequence"] for row in (await harbor.get("/_simulator/requests?since=1")).json()["requests"]] == [2]


async def test_devices_are_listed_without_their_keys(anyone: httpx.AsyncClient, projector: Device) -> None:
    rows = (await anyone.get("/_simulator/devices")).json()["devices"]

    row = next(row for row in rows if row["id"] == projector.id)
    assert row["space"] == "Harbor Light Group/EMEA/London/Board Room"
    assert row["access_key"] == "*****"
    assert any(row["organization"] is None and row["cloud_id"] for row in rows)
    assert projector.access_key not in str(rows)


async def test_a_device_can_be_broken(anyone: httpx.AsyncClient, simulator: Simulator, projector: Device) -> None:
    path = f"/_simulator/devices/{projector.id}"

    changed = (
        await anyone.post(path, json={"state": {"status": "error", "lamp_hours": 9}, "command_seconds": 3})
    ).json()
    simulator.tick(30)

    assert changed["state"]["lamp_hours"] == 9
    assert (projector.status, projector.command_seconds) == ("error", 3)
    await anyone.post(path, json={"command_seconds": None, "simulated": True})
    await anyone.post(path, json={"state": {"status": "offline"}})
    assert (projector.status, projector.reports_as, projector.command_seconds) == ("offline", "error", None)
    assert (await anyone.post(path, json={"command_seconds": "long"})).status_code == 422
    assert (await anyone.post("/_simulator/devices/unknown", json={})).status_code == 404


async def test_every_command_is_remembered_until_it_is_cleared(
    anyone: httpx.AsyncClient, harbor: httpx.AsyncClient, projector: Device, codec: Device
) -> None:
    assert (await anyone.get("/_simulator/commands")).json() == {"commands": []}
    for device in (projector, codec):
        await harbor.post(f"/core/v1/organization/devices/{device.id}/commands", json={"name": "power_on"})

    rows = (await anyone.get("/_simulator/commands")).json()["commands"]
    [one] = (await anyone.get("/_simulator/commands", params={"device_id": codec.id})).json()["commands"]
    [late] = (await anyone.get("/_simulator/commands", params={"since": rows[0]["sequence"]})).json()["commands"]

    assert [row["device_id"] for row in rows] == [projector.id, codec.id]
    assert one == late == rows[1]
    assert (one["tenant"], one["name"], one["status"]) == ("Harbor Light Group", "power_on", "pending")
    await anyone.delete("/_simulator/commands")
    assert (await anyone.get("/_simulator/commands")).json() == {"commands": []}
    assert codec.queue


async def test_time_passes_on_request(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.post("/_simulator/tick", json={"seconds": 2.5})).json() == {"elapsed": 2.5}
    assert (await anyone.post("/_simulator/tick", json={"seconds": -1})).status_code == 422


@pytest.mark.parametrize(("body", "seed"), [({}, 1), ({"seed": 7}, 7)])
async def test_the_world_starts_again(
    anyone: httpx.AsyncClient, simulator: Simulator, body: dict[str, int], seed: int
) -> None:
    before = list(simulator.world.devices)
    await anyone.post("/_simulator/faults", json={"kind": "reset"})

    assert (await anyone.post("/_simulator/reset", json=body)).json() == {"seed": seed}

    assert (list(simulator.world.devices) == before) == (seed == 1)
    assert not simulator.faults.rules


async def test_settings_change_while_it_runs(anyone: httpx.AsyncClient, simulator: Simulator) -> None:
    changed = (await anyone.patch("/_simulator/settings", json={"speed": 50, "failure_rate": 0.1})).json()

    assert (changed["speed"], changed["failure_rate"]) == (50, 0.1)
    assert changed == (await anyone.get("/_simulator/settings")).json()
    assert "webhook_secret" not in changed
    assert simulator.settings.speed == 50
    assert (await anyone.patch("/_simulator/settings", json={"speed": -1})).status_code == 422
    assert (await anyone.patch("/_simulator/settings", json={"colour": 1})).status_code == 422
