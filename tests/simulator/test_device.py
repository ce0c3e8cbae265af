"""The life of a device that is not simulated: it registers, reports, obeys and goes."""

from typing import Any

import httpx
import pytest

from app.simulator import Settings, Simulator, create_simulator
from app.simulator.fleet import device_called
from app.simulator.products import HEARTBEAT_MODEL_ID
from app.simulator.records import Device, Organization
from tests.simulator.conftest import BASE_URL, client_of

REGISTRATION = {
    "hardware_key": "fake-hardware-key-codec",
    "cloud_id": "codec-0001",
    "sn": "0001",
    "mac": "AA:BB:CC:00:00:01",
    "firmware_version": "1.0.0",
    "name": "My codec",
}


async def test_a_device_lives_from_registration_to_its_last_call(
    anyone: httpx.AsyncClient, harbor: httpx.AsyncClient, harbor_light: Organization, simulator: Simulator
) -> None:
    registered = (await anyone.post("/v1/devices", json=REGISTRATION)).json()
    headers = {"Authorization": registered["access_key"]}
    path = f"/v1/devices/{registered['id']}"
    assert registered["hub_url"] == BASE_URL
    assert len(registered["access_key"]) >= 32

    message = {"status": "online", "telemetries": {"speed": 3}}
    assert (await anyone.post(f"{path}/telemetry", json=message, headers=headers)).json()["space_data_version"] == 0
    assert (await anyone.get(f"{path}/space", headers=headers)).json() == {"error": "Device not in space"}
    claim = {"space_id": harbor_light.root.id, "cloud_id": "codec-0001"}
    assert (await harbor.post("/core/v1/organization/devices/claim", json=claim)).status_code == 200
    answer = (await anyone.post(f"{path}/telemetry", json=message, headers=headers)).json()
    assert (answer["space_data_version"], answer["command"]) == (1, False)

    commands = f"/core/v1/organization/devices/{registered['id']}/commands"
    file_id = answer["latest_fw_file_id"]
    sent = (await harbor.post(commands, json={"name": "update_firmware", "file_id": file_id})).json()
    assert (await anyone.post(f"{path}/telemetry", json=message, headers=headers)).json()["command"] is True
    command = (await anyone.get(f"{path}/command", headers=headers)).json()
    assert (command["id"], command["parameters"]["version"]) == (sent["id"], "1.3.0")
    for status in ("in_progress", "in_progress", "done"):
        body = {"id": sent["id"], "status": status, "message": "fine"}
        assert (await anyone.post(f"{path}/command", json=body, headers=headers)).json() == {"success": True}
    assert (await anyone.get(f"{path}/command", headers=headers)).json() == {}
    done = (await harbor.get(commands)).json()["items"][0]
    assert (done["status"], done["message"]) == ("done", "fine")

    again = await anyone.post("/v1/devices", json=REGISTRATION)
    assert (again.status_code, again.json()) == (422, {"error": "Cloud id has already been taken"})
    assert (await anyone.delete(path, headers=headers)).json() == {"success": True}
    assert (await anyone.get(path, headers=headers)).status_code == 401
    assert (await anyone.post("/v1/devices", json=REGISTRATION)).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"hardware_key": "unknown"}, 400, "Hardware key is invalid"),
        ({"firmware_version": None}, 422, "Firmware version can't be blank"),
        ({"sn": ""}, 422, "Sn can't be blank"),
        ({"cloud_id": None}, 422, "Cloud id can't be blank"),
        ({"hardware_key": "fake-hardware-key-display", "mac": None}, 422, "Mac can't be blank"),
        ({"sn": "$taken"}, 422, "Sn has already been taken"),
        ({"parent_id": "unknown"}, 422, "Parent not found"),
        ({"details": "none"}, 422, "Details must be an object"),
    ],
)
async def test_a_registration_has_to_be_complete(
    anyone: httpx.AsyncClient, codec: Device, change: dict[str, Any], status: int, error: str
) -> None:
    body = {name: codec.sn if value == "$taken" else value for name, value in (REGISTRATION | change).items()}

    response = await anyone.post("/v1/devices", json=body)

    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_a_smart_child_is_claimed_with_its_parent(
    anyone: httpx.AsyncClient, simulator: Simulator, harbor: httpx.AsyncClient, harbor_light: Organization
) -> None:
    parent = (await anyone.post("/v1/devices", json=REGISTRATION)).json()
    body = REGISTRATION | {"cloud_id": "child", "sn": "child", "parent_id": parent["id"]}
    child = (await anyone.post("/v1/devices", json=body)).json()
    claim = {"space_id": harbor_light.root.id, "cloud_id": "child"}
    assert (await harbor.post("/core/v1/organization/devices/claim", json=claim)).status_code == 422

    await harbor.post("/core/v1/organization/devices/claim", json=claim | {"cloud_id": "codec-0001"})

    assert simulator.world.devices[child["id"]].organization is harbor_light
    await harbor.delete(f"/core/v1/organization/devices/{parent['id']}")
    assert child["id"] not in simulator.world.devices


