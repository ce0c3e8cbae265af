"""Idempotency keys of requests that are forwarded at once."""

import httpx
import pytest
from sqlalchemy import text

from app.resources import Resources
from tests.world import Simulator

KEY = {"Idempotency-Key": "once"}


@pytest.fixture
async def path(simulator: Simulator) -> str:
    return f"/v1/devices/{(await simulator.a_device('LX'))['id']}/commands"


async def sent(simulator: Simulator) -> int:
    return sum(1 for row in await simulator.requests() if row["method"] == "POST")


async def test_the_same_request_is_answered_and_not_sent_again(
    client: httpx.AsyncClient, simulator: Simulator, path: str
) -> None:
    first, second = [await client.post(path, json={"name": "reboot"}, headers=KEY) for _ in range(2)]

    assert first.json() == second.json()
    assert (first.status_code, second.status_code) == (first.status_code, first.status_code)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert await sent(simulator) == 1


async def test_another_request_under_the_same_key_is_refused(client: httpx.AsyncClient, path: str) -> None:
    await client.post(path, json={"name": "reboot"}, headers=KEY)

    answer = await client.post(path, json={"name": "power_on"}, headers=KEY)

    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_conflict")


async def test_what_was_not_sent_may_be_tried_again(client: httpx.AsyncClient, path: str) -> None:
    refused = await client.post(path, json={"name": "dance"}, headers=KEY)

    again = await client.post(path, json={"name": "reboot"}, headers=KEY)

    assert (refused.status_code, again.is_success) == (422, True)


async def test_what_may_have_been_done_is_not_done_again(
    client: httpx.AsyncClient, simulator: Simulator, path: str
) -> None:
    await simulator.admin("POST", "faults", {"kind": "lost_answer", "method": "POST", "path": "*/commands"})

    answers = [await client.post(path, json={"name": "reboot"}, headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [502, 502]
    assert await sent(simulator) == 1


async def test_a_request_under_way_is_a_conflict(client: httpx.AsyncClient, resources: Resources, path: str) -> None:
    await client.post(path, json={"name": "reboot"}, headers=KEY)
    async with resources.engine.begin() as db:
        await db.execute(text("UPDATE idempotency_records SET status = NULL"))

    answer = await client.post(path, json={"name": "reboot"}, headers=KEY)

    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_in_progress")


async def test_a_read_has_no_use_for_a_key(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/devices", headers=KEY)

    assert answer.status_code == 200
    assert "Idempotent-Replayed" not in (await client.get("/v1/devices", headers=KEY)).headers
