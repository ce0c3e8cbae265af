"""The rules of the organization scope beyond the shapes: filters, limits, conflicts."""

from typing import Any

import httpx
import pytest

from app.simulator import Settings, Simulator, create_simulator
from app.simulator.fleet import device_called
from app.simulator.records import Device, Organization
from app.simulator.views import effective_status
from tests.simulator.conftest import client_of

BASE = "/core/v1/organization"


async def items(client: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    response = await client.get(f"{BASE}/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()["items"]


@pytest.mark.parametrize(
    "query",
    [
        "devices?per_page=101",
        "devices?per_page=0",
        "devices?page=0",
        "devices?page=x",
        "devices?space_id=1",
        "licenses?per_page=101",
        "licenses?state=broken",
        "licenses?assigned=perhaps",
        "licenses?expires_before=tomorrow",
        "models?per_page=101",
        "devices/histories?per_page=1001",
        "devices/histories?from=0&to=2700000",
        "devices/histories?from=0",
        "devices/histories?status=asleep",
        "incidents?per_page=501",
        "incidents?status=open",
        "incidents?priority=huge",
        "assets/labels/colour",
        "edges/devices/get_ping_status?proxy_id={edge}&device_ip=10.9.9.9",
        "edges/devices/get_claim_status?proxy_id={edge}&device_ip=10.9.9.9",
    ],
)
async def test_an_invalid_query_is_a_422(harbor: httpx.AsyncClient, harbor_light: Organization, query: str) -> None:
    response = await harbor.get(f"{BASE}/{query.format(edge=next(iter(harbor_light.edges)))}")

    assert response.status_code == 422
    assert response.json()["error"]


async def test_pages_cover_everything_once(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    seen: list[str] = []
    number: int | None = 1
    while number is not None:
        page = (await harbor.get(f"{BASE}/devices", params={"page": number, "per_page": 30})).json()
        seen += [row["id"] for row in page["items"]]
        assert page["has_next_page"] == (page["next_page"] is not None)
        number = page["next_page"]

    assert seen == list(harbor_light.devices)


@pytest.mark.parametrize(
    ("continuation", "fields"), [("next_page", {"items", "next_page"}), ("has_next_page", {"items", "has_next_page"})]
)
async def test_either_continuation_field_can_be_left_out(continuation: Any, fields: set[str]) -> None:
    application = create_simulator(Settings(page_continuation=continuation))
    key = next(
        iter(application.state.simulator.world.keys.keys() - {"fake-orbitone-partner-key-for-tests-000000000001"})
    )

    async with client_of(application, key) as client:
        assert (await client.get(f"{BASE}/devices")).json().keys() == fields


async def test_devices_of_a_site_include_those_of_its_rooms(
    harbor: httpx.AsyncClient, harbor_light: Organization
) -> None:
    paris = next(space for space in harbor_light.spaces.values() if space.name == "Paris")

    rows = await items(harbor, "devices", space_id=paris.id)

    assert len(rows) == 18
    assert all("/Paris/" in row["space"]["full_path"] for row in rows)


async def test_histories_go_back_for_weeks_and_are_the_same_each_time(
    harbor: httpx.AsyncClient, simulator: Simulator, projector: Device
) -> None:
    end = int(simulator.world.clock.started) - 86400
    query = {"device_id": projector.id, "from": end - 30 * 86400, "to": end, "per_page": 1000}

    rows = await items(harbor, "devices/histories", **query)

    assert len(rows) == 120
    assert rows == await items(harbor, "devices/histories", **query)
    assert [row["created_at"] for row in rows] == sorted((row["created_at"] for row in rows), reverse=True)


async def test_histories_are_filtered_by_what_the_device_is_now(
    harbor: httpx.AsyncClient, harbor_light: Organization
) -> None:
    space = device_called(harbor_light, "Executive Suite Display").space
    assert space is not None

    rows = await items(harbor, "devices/histories", status="offline", space_id=space.id, name="display")

    assert {row["name"] for row in rows} == {"Executive Suite Display"}
    assert {row["state"]["status"] for row in rows} > {"online"}


async def test_a_device_never_seen_has_no_history(
    harbor: httpx.AsyncClient, simulator: Simulator, harbor_light: Organization, codec: Device
) -> None:
    device = simulator.world.register(codec.model, "s", name="Silent", firmware_version="1.0.0")
    simulator.world.claim(device, harbor_light, harbor_light.root)

    assert await items(harbor, "devices/histories", device_id=device.id) == []
    assert (await harbor.get(f"{BASE}/devices/{device.id}")).json()["effective_status"] == "never_seen"


async def test_incidents_of_the_last_week_unless_asked_for_more(
    harbor: httpx.AsyncClient, simulator: Simulator
) -> None:
    week = await items(harbor, "incidents")
    everything = await items(harbor, "incidents", **{"from": 0, "to": int(simulator.world.now())})

    assert 0 < len(week) < len(everything)
    assert {row["status"] for row in everything} == {"active", "closed"}


async def test_an_incident_of_simulated_future_is_found_by_who_means_now(
    harbor: httpx.AsyncClient, simulator: Simulator, projector: Device
) -> None:
    await harbor.post(f"/_simulator/devices/{projector.id}", json={"plugged": False})
    now = int(simulator.world.clock.wall())
    simulator.tick(200)

    rows = await items(harbor, "incidents", **{"from": now - 3600, "to": now, "status": "active"})

    assert projector.id in {row["device_id"] for row in rows}


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ({"priority": "critical"}, {"Fan failure"}),
        ({"description": "INTAKE"}, {"Fan failure"}),
        ({"title": "slanted"}, {"Blinds hang slanted"}),
        ({"issue": "user"}, {"Blinds hang slanted"}),
        ({"partner_name": "Crosspoint Labs"}, {"Temperature is too high"}),
        ({"device_model": "MX-88 Matrix Switcher"}, {"Temperature is too high"}),
        ({"sub_model": "none"}, set[str]()),
    ],
)
async def test_incidents_are_filtered(harbor: httpx.AsyncClient, query: dict[str, str], titles: set[str]) -> None:
    assert {row["title"] for row in await items(harbor, "incidents", **query)} == titles


async def test_incidents_of_a_space(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    space = device_called(harbor_light, "Tower Auditorium Projector").space
    assert space is not None

    assert [row["title"] for row in await items(harbor, "incidents", space_id=space.id)] == ["Fan failure"]


async def test_a_closed_incident_stays_on_record(harbor: httpx.AsyncClient) -> None:
    [incident] = await items(harbor, "incidents", priority="critical")

    assert (await harbor.delete(f"{BASE}/incidents/{incident['id']}")).json() == {"success": True}

    assert (await items(harbor, "incidents", priority="critical"))[0]["status"] == "closed"


def test_health_follows_incidents_and_reports(harbor_light: Organization, simulator: Simulator) -> None:
    assert effective_status(device_called(harbor_light, "Tower Auditorium Projector")) == "error"
    assert effective_status(device_called(harbor_light, "Broadcast Studio Matrix Switcher")) == "warning"
    assert effective_status(device_called(harbor_light, "Executive Suite Display")) == "offline"


async def test_devices_are_claimed_by_either_identity(
    harbor: httpx.AsyncClient, simulator: Simulator, harbor_light: Organization
) -> None:
    space_id = harbor_light.root.id
    unclaimed = {one.name: one for one in simulator.world.devices.values() if one.organization is None}
    codec, display = unclaimed["New Video Codec"], unclaimed["New Display"]

    by_id = await harbor.post(f"{BASE}/devices/claim", json={"space_id": space_id, "cloud_id": codec.cloud_id})
    by_address = await harbor.post(
        f"{BASE}/devices/claim", json={"space_id": str(space_id), "mac": display.mac, "sn": display.sn, "name": "Hall"}
    )

    assert by_id.json()["name"] == "New Video Codec"
    assert by_address.json()["name"] == "Hall"
    assert codec.space_version == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"cloud_id": "x"}, "Space can't be blank"),
        ({"space_id": 1, "cloud_id": "x"}, "Space not found"),
        ({"space_id": "attic", "cloud_id": "x"}, "space_id is not a number"),
        ({"space_id": "$root"}, "Either cloud_id or mac and sn are required"),
        ({"space_id": "$root", "cloud_id": "x"}, "Device not found"),
        ({"space_id": "$root", "mac": "x", "sn": "y"}, "Device not found"),
        ({"space_id": "$root", "cloud_id": "$claimed"}, "Device has already been claimed"),
        ({"space_id": "$root", "cloud_id": 5}, "Cloud id must be a string"),
    ],
)
async def test_a_claim_needs_a_free_device_and_a_space(
    harbor: httpx.AsyncClient, harbor_light: Organization, codec: Device, body: dict[str, Any], error: str
) -> None:
    values = {"$root": harbor_light.root.id, "$claimed": codec.cloud_id}

    response = await harbor.post(f"{BASE}/devices/claim", json={k: values.get(v, v) for k, v in body.items()})

    assert (response.status_code, response.json()) == (422, {"error": error})