async def test_bulk_registration_answers_one_by_one(anyone: httpx.AsyncClient) -> None:
    answers = (await anyone.post("/v1/devices/bulk_create", json=[REGISTRATION, REGISTRATION, 5])).json()

    assert "access_key" in answers[0]
    assert answers[1:] == [{"error": "Cloud id has already been taken"}, {"error": "Hardware key is invalid"}]
    assert (await anyone.post("/v1/devices/bulk_create", json=[REGISTRATION] * 26)).status_code == 422
    assert (await anyone.post("/v1/devices/bulk_create", json={})).status_code == 422


async def test_a_child_reports_through_its_parent(own: httpx.AsyncClient, simulator: Simulator) -> None:
    body = {"model_id": HEARTBEAT_MODEL_ID, "firmware_version": "1.0.0", "sn": "c"}
    child = (await own.post("/children", json=body)).json()["id"]
    assert (await own.post("/children", json={"model_id": "x"})).json() == {"error": "Model not found"}

    good = await own.post("/children/telemetries", json={child: {"status": "online", "telemetries": {"a": 1}}})
    bad = await own.post(
        "/children/telemetries",
        json={
            child: {"status": "error", "telemetries": {"a": 2}},
            "unknown": {},
            "other": "x",
            "third": {"status": "?"},
        },
    )
    wrong = await own.post("/children/telemetries", json={child: {"status": "asleep"}})
    await own.post("/children/telemetries", json={child: "nothing"})

    assert good.json()[child]["success"] is True
    assert (bad.status_code, bad.json()[child]["success"]) == (422, True)
    assert wrong.json() == {child: {"error": "Status is invalid"}}
    assert (await own.get("/children")).json()[0]["state"] == {"a": 2, "status": "online"}
    assert simulator.world.devices[child].space is not None


async def test_a_child_of_an_unclaimed_device_is_unclaimed(anyone: httpx.AsyncClient, simulator: Simulator) -> None:
    parent = (await anyone.post("/v1/devices", json=REGISTRATION)).json()
    headers = {"Authorization": parent["access_key"]}
    body = {"model_id": HEARTBEAT_MODEL_ID, "firmware_version": "1.0.0"}

    child = (await anyone.post(f"/v1/devices/{parent['id']}/children", json=body, headers=headers)).json()

    assert simulator.world.devices[child["id"]].organization is None
    for path in ("license", "licenses"):
        assert not (await anyone.get(f"/v1/devices/{parent['id']}/{path}", headers=headers)).json()
    license_update = await anyone.post(f"/v1/devices/{parent['id']}/licenses", json={"id": "x"}, headers=headers)
    assert license_update.status_code == 404
    move = await anyone.put(f"/v1/devices/{parent['id']}/space/move", json={"target": "unsorted"}, headers=headers)
    assert move.status_code == 422
    event = {"name": "surge", "category": "power"}
    dropped = await anyone.post(f"/v1/devices/{parent['id']}/events", json=event, headers=headers)
    assert dropped.json() == {"status": True}
    assert simulator.world.devices[parent["id"]].events == []
    opened = await anyone.post(f"/v1/devices/{parent['id']}/incidents", json={"title": "x"}, headers=headers)
    assert opened.json() == {"incident_id": None}


