"""Tasks as callers see them: submitted, looked at, waited for, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from app.tasks.dispatcher import Dispatcher
from tests.world import Simulator, call


@pytest.fixture
async def dispatcher(resources: Resources) -> AsyncIterator[Dispatcher]:
    """A worker in this process."""
    dispatcher = Dispatcher(resources)
    async with dispatcher.running():
        yield dispatcher


async def submit(client: httpx.AsyncClient, device_id: str, name: str = "reboot", **more: Any) -> httpx.Response:
    return await client.post("/v1/tasks", json={"device_id": device_id, "name": name, **more})


async def test_a_command_is_sent_and_followed_to_its_end(
    client: httpx.AsyncClient, simulator: Simulator, dispatcher: Dispatcher
) -> None:
    device = await simulator.a_device()

    accepted = await submit(client, device["id"])
    assert accepted.status_code == 202, accepted.text
    location = accepted.headers["Location"]
    dispatcher.wake()
    task = accepted.json()
    while not task["final"]:
        simulator.tick(30)
        task = (await client.get(location, params={"wait_seconds": 5})).json()

    assert task["state"] == "done"
    history = (await client.get(location + "/history")).json()["items"]
    assert [step["to_state"] for step in history][:3] == ["queued", "dispatching", "running"]