async def test_configuration_raises_its_version(
    harbor: httpx.AsyncClient, own: httpx.AsyncClient, codec: Device
) -> None:
    await harbor.patch(
        f"{BASE}/devices/{codec.id}", json={"configuration": {"a": 1}, "device_host_address": "10.0.0.4"}
    )

    config = (await own.get("/config")).json()

    assert (config["version"], config["config"]) == (1, {"a": 1})
    assert codec.host_address == "10.0.0.4"


async def test_custom_parameters_are_masked_and_replaced_whole(
    harbor: httpx.AsyncClient, harbor_light: Organization
) -> None:
    path = f"{BASE}/devices/{device_called(harbor_light, 'London Network Switch').id}"
    before = (await harbor.get(path)).json()["custom_parameters"]

    after = (await harbor.patch(path, json={"custom_parameters": {"Port": "162"}})).json()["custom_parameters"]

    assert before == {"SNMP community": "public", "Port": "161", "Password": "*****"}
    assert after == {"SNMP community": None, "Port": "162", "Password": ""}
    assert (await harbor.patch(path, json={"custom_parameters": {"Colour": "red"}})).status_code == 422


async def test_custom_parameters_are_for_edge_devices(harbor: httpx.AsyncClient, codec: Device) -> None:
    path = f"{BASE}/devices/{codec.id}"

    assert "custom_parameters" not in (await harbor.get(path)).json()
    assert (await harbor.patch(path, json={"custom_parameters": {}})).status_code == 422
    assert (await harbor.patch(path, json={"configuration": "x"})).status_code == 422
    assert (await harbor.patch(path, content=b"[1]")).status_code == 422
    assert (await harbor.patch(path, content=b"{")).status_code == 400