async def test_children_may_share_a_serial_number(
    own: httpx.AsyncClient, harbor: httpx.AsyncClient, simulator: Simulator, codec: Device
) -> None:
    body = {"model_id": HEARTBEAT_MODEL_ID, "firmware_version": "1.0.0", "sn": "same"}
    children = [(await own.post("/children", json=body)).json()["id"] for _ in range(2)]

    for child in reversed(children):
        assert (await harbor.delete(f"/core/v1/organization/devices/{child}")).status_code == 200

    assert not codec.children
    assert (HEARTBEAT_MODEL_ID, "same") not in simulator.world.taken_serials


async def test_what_a_device_reports_is_its_history(
    anyone: httpx.AsyncClient, harbor: httpx.AsyncClient, harbor_light: Organization
) -> None:
    registered = (await anyone.post("/v1/devices", json=REGISTRATION)).json()
    claim = {"space_id": harbor_light.root.id, "cloud_id": "codec-0001"}
    await harbor.post("/core/v1/organization/devices/claim", json=claim)
    headers = {"Authorization": registered["access_key"]}
    for status in ("online", "online", "error"):
        message = {"status": status, "telemetries": {"a": 1}}
        await anyone.post(f"/v1/devices/{registered['id']}/telemetry", json=message, headers=headers)

    query = {"device_id": registered["id"]}
    rows = (await harbor.get("/core/v1/organization/devices/histories", params=query)).json()["items"]

    assert [row["state"]["status"] for row in rows] == ["error", "online"]


async def test_telemetry_is_merged_removed_and_overridden(own: httpx.AsyncClient, codec: Device) -> None:
    await own.post("/telemetry", json={"telemetries": {"a": 1, "b": 2}})
    await own.post("/telemetry", json={"telemetries": {"a": None, "c": True}, "status": "error"})
    assert codec.state["b"] == 2
    assert "a" not in codec.state
    assert codec.status == "error"

    await own.post(
        "/telemetry", json={"telemetries": {"d": "x"}, "override": True, "timestamp": "2026-01-01T00:00:00Z"}
    )

    assert codec.state == {"d": "x", "status": "online"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"status": "online"}, "Missing 'telemetries' object"),
        ({"telemetries": {"a": []}}, "Common telemetries.a must be string, number or boolean"),
        ({"status": "asleep", "telemetries": {}}, "Status is invalid"),
        ({"telemetries": {}, "timestamp": "yesterday"}, "Timestamp is invalid"),
    ],
)
async def test_bad_telemetry_is_refused(own: httpx.AsyncClient, body: dict[str, Any], error: str) -> None:
    response = await own.post("/telemetry", json=body)

    assert (response.status_code, response.json()) == (422, {"error": error})


async def test_mass_telemetry_checks_each_token(anyone: httpx.AsyncClient, codec: Device) -> None:
    body = {codec.id: {"access_token": codec.access_key, "status": "online"}, "x": {"access_token": "y"}, "z": 1}

    answers = (await anyone.post("/v1/devices/telemetries", json=body)).json()

    assert answers.pop(codec.id)["success"] is True
    assert answers == {name: {"error": "Invalid access token"} for name in "xz"}
    assert (await anyone.post("/v1/devices/telemetries", json=dict.fromkeys(map(str, range(101))))).status_code == 422


