"""Facts, causes, and what to do; the same each time."""

from typing import Any

import httpx

from tests.world import Simulator


async def diagnosed(client: httpx.AsyncClient, room: str, issue: str = "") -> dict[str, Any]:
    params = {"room": room} | ({"issue": issue} if issue else {})
    answer = await client.get("/v1/rooms/diagnosis", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def first(diagnosis: dict[str, Any]) -> tuple[str, str, list[str]]:
    cause = diagnosis["causes"][0]
    return cause["cause"], cause["likelihood"], [diagnosis["facts"][place]["what"] for place in cause["evidence"]]


async def test_a_device_in_error_is_the_likeliest_cause_with_its_incident(client: httpx.AsyncClient) -> None:
    diagnosis = await diagnosed(client, "tower", "no picture")

    assert first(diagnosis) == ("The projector is in error.", "high", ["error"])
    assert any(fact["what"] == "incident" and fact["details"]["title"] == "Fan failure" for fact in diagnosis["facts"])
    assert diagnosis == await diagnosed(client, "tower", "no picture") | {"facts": diagnosis["facts"]}


async def test_an_offline_display_explains_a_missing_picture(client: httpx.AsyncClient) -> None:
    diagnosis = await diagnosed(client, "executive", "the screen is black")

    assert first(diagnosis)[0] == "The display has lost power or network, or hangs."
    assert diagnosis["facts"][0]["at"]
    assert {step["operation"] for step in diagnosis["next"]} >= {"list_device_histories"}


async def test_what_is_muted_explains_silence_only(client: httpx.AsyncClient, simulator: Simulator) -> None:
    devices = (await simulator.admin("GET", "devices"))["devices"]
    dsp = next(device for device in devices if device["name"] == "Thames Audio Processor")
    await simulator.admin("POST", f"devices/{dsp['id']}", {"state": {"muted": True}})

    silent = await diagnosed(client, "thames", "nobody can hear anything")
    dark = await diagnosed(client, "thames", "black picture")

    assert "The audio is muted." in [cause["cause"] for cause in silent["causes"] if cause["likelihood"] == "high"]
    assert "The audio is muted." not in [cause["cause"] for cause in dark["causes"]]
    assert any(step["arguments"].get("name") == "unmute" for step in silent["next"])


async def test_a_room_that_fell_silent_as_a_whole_has_lost_power(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    for device in (await simulator.admin("GET", "devices"))["devices"]:
        if device["name"].startswith("Reception"):
            await simulator.admin("POST", f"devices/{device['id']}", {"plugged": False})
    simulator.tick(200)

    diagnosis = await diagnosed(client, "reception")

    assert first(diagnosis)[0].startswith("The room has lost power or network")
    assert first(diagnosis)[2] == ["offline"] * 3


async def test_nothing_wrong_is_said_to_be_so(client: httpx.AsyncClient, simulator: Simulator) -> None:
    diagnosis = (await client.get("/v1/rooms/health", params={"room": "louvre"})).json()

    causes = [cause["likelihood"] for cause in diagnosis["causes"]]
    assert "high" not in causes
    assert all(fact["what"] in ("failed_command", "change") for fact in diagnosis["facts"])


async def test_changes_of_state_are_facts(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = next(
        row
        for row in (await client.get("/v1/fleet/devices", params={"room": "louvre"})).json()["items"]
        if row["kind"] == "display"
    )
    for name in ("power_on", "power_off"):
        await client.post(f"/v1/devices/{device['id']}/commands", json={"name": name})
        simulator.tick(10)

    changes = [fact for fact in (await diagnosed(client, "louvre"))["facts"] if fact["what"] == "change"]

    assert changes[0]["details"]["power"] == ["on", "off"]
