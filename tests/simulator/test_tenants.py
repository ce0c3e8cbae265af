"""Who sees what: keys, scopes and the walls between tenants."""

import httpx
import pytest

from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY, Settings, Simulator, create_simulator
from app.simulator.records import Device, Organization

INFO = "/core/v1/organization/info"


@pytest.mark.parametrize("key", [None, "", "unknown", f"Bearer {ORGANIZATION_KEYS[0]}", PARTNER_KEY])
async def test_only_an_organization_key_opens_an_organization(anyone: httpx.AsyncClient, key: str | None) -> None:
    response = await anyone.get(INFO, headers={} if key is None else {"Authorization": key})

    assert response.status_code == 401
    assert response.json() == {"error": "Not authorized"}


async def test_an_organization_key_does_not_open_the_partner_scope(harbor: httpx.AsyncClient) -> None:
    assert (await harbor.get("/core/v1/partner/devices")).status_code == 401


async def test_the_same_id_does_not_resolve_in_another_tenant(
    harbor: httpx.AsyncClient, northwind: httpx.AsyncClient, projector: Device
) -> None:
    path = f"/core/v1/organization/devices/{projector.id}"

    assert (await harbor.get(path)).status_code == 200
    assert (await northwind.get(path)).status_code == 404
    assert (await northwind.post(f"{path}/commands", json={"name": "power_on"})).status_code == 404


async def test_a_partner_sees_its_own_models_only(partner: httpx.AsyncClient, projector: Device, codec: Device) -> None:
    rows = (await partner.get("/core/v1/partner/devices")).json()["data"]

    assert {row["model"]["name"] for row in rows} == {"DSP-X200", "VC-500 Video Codec", "EyeTrack PTZ-20", "AirMic 360"}
    assert {row["claimed"] for row in rows} == {"Harbor Light Group", "Northwind Labs", None}
    assert (await partner.get(f"/core/v1/partner/devices/{codec.id}")).status_code == 200
    foreign = await partner.get(f"/core/v1/partner/devices/{projector.id}")
    assert foreign.status_code == 404
    assert foreign.json() == {"error": "Errors::NotFound"}


async def test_the_key_of_a_new_organization_works(anyone: httpx.AsyncClient, partner: httpx.AsyncClient) -> None:
    made = (
        await partner.post(
            "/core/v1/partner/organizations", json={"name": "Acme", "admin_contact_email": "admin@acme.example"}
        )
    ).json()

    info = (await anyone.get(INFO, headers={"Authorization": made["api_key"]})).json()

    assert info["id"] == made["id"]
    assert info["statistics"]["devices"] == 0


@pytest.mark.parametrize(
    "path", ["/core/v1/organization/nothing", "/core/v1", "/", "/v1/devices/x/y/z", "/core/v1/organization/devices/"]
)
async def test_an_unknown_path_is_a_json_404(harbor: httpx.AsyncClient, path: str) -> None:
    response = await harbor.get(path)

    assert response.status_code == 404
    assert "error" in response.json()


async def test_a_world_depends_on_its_seed_alone(simulator: Simulator, harbor_light: Organization) -> None:
    same = create_simulator(Settings(seed=1)).state.simulator
    other = create_simulator(Settings(seed=2)).state.simulator

    assert list(same.world.devices) == list(simulator.world.devices)
    assert [one.name for one in other.world.devices.values()] == [one.name for one in simulator.world.devices.values()]
    assert not set(other.world.devices) & set(simulator.world.devices)


def test_the_fleet_is_big_enough_to_be_interesting(harbor_light: Organization) -> None:
    rooms = [space for space in harbor_light.spaces.values() if space.space_type == "room"]
    names = [room.name for room in rooms]
    kinds = {room: {one.model.kind for one in harbor_light.devices.values() if one.space is room} for room in rooms}

    assert len(rooms) >= 12
    assert names.count("Board Room") == 1
    assert names.count("Huddle 1") == 2
    assert len(harbor_light.devices) >= 60
    assert len({device.model for device in harbor_light.devices.values()}) >= 10
    for equipment in filter(None, kinds.values()):
        assert equipment & {"Projector", "Display"}
        assert equipment & {"Soundbar", "Audio Processor"}
    assert sum(not equipment for equipment in kinds.values()) == 1
    assert {space.space_type for space in harbor_light.spaces.values()} == {"root", "customer", "site", "room"}


async def test_the_record_holds_no_key_and_the_raw_path(harbor: httpx.AsyncClient) -> None:
    await harbor.get("/core/v1/organization/devices/%2e%2e/notes?page=1")
    await harbor.post("/v1/devices", json=[{"hardware_key": "h"}, "x"])
    await harbor.post("/v1/devices", content=b"not json")

    rows = (await harbor.get("/_simulator/requests")).json()["requests"]

    assert ORGANIZATION_KEYS[0] not in str(rows)
    assert [row["path"] for row in rows] == ["/core/v1/organization/devices/%2e%2e/notes", "/v1/devices", "/v1/devices"]
    assert rows[0]["query"] == "page=1"
    assert rows[0]["tenant"] == "Harbor Light Group"
    assert [row["body"] for row in rows] == [None, [{"hardware_key": "*****"}, "x"], None]
    assert [row["status"] for row in rows] == [404, 422, 400]