async def test_a_device_reports_on_its_own_open_commands_only(
    own: httpx.AsyncClient, simulator: Simulator, codec: Device, projector: Device
) -> None:
    foreign = simulator.world.send(projector, "x", "power_on", {}, None)
    mine = simulator.world.send(codec, "x", "mute", {}, None)
    assert foreign is not None
    assert mine is not None

    for body in ({}, {"id": foreign.id}):
        response = await own.post("/command", json=body)
        assert (response.status_code, response.json()) == (404, {"error": "no command"})
    wrong = await own.post("/command", json={"id": mine.id, "status": "completed"})

    assert (wrong.status_code, wrong.json()) == (422, {"error": "invalid status: done/in-progress/failed"})


async def test_an_old_config_is_refused(own: httpx.AsyncClient) -> None:
    assert (await own.post("/config", json={"input": "hdmi1"})).json() == {"success": True, "version": 1}
    assert (await own.post("/config", json={"version": 1, "config": {"input": "hdmi2"}})).json()["version"] == 2

    old = await own.post("/config", json={"version": 1, "config": {}})

    assert (old.status_code, old.json()) == (422, {"error": "Error setting config with old version, latest is 2"})
    assert (await own.get("/config")).json()["config"] == {"input": "hdmi2"}


async def test_update_device_takes_known_fields_ten_times_an_hour(own: httpx.AsyncClient, codec: Device) -> None:
    path = f"{BASE_URL}/v1/devices/{codec.id}"
    assert (await own.put(path, json={"colour": "red"})).status_code == 400
    for number in range(10):
        body = {"config_version": str(number), "details": {"a": 1}, "firmware_version": "2.0.0"}
        assert (await own.put(path, json=body)).status_code == 200

    assert (await own.put(path, json={"name": "x"})).status_code == 429
    codec.updates[0] -= 3600
    assert (await own.put(path, json={"name": "x"})).json()["name"] == "x"
    assert (codec.applied_config_version, codec.details, codec.firmware_version) == (9, {"a": 1}, "2.0.0")


async def test_too_many_calls_of_a_device_are_a_429() -> None:
    application = create_simulator(Settings(device_rate_limit=2, update_device_limit=0))
    device = next(iter(application.state.simulator.world.devices.values()))

    async with client_of(application, device.access_key) as client:
        statuses = [(await client.get(f"/v1/devices/{device.id}")).status_code for _ in range(3)]
        device.calls.extendleft([0.0])
        device.calls = type(device.calls)(at - 30 for at in device.calls)
        statuses.append((await client.put(f"/v1/devices/{device.id}", json={})).status_code)

    assert statuses == [200, 200, 429, 200]


async def test_space_info_knows_the_place(own: httpx.AsyncClient, codec: Device) -> None:
    space = (await own.get("/space")).json()

    assert (space["name"], space["location"]["name"]) == ("Board Room", "London, UK")
    assert (await own.put("/space/move", json={"target": "follow_parent"})).status_code == 422
    assert (await own.put("/space/move", json={"target": "unsorted"})).json()["location"] is None
    assert (await own.put("/space/move", json={"target": "unsorted"})).json()["name"] == "Unsorted"


async def test_a_child_follows_its_parent(anyone: httpx.AsyncClient, harbor_light: Organization) -> None:
    child = device_called(harbor_light, "Board Room Ceiling Microphone")
    headers = {"Authorization": child.access_key}
    await anyone.put(f"/v1/devices/{child.id}/space/move", json={"target": "unsorted"}, headers=headers)

    moved = await anyone.put(f"/v1/devices/{child.id}/space/move", json={"target": "follow_parent"}, headers=headers)

    assert moved.json()["name"] == "Board Room"


async def test_cloud_settings_suspend_incidents(own: httpx.AsyncClient, codec: Device) -> None:
    assert (await own.put("/cloud_settings", json={})).status_code == 422
    await own.put("/cloud_settings", json={"property": "other", "value": 1})
    assert not codec.incidents_suspended

    await own.put("/cloud_settings", json={"incidents.suspend_creation": True})

    assert codec.incidents_suspended
    assert (await own.post("/incidents", json={"title": "x"})).json() == {"incident_id": None}