async def test_a_device_moves_within_its_customer_only(
    harbor: httpx.AsyncClient, harbor_light: Organization, codec: Device
) -> None:
    spaces = {space.name: space.id for space in harbor_light.spaces.values()}

    near = await harbor.post(f"{BASE}/devices/{codec.id}/move", json={"space_id": spaces["Louvre"]})
    far = await harbor.post(f"{BASE}/devices/{codec.id}/move", json={"space_id": spaces["Hudson"]})

    assert near.json()["space"]["full_path"] == "Harbor Light Group/EMEA/Paris/Louvre"
    assert far.status_code == 422


async def test_a_group_holds_four_and_shows_the_worst(
    harbor: httpx.AsyncClient, harbor_light: Organization, codec: Device
) -> None:
    ids = [device.id for device in harbor_light.devices.values() if device is not codec][:4]
    failing = device_called(harbor_light, "Tower Auditorium Projector").id
    path = f"{BASE}/devices/{codec.id}"

    merged = await harbor.post(f"{path}/merge", json={"with_device_ids": [failing, *ids[:2]]})

    assert (merged.json()["effective_status"], merged.json()["merged_effective_status"]) == ("ok", "error")
    for wrong in ([ids[2]], [codec.id], [], "x", [5]):
        assert (await harbor.post(f"{path}/merge", json={"with_device_ids": wrong})).status_code == 422
    unknown = await harbor.post(f"{path}/merge", json={"with_device_ids": ["unknown"]})
    assert unknown.status_code == 404
    assert (await harbor.post(f"{path}/split", json={"shadow_device_id": ids[3]})).status_code == 422
    split = await harbor.post(f"{path}/split", json={"shadow_device_id": failing})
    assert split.json()["merged_effective_status"] == "ok"
    assert (await harbor.delete(path)).status_code == 200
    assert all(device.primary is None for device in harbor_light.devices.values())


