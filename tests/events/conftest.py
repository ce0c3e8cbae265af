"""A tenant with a log, and short ways to it."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.auth import Caller, tenant_of
from app.events import repository, service
from app.events.schemas import Draft, EventFilter, EventPage
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS


@dataclass
class Log:
    """The log of the first organization."""

    resources: Resources
    caller: Caller
    tenant: str
    client: httpx.AsyncClient

    async def add(self, *types: str, device_id: str | None = None, space_id: int | None = None) -> None:
        drafts = [Draft(kind, "webhook", {"n": number}, device_id, space_id) for number, kind in enumerate(types)]
        await service.append(self.resources, self.tenant, drafts)

    async def page(self, **asked: Any) -> EventPage:
        return await service.listed(self.resources, self.caller, EventFilter(**asked))

    async def types(self, **asked: Any) -> list[str]:
        return [event.type for event in (await self.page(**asked)).items]

    async def next(self, consumer: str = "c", **asked: Any) -> dict[str, Any]:
        answer = await self.client.get("/v1/events/next", params={"consumer": consumer, **asked})
        assert answer.status_code == 200, answer.text
        return {name: value for name, value in answer.json().items() if value is not None}

    async def end(self) -> int:
        async with repository.as_tenant(self.resources, self.tenant) as db:
            return await repository.end_of(db, self.tenant)


def caller_with(resources: Resources, key: str) -> Caller:
    return Caller(key, resources.fingerprint(key))


def counted(counter: Any) -> float:
    """What a metric stands at."""
    return counter._value.get()


@pytest.fixture
async def log(resources: Resources, client: httpx.AsyncClient) -> Log:
    caller = caller_with(resources, ORGANIZATION_KEYS[0])
    return Log(resources, caller, await tenant_of(resources, caller), client)