async def test_a_device_closes_its_own_incidents_only(
    own: httpx.AsyncClient, simulator: Simulator, codec: Device
) -> None:
    for issue in ("user", "rule_1"):
        simulator.world.open_incident(codec, issue, None, "low", issue)
    opened = [(await own.post("/incidents", json={"title": "x", "issue": "x"})).json()["incident_id"] for _ in range(2)]
    assert opened[0] == opened[1]
    await own.post("/incidents", json={"title": "no code"})
    rule = codec.incidents["rule_1"]

    assert (await own.delete("/incidents")).json() == {"success": True}
    assert {row["issue"] for row in (await own.get("/incidents")).json()} == {"user", "rule_1"}
    assert (await own.delete(f"/incidents/{rule.id}")).json() == {"success": True}
    assert rule.status == "active"
    assert (await own.delete("/incidents/unknown")).json() == {"error": "Incident not found"}
    assert (await own.post("/incidents", json={"title": "x", "priority": 6})).status_code == 422


async def test_licences_change_as_documented(own: httpx.AsyncClient, harbor_light: Organization, codec: Device) -> None:
    row = next(row for row in harbor_light.licenses.values() if row.state == "inuse")
    row.device, row.change, row.expires_at = codec, "add", None

    assert (await own.get("/licenses")).json()[0]["add"] is True
    wrong = await own.post("/licenses", json={"id": row.id, "state": "error"})
    assert wrong.json() == {"error": "State can't switch to error from inuse"}
    assert "expires_at" not in (await own.post("/licenses", json={"id": row.id, "state": "inuse"})).json()
    row.state = "renew"
    assert (await own.post("/licenses", json={"id": row.id, "state": "error"})).status_code == 200
    assert row.state == "error"
    assert (await own.post("/licenses", json={"id": row.id, "state": "removed"})).status_code == 200
    assert (row.state, row.device) == ("available", None)
    assert (await own.post("/licenses", json={"id": row.id})).json() == {"error": "Couldn't find License"}


async def test_dumps_grow(own: httpx.AsyncClient, codec: Device) -> None:
    dump_id = (await own.post("/dumps/text%2Fplain/boot.log", content=b"one")).json()["id"]

    assert (await own.put(f"/dumps/{dump_id}", content=b"two")).json() == {"length": 6}
    assert (await own.put("/dumps/unknown", content=b"two")).status_code == 404
    assert (await own.post("/dumps/text%2Fplain/boot.log")).json() == {"error": "Data can't be blank"}
    assert (await own.get("/files/unknown")).json() == {"error": "File not found"}
    assert bytes(codec.dumps[dump_id]) == b"onetwo"


async def test_a_partner_reads_what_a_device_reported(
    partner: httpx.AsyncClient, own: httpx.AsyncClient, simulator: Simulator, codec: Device
) -> None:
    path = f"/core/v1/partner/devices/{codec.id}"
    before = (await partner.get(f"{path}/telemetries")).json()
    await own.post("/telemetry", json={"telemetries": {"a": 1}})

    after = (await partner.get(f"{path}/telemetries")).json()

    assert len(before) == 4
    assert [row["telemetries"] for row in after] == [{"a": 1, "status": "online"}]
    history = await partner.get(
        f"{path}/history", params={"status": "online", "from": "2000-01-01", "to": "2001-01-01"}
    )
    assert history.json()["data"] == []
    silent = simulator.world.register(codec.model, "s", name=None, firmware_version="1")
    assert (await partner.get(f"/core/v1/partner/devices/{silent.id}/telemetries")).json() == []
    found = await partner.get("/core/v1/partner/devices", params={"sn": codec.sn, "model_id": codec.model.id})
    assert [row["id"] for row in found.json()["data"]] == [codec.id]
    assert (await partner.get("/core/v1/partner/devices", params={"mac": "x"})).json()["data"] == []
    assert (await partner.delete(path)).json() == {"success": True}
    assert (await own.get(f"{BASE_URL}/v1/devices/{codec.id}")).status_code == 401
