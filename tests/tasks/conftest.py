"""A worker that does one thing at a time, when the test says so."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.resources import Resources
from app.tasks import jobs
from app.tasks.dispatcher import Dispatcher
from app.tasks.ledger import Ledger
from tests.world import Simulator


@dataclass
class Work:
    """A caller's client, and a worker in this process."""

    client: httpx.AsyncClient
    resources: Resources
    simulator: Simulator
    device: dict[str, Any]
    dispatcher: Dispatcher
    ledger: Ledger

    async def submit(self, name: str = "reboot", **more: Any) -> dict[str, Any]:
        answer = await self.client.post("/v1/tasks", json={"device_id": self.device["id"], "name": name, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def look(self, task: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/tasks/{task['id']}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self) -> int:
        """Take on what is ready, and send it."""
        taken = await self.dispatcher.take_on()
        await self.dispatcher.settled()
        return taken

    async def follow(self) -> None:
        await self.change("follow_at = now() WHERE state = 'running'")
        await jobs.follow(self.ledger)

    async def reconcile(self, age_s: float) -> None:
        """Look at what fell silent, so long after it was sent."""
        await self.change(
            f"dispatch_started_at = now() - interval '{age_s} s', lease_until = now() - interval '1 s'"
            " WHERE state = 'dispatching'"
        )
        await jobs.reconcile(self.ledger)

    async def change(self, assignment: str) -> None:
        async with self.resources.engine.begin() as db:
            await db.execute(text(f"UPDATE tasks SET {assignment}"))

    async def fault(self, kind: str, **more: Any) -> None:
        """The cloud's next answer to a command goes wrong."""
        await self.simulator.admin("POST", "faults", {"kind": kind, "method": "POST", "path": "*/commands", **more})

    async def commands(self) -> list[dict[str, Any]]:
        """The commands that reached the device."""
        return (await self.simulator.admin("GET", f"commands?device_id={self.device['id']}"))["commands"]


@pytest.fixture
async def work(client: httpx.AsyncClient, resources: Resources, simulator: Simulator) -> AsyncIterator[Work]:
    device = await simulator.a_device("LX")
    dispatcher = Dispatcher(resources)
    ledger = Ledger(resources)
    yield Work(client, resources, simulator, device, dispatcher, ledger)
    await dispatcher.settled()
    await ledger.close()
