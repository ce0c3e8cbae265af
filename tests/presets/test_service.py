"""Runs from start to end."""

from tests.presets.conftest import Stage


async def test_a_room_starts_as_the_preset_says_and_shuts_down(stage: Stage) -> None:
    run = await stage.finish(await stage.start("board"))

    assert run["state"] == "done", run
    assert (await stage.device("Board Room Projector"))["state"]["power"] == "on"
    assert (await stage.device("Board Room Motorised Screen"))["state"]["position"] == "down"
    print(run["summary"])

    answer = await stage.client.post("/v1/rooms/shutdown", json={"room": "board", "wait_seconds": 0})
    ended = await stage.finish(answer.json())

    assert ended["state"] == "done", ended
    print(ended["summary"])
    assert (await stage.device("Board Room Projector"))["state"]["power"] == "off"
    assert (await stage.device("Board Room Lighting Controller"))["state"]["power"] == "off"
