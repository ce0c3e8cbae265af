"""Rooms as callers meet them."""

from typing import Any

import httpx
import pytest

from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call

BOARD = "Harbor Light Group/EMEA/London/Board Room"


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "query", ["board", "BOARD ROOM", BOARD, "london/board room", "london board", "13009", "  board   room "]
)
async def test_a_room_is_meant_by_id_path_name_or_first_letters(client: httpx.AsyncClient, query: str) -> None:
    assert (await get(client, "rooms/status", room=query))["room"]["path"] == BOARD


@pytest.mark.parametrize("query", ["huddle 1", "huddle", "london", "EMEA"])
async def test_where_several_are_meant_the_candidates_are_named(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get("/v1/rooms/status", params={"room": query})

    assert answer.status_code == 409
    assert answer.json()["error"] == "ambiguous"
    assert len(answer.json()["candidates"]) >= 2
    assert all("/" in candidate["path"] for candidate in answer.json()["candidates"])


@pytest.mark.parametrize("query", ["bord rom", "b", "../../etc/passwd", "no such place at all", "%"])
async def test_an_unknown_room_is_never_guessed(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get("/v1/rooms/status", params={"room": query})

    assert answer.status_code == 404
    nearest = [room["path"] for room in answer.json().get("nearest", [])]
    assert (BOARD in nearest) == (query == "bord rom")


async def test_find_rooms_forgives_typing_errors_and_accents(client: httpx.AsyncClient) -> None:
    assert (await get(client, "rooms/search", query="bord rom"))["items"][0]["path"] == BOARD
    assert [room["name"] for room in (await get(client, "rooms/search", query="zurich"))["items"]] == ["Salle Zürich"]
    assert (await get(client, "rooms/search", query="huddle", limit=1))["has_more"] is True


async def test_list_rooms_is_paged_by_path(client: httpx.AsyncClient) -> None:
    first = await get(client, "rooms", per_page=10)
    second = await get(client, "rooms", per_page=10, page=2)

    names = [room["name"] for room in first["items"] + second["items"]]
    assert first["has_more"]
    assert not second["has_more"]
    assert "London" not in names
    assert "Quiet Room" in names


async def test_status_tells_kinds_power_incidents_and_tickets(client: httpx.AsyncClient) -> None:
    status = await get(client, "rooms/status", room="board")

    assert set(status["devices"]) >= {"projector", "codec", "camera", "lighting"}
    assert status["devices"]["camera"][0]["on"] is True
    assert status["devices"]["projector"][0]["on"] is False
    assert "on" not in status["devices"]["blinds"][0] or status["devices"]["blinds"][0]["on"] is None
    assert status["incidents"][0]["title"] == "Blinds hang slanted"
    assert status["last_activity"]
    assert status["summary"].startswith("9 devices: 4 on")


async def test_an_empty_room_says_so(client: httpx.AsyncClient) -> None:
    assert (await get(client, "rooms/status", room="quiet"))["summary"] == "There are no devices in this room."
    assert (await get(client, "rooms/diagnosis", room="quiet"))["causes"] == []


async def test_what_cannot_be_read_is_told(client: httpx.AsyncClient, simulator: Simulator) -> None:
    for path in ("*/tickets", "*/histories"):
        await simulator.admin("POST", "faults", {"kind": "status", "status": 500, "path": path, "times": None})

    status = await get(client, "rooms/status", room="board")

    assert status["tickets"] == []
    assert status["notice"] == "Could not be read: histories, tickets."


async def test_the_fleet_is_read_once_for_all_who_ask(client: httpx.AsyncClient, simulator: Simulator) -> None:
    for _ in range(3):
        await get(client, "fleet/devices", kind="projector")

    paths = [request["path"] for request in await simulator.requests()]
    assert len([path for path in paths if path.endswith("/devices")]) <= 1
    assert len([path for path in paths if path.endswith("/spaces")]) <= 1


async def test_another_tenant_sees_its_own_fleet_only(client: httpx.AsyncClient) -> None:
    ours = await get(client, "fleet/devices", query="board", per_page=100)
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    theirs = await get(client, "fleet/devices", query="board", per_page=100)

    assert not {row["id"] for row in ours["items"]} & {row["id"] for row in theirs["items"]}
    assert (await get(client, "rooms/status", room="board"))["room"]["path"].startswith("Northwind")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"kind": "blinds"}, {"Board Room Blinds"}),
        ({"model": "short throw", "status": "online"}, {"Huddle 1 Projector"}),
        ({"serial": "SN-PROJECTOR-0001"}, {"Board Room Projector"}),
        ({"room": "board", "kind": "camera"}, {"Board Room PTZ Camera"}),
        ({"status": "offline"}, {"Executive Suite Display", "Training Center Projector"}),
        ({"status": "error", "kind": "projector"}, {"Tower Auditorium Projector"}),
        ({"query": "thames codec"}, {"Thames Video Codec"}),
    ],
)
async def test_devices_are_found_over_the_whole_fleet(
    client: httpx.AsyncClient, asked: dict[str, Any], names: set[str]
) -> None:
    assert {row["name"] for row in (await get(client, "fleet/devices", **asked))["items"]} == names


async def test_an_unknown_kind_names_those_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fleet/devices", params={"kind": "toaster"})

    assert answer.status_code == 422
    assert "projector" in answer.json()["errors"][0]["allowed"]


async def test_own_rules_make_own_kinds_and_explain_says_why(client: httpx.AsyncClient) -> None:
    rules = [{"kind": "laser", "field": "model", "words": "LX-7"}]
    saved = await client.put("/v1/kinds", json={"rules": rules})
    found = await get(client, "fleet/devices", kind="laser", room="board", explain=True)
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    theirs = await get(client, "kinds")

    assert saved.json()["rules"] == rules
    why = found["items"][0]["why"]
    assert (why["words"], why["text"], why["own_rule"]) == ("LX-7", "LX-7 Laser Projector", True)
    assert theirs["rules"] == []
    assert theirs["table"]["projector"]


async def test_a_device_is_controlled_by_its_kind_in_a_room(client: httpx.AsyncClient, simulator: Simulator) -> None:
    asked = {"device": "projector", "room": "board", "command": "power_on", "wait_seconds": 0}

    answer = await client.post("/v1/fleet/control", json=asked)

    assert answer.status_code == 200, answer.text
    assert answer.json()["device"]["name"] == "Board Room Projector"
    assert answer.json()["task"]["state"] == "queued"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"device": "projector", "command": "power_on"}, 409),
        ({"device": "toaster", "room": "board", "command": "power_on"}, 404),
        ({"device": "projector", "room": "board", "command": "fly"}, 422),
        ({"device": "projector", "room": "huddle 1", "command": "power_on"}, 409),
    ],
)
async def test_nothing_is_sent_where_it_is_not_clear_what(
    client: httpx.AsyncClient, simulator: Simulator, asked: dict[str, Any], status: int
) -> None:
    answer = await client.post("/v1/fleet/control", json=asked)

    assert answer.status_code == status
    assert (await get(client, "tasks"))["items"] == []


async def test_the_tools_of_rooms_are_reached_also_where_they_are_not_listed(client: httpx.AsyncClient) -> None:
    listed = await call(client, "run_operation", operation="list_rooms", arguments={"per_page": 2})

    assert len(listed["structuredContent"]["items"]) == 2