async def test_edge_jobs_are_pending_for_a_while(
    harbor: httpx.AsyncClient, simulator: Simulator, harbor_light: Organization
) -> None:
    edge = next(iter(harbor_light.edges))
    model_id = next(model.id for model in simulator.world.models.values() if model.key == "network_switch")
    job = {"proxy_id": edge, "device_ip": "10.0.0.7"}
    claim = job | {"device_model_id": model_id, "space_id": None, "mac": "AABB.CC"}
    jobs = f"{BASE}/edges/devices"

    assert (await harbor.post(f"{jobs}/start_ping", json=job)).status_code == 204
    assert (await harbor.get(f"{jobs}/get_ping_status", params=job)).json() == {"status": "pending"}
    assert (await harbor.post(f"{jobs}/start_claim", json=claim)).json() == {"error": "Mac is invalid"}
    claim["mac"] = "AA-BB-CC-00-11-22"
    assert (await harbor.post(f"{jobs}/start_claim", json=claim)).json() == {"error": "Device is not reachable"}
    simulator.tick(5)
    assert (await harbor.get(f"{jobs}/get_ping_status", params=job)).json() == {"status": "success"}
    assert (await harbor.post(f"{jobs}/start_claim", json=claim)).status_code == 204
    assert (await harbor.get(f"{jobs}/get_claim_status", params=job)).json() == {"result": "pending"}
    simulator.tick(5)
    assert (await harbor.get(f"{jobs}/get_claim_status", params=job)).json() == {"result": "success"}

    claimed = list(harbor_light.devices.values())[-1]
    assert (claimed.mac, claimed.host_address, claimed.status) == ("aa:bb:cc:00:11:22", "10.0.0.7", "online")
    renamed = await harbor.post(f"{jobs}/{claimed.id}/update_hostname", json={"device_ip": "10.0.0.7"})
    assert renamed.json() == {"success": True}
    away = await harbor.post(f"{jobs}/{claimed.id}/update_hostname", json={"device_ip": "10.0.0.8"})
    assert away.status_code == 400
    assert (await harbor.post(f"{jobs}/{claimed.id}/update_hostname", json={})).status_code == 400
    assert (await harbor.post(f"{jobs}/{claimed.id}/update_hostname", json={"device_ip": "a b"})).status_code == 422


async def test_an_address_that_does_not_answer_cannot_be_claimed(
    harbor: httpx.AsyncClient, simulator: Simulator, harbor_light: Organization
) -> None:
    simulator.settings.edge_early_refusal = True
    job = {"proxy_id": next(iter(harbor_light.edges)), "device_ip": "192.0.2.1"}
    claim = job | {"device_model_id": "5dc4ba6c-c323-4118-a4e4-504f074426f2", "skip_connectivity_check": True}
    jobs, devices = f"{BASE}/edge/devices", len(harbor_light.devices)

    assert (await harbor.post(f"{jobs}/start_claim", json=claim)).status_code == 204
    assert (await harbor.get(f"{jobs}/get_claim_status", params=job)).status_code == 422
    simulator.tick(5)

    assert (await harbor.get(f"{jobs}/get_claim_status", params=job)).json() == {"result": "failed"}
    assert len(harbor_light.devices) == devices


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "Must provide proxy id"),
        ({"proxy_id": "unknown"}, 400, "Proxy not found"),
        ({"proxy_id": "$edge", "device_ip": "10.0.0.1", "device_model_id": "x"}, 422, "Model not found"),
    ],
)
async def test_an_edge_claim_needs_an_edge_and_a_model(
    harbor: httpx.AsyncClient, harbor_light: Organization, body: dict[str, str], status: int, error: str
) -> None:
    values = {"$edge": next(iter(harbor_light.edges))}

    response = await harbor.post(
        f"{BASE}/edges/devices/start_claim", json={k: values.get(v, v) for k, v in body.items()}
    )

    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_an_edge_device_may_stay_without_address_and_space(
    harbor: httpx.AsyncClient, simulator: Simulator, harbor_light: Organization
) -> None:
    edge = next(iter(harbor_light.edges.values()))
    claim = {
        "proxy_id": edge.id,
        "device_ip": "10.0.0.1",
        "device_model_id": "5dc4ba6c-c323-4118-a4e4-504f074426f2",
        "skip_connectivity_check": True,
    }

    await harbor.post(f"{BASE}/edges/devices/start_claim", json=claim)
    simulator.tick(5)

    device = list(harbor_light.devices.values())[-1]
    assert (device.mac, device.space) == (None, edge.space)


async def test_spaces_are_found_or_made_along_a_path(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    body = {"name": "Annex / First floor", "config": {"temperature_units": "celsius"}}

    made = (await harbor.post(f"{BASE}/spaces/find_or_create", json=body)).json()
    found = (await harbor.post(f"{BASE}/spaces/find_or_create", json=body)).json()

    assert (made["found"], found["found"]) == (False, True)
    assert made["id"] == found["id"]
    assert made["full_path"] == "Harbor Light Group/Annex/First floor"
    assert made["config"] == {"temperature_units": "celsius"}


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"space_type": "room"}, 15),
        ({"name": "Huddle 1"}, 2),
        ({"path_includes": "/paris/"}, 4),
        ({"created_before": "2001-01-01T00:00:00"}, 0),
        ({"created_after": "2001-01-01T00:00:00Z", "space_type": "site"}, 3),
        ({"parent_id": "$root"}, 2),
        ({"id": "$root"}, 1),
    ],
)
async def test_spaces_are_filtered(
    harbor: httpx.AsyncClient, harbor_light: Organization, query: dict[str, str], count: int
) -> None:
    values = {"$root": harbor_light.root.id}

    assert len(await items(harbor, "spaces", **{k: values.get(v, v) for k, v in query.items()})) == count


