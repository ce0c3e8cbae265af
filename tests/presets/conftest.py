"""A room, and a worker that is driven by hand."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.presets import jobs as presets
from app.resources import Resources
from app.settings import Settings
from app.tasks import jobs
from app.tasks.dispatcher import Dispatcher
from app.tasks.ledger import Ledger
from tests.world import Simulator


@dataclass
class Stage:
    """A caller's client, the pretend cloud, and a worker in this process."""

    client: httpx.AsyncClient
    resources: Resources
    simulator: Simulator
    dispatcher: Dispatcher
    ledger: Ledger

    async def start(self, room: str, preset: str = "default", **more: Any) -> dict[str, Any]:
        answer = await self.client.post(
            "/v1/rooms/start", json={"room": room, "preset": preset, "wait_seconds": 0, **more}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def save(self, name: str, *steps: dict[str, Any], **more: Any) -> None:
        """A preset with one stage."""
        stages = more.pop("stages", None) or [{"steps": list(steps)}]
        answer = await self.client.put(f"/v1/presets/{name}", json={"stages": stages, **more})
        assert answer.status_code == 200, answer.text

    async def look(self, run: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/preset-runs/{run['id']}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def turn(self) -> None:
        """One round of everything that a worker does."""
        await self.change("tasks SET follow_at = now() WHERE state = 'running'")
        await presets.advance(self.ledger)
        await self.dispatcher.take_on()
        await self.dispatcher.settled()
        self.simulator.tick(10)
        await self.change("tasks SET follow_at = now() WHERE state = 'running'")
        await jobs.follow(self.ledger)

    async def finish(self, run: dict[str, Any], turns: int = 60) -> dict[str, Any]:
        """The run when it has ended."""
        latest = await self.look(run)
        while not latest["final"] and (turns := turns - 1):
            await self.turn()
            latest = await self.look(run)
        assert latest["final"], latest
        return latest

    async def change(self, assignment: str) -> None:
        async with self.resources.engine.begin() as db:
            await db.execute(text(f"UPDATE {assignment}"))

    async def device(self, name: str) -> dict[str, Any]:
        """A device of the first organization, with its state."""
        found = (await self.client.get("/v1/fleet/devices", params={"query": name})).json()["items"][0]
        return (await self.client.get(f"/v1/devices/{found['id']}")).json()

    async def sent(self, device_id: str) -> list[str]:
        """The commands that reached a device after the start of the test, oldest first."""
        rows = (await self.simulator.admin("GET", f"commands?device_id={device_id}"))["commands"]
        return [row["name"] for row in rows]


@pytest.fixture
async def stage(
    client: httpx.AsyncClient, resources: Resources, settings: Settings, simulator: Simulator
) -> AsyncIterator[Stage]:
    dispatcher, ledger = Dispatcher(resources), Ledger(resources)
    await simulator.admin("PATCH", "settings", {"failure_rate": 0.0, "outage_rate": 0.0})
    yield Stage(client, resources, simulator, dispatcher, ledger)
    await dispatcher.settled()
    await ledger.close()