async def test_sibling_spaces_have_different_names(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    spaces = {space.full_path.removeprefix("Harbor Light Group/"): space.id for space in harbor_light.spaces.values()}
    london, board = spaces["EMEA/London"], spaces["EMEA/London/Board Room"]

    clash = await harbor.post(f"{BASE}/spaces", json={"name": "Board Room", "parent_id": london})
    renamed = await harbor.put(f"{BASE}/spaces/{board}", json={"name": "Thames"})
    same = await harbor.patch(f"{BASE}/spaces/{board}", json={"name": "Board Room", "config": {"img": "x"}})

    assert (clash.status_code, renamed.status_code, same.status_code) == (422, 422, 200)
    assert same.json()["config"] == {"img": "x"}


async def test_a_space_moves_but_not_into_itself(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    spaces = {space.name: space for space in harbor_light.spaces.values()}
    louvre, london, root = spaces["Louvre"], spaces["London"], harbor_light.root

    moved = await harbor.put(f"{BASE}/spaces/{louvre.id}", json={"parent_id": london.id})
    inside = await harbor.put(f"{BASE}/spaces/{london.id}", json={"parent_id": louvre.id})
    nowhere = await harbor.put(f"{BASE}/spaces/{london.id}", json={"parent_id": 1})
    named = await harbor.put(f"{BASE}/spaces/{root.id}", json={"name": "Harbor"})

    assert moved.json()["full_path"] == "Harbor Light Group/EMEA/London/Louvre"
    assert (inside.status_code, nowhere.status_code) == (422, 422)
    assert named.json()["name"] == "Harbor"


async def test_only_an_empty_space_can_be_deleted(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    spaces = {space.name: space.id for space in harbor_light.spaces.values()}

    statuses = [
        (await harbor.delete(f"{BASE}/spaces/{space_id}")).status_code
        for space_id in (harbor_light.root.id, spaces["London"], spaces["Louvre"], spaces["Quiet Room"], "attic", 1)
    ]

    assert statuses == [422, 422, 422, 200, 404, 404]


@pytest.mark.parametrize(
    ("query", "states"),
    [
        ("state=inuse,renew", {"inuse", "renew"}),
        ("state[]=error&state[]=available", {"error", "available"}),
        ("assigned=false", {"available"}),
        ("warranty=true&transferable=1", {"inuse", "error", "disable"}),
        ("order_short_id=ORD-SIM002", {"inuse"}),
        ("device_id=nothing", set[str]()),
        ("expires_before=2000-01-01T00:00:00", set[str]()),
        ("expires_after=2000-01-01T00:00:00Z&assigned=0", {"available"}),
        ("product_id=x&device_model_id=y&bound_device_sn=z", set[str]()),
    ],
)
async def test_licences_are_filtered(harbor: httpx.AsyncClient, query: str, states: set[str]) -> None:
    rows = (await harbor.get(f"{BASE}/licenses?{query}")).json()["items"]

    assert {row["state"] for row in rows} == states


async def test_licences_come_newest_first(harbor: httpx.AsyncClient) -> None:
    times = [row["created_at"] for row in await items(harbor, "licenses")]

    assert times == sorted(times, reverse=True)


async def test_models_are_searched(harbor: httpx.AsyncClient) -> None:
    assert {row["vendor"] for row in await items(harbor, "models", search="PROJECTOR")} == {"Lumenor"}
    assert {row["model"] for row in await items(harbor, "models", edge_only="true")} == {"SNMP Switch 24", "Heartbeat"}
    assert (await harbor.get(f"{BASE}/models/unknown")).status_code == 404


async def test_an_unknown_label_is_made(harbor: httpx.AsyncClient) -> None:
    body = {"name": "Cable", "manufacturer": "Newcomer", "status": "Spare"}

    asset = (await harbor.post(f"{BASE}/assets", json=body)).json()
    again = (
        await harbor.post(f"{BASE}/assets", json=body | {"manufacturer": {"id": asset["manufacturer"]["id"]}})
    ).json()

    labels = (await harbor.get(f"{BASE}/assets/labels/manufacturer")).json()["items"]
    assert [row["name"] for row in labels].count("Newcomer") == 1
    assert again["manufacturer"] == asset["manufacturer"]
    assert asset["device_type"] is None


@pytest.mark.parametrize(
    "body",
    [{}, {"name": " "}, {"name": "x", "status": {"id": "?"}}, {"name": "x", "status": 5}, {"name": "x", "space_id": 1}],
)
async def test_an_invalid_asset_is_refused(harbor: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await harbor.post(f"{BASE}/assets", json=body)).status_code == 422


async def test_assets_are_filtered(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    asset = next(iter(harbor_light.assets.values()))

    assert len(await items(harbor, "assets", name="board room")) == 1
    assert len(await items(harbor, "assets", serial_number=asset.serial_number)) == 1
    assert len(await items(harbor, "assets", space_id=asset.space_id)) == 1


async def test_notes_belong_to_one_thing(
    harbor: httpx.AsyncClient, harbor_light: Organization, projector: Device
) -> None:
    note = next(one for one in harbor_light.notes.values() if one.device_id != projector.id)

    assert (await harbor.delete(f"{BASE}/devices/{projector.id}/notes/{note.id}")).status_code == 404
    made = await harbor.post(f"{BASE}/devices/{projector.id}/notes", json={"content": "x"})
    assert made.json()["created_by"] is None


async def test_a_ticket_is_resolved_once(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    ticket = next(iter(harbor_light.tickets))

    first = await harbor.post(f"{BASE}/tickets/{ticket}/resolved")
    second = await harbor.post(f"{BASE}/tickets/{ticket}/resolved")

    assert first.json() == {"success": True}
    assert (second.status_code, second.json()) == (403, {"error": "Cannot move from resolved to resolved"})
    assert ticket not in {row["id"] for row in (await harbor.get(f"{BASE}/tickets")).json()}


async def test_a_message_appears_in_the_ticket(
    harbor: httpx.AsyncClient, partner: httpx.AsyncClient, harbor_light: Organization
) -> None:
    ticket = next(one.id for one in harbor_light.tickets.values() if one.title.startswith("Camera"))

    await harbor.post(f"{BASE}/tickets/{ticket}/message", json={"message": "From us"})
    await partner.post(f"/core/v1/partner/tickets/{ticket}/message", json={"message": "From them"})

    comments = (await harbor.get(f"{BASE}/tickets/{ticket}")).json()["comments"]
    assert [row["owner_type"] for row in comments[-2:]] == ["organization", "partner"]
    assert (await partner.get("/core/v1/partner/tickets/unknown")).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nowhere"},
        {"email": "ada@harbor.example"},
        {"email": "a@b.example", "group_ids": ["unknown"]},
        {"email": "a@b.example", "group_ids": "x"},
        {},
    ],
)
async def test_an_invalid_user_is_refused(harbor: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await harbor.post(f"{BASE}/users", json=body)).status_code == 422


async def test_only_active_users_are_listed(harbor: httpx.AsyncClient, harbor_light: Organization) -> None:
    group = next(iter(harbor_light.groups))
    made = (await harbor.post(f"{BASE}/users", json={"email": "a@b.example", "group_ids": [group]})).json()
    assert [one["id"] for one in made["groups"]] == [group]

    await harbor.post(f"{BASE}/users/{made['id']}/deactivate")

    assert made["id"] not in {row["id"] for row in await items(harbor, "users")}
    assert (await harbor.get(f"{BASE}/users/{made['id']}")).json()["active"] is False


async def test_groups_take_known_users_and_guests_by_mail(harbor: httpx.AsyncClient) -> None:
    group = (await harbor.post(f"{BASE}/groups", json={"name": "Night shift"})).json()
    path = f"{BASE}/groups/{group['id']}"

    assert group["users"] == []
    assert (await harbor.post(f"{path}/add_users", json={"user_ids": ["unknown"]})).status_code == 422
    assert (await harbor.post(f"{path}/add_external_user", json={"email": "guest"})).status_code == 422
    guest = (await harbor.post(f"{path}/add_external_user", json={"email": "guest@example.com"})).json()["users"][0]
    emptied = await harbor.post(f"{path}/remove_users", json={"user_ids": [guest["id"]]})
    assert emptied.json()["users"] == []
