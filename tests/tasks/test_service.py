"""Tasks as callers see them: submitted, looked at, waited for, cancelled."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.db import open_engine
from app.errors import InvalidInput
from app.simulator import ORGANIZATION_KEYS
from app.tasks import jobs, service
from tests.tasks.conftest import Work
from tests.world import call


async def test_a_command_is_sent_and_followed_to_its_end(work: Work) -> None:
    task = await work.submit()

    assert task["state"] == "queued"
    assert await work.send() == 1
    assert (await work.look(task))["state"] == "running"
    work.simulator.tick(300)
    await work.follow()
    ended = await work.look(task)
    assert (ended["state"], ended["xyte_status"], ended["final"]) == ("done", "done", True)
    steps = (await work.client.get(f"/v1/tasks/{task['id']}/history")).json()["items"]
    assert [step["to_state"] for step in steps] == ["queued", "dispatching", "running", "done"]


async def test_the_answer_says_where_the_task_is(work: Work) -> None:
    answer = await work.client.post("/v1/tasks", json={"device_id": work.device["id"], "name": "reboot"})

    assert answer.status_code == 202
    assert (await work.client.get(answer.headers["Location"])).json()["id"] == answer.json()["id"]


async def test_the_same_key_and_body_give_the_same_task(work: Work) -> None:
    body = {"device_id": work.device["id"], "name": "reboot"}
    headers = {"Idempotency-Key": '"quoted or bare"'}

    answers = [await work.client.post("/v1/tasks", json=body, headers=headers) for _ in range(2)]
    by_argument = await work.client.post("/v1/tasks", json=body | {"idempotency_key": "quoted or bare"})

    assert {answer.json()["id"] for answer in [*answers, by_argument]} == {answers[0].json()["id"]}
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]
    assert by_argument.headers["Idempotent-Replayed"] == "true"


async def test_many_equal_requests_at_once_make_one_task(work: Work) -> None:
    body = {"device_id": work.device["id"], "name": "reboot", "idempotency_key": "k"}

    answers = await asyncio.gather(*(work.client.post("/v1/tasks", json=body) for _ in range(20)))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 19


async def test_the_same_key_with_another_body_is_refused(work: Work) -> None:
    await work.submit(idempotency_key="k")

    answer = await work.client.post(
        "/v1/tasks", json={"device_id": work.device["id"], "name": "power_on", "idempotency_key": "k"}
    )

    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency_conflict")


async def test_a_key_of_old_may_be_used_again(work: Work) -> None:
    first = await work.submit(idempotency_key="k")
    async with work.resources.engine.begin() as db:
        await db.execute(text("UPDATE idempotency_records SET expires_at = now() - interval '1 s'"))

    assert (await work.submit(idempotency_key="k"))["id"] != first["id"]


@pytest.mark.parametrize("key", ["", "k" * 10_000, "ü"])
async def test_an_unusable_key_is_refused(work: Work, key: str) -> None:
    body = {"device_id": work.device["id"], "name": "reboot"}

    by_header = await work.client.post("/v1/tasks", json=body, headers={b"Idempotency-Key": key.encode()})
    by_argument = await work.client.post("/v1/tasks", json=body | {"idempotency_key": key})

    assert (by_header.status_code, by_argument.status_code) == (422, 422)


async def test_two_different_keys_are_refused(work: Work) -> None:
    body = {"device_id": work.device["id"], "name": "reboot", "idempotency_key": "one"}

    answer = await work.client.post("/v1/tasks", json=body, headers={"Idempotency-Key": "two"})

    assert answer.status_code == 422


async def test_an_unknown_command_and_an_unknown_device_are_refused_at_once(work: Work) -> None:
    unknown = await work.client.post("/v1/tasks", json={"device_id": work.device["id"], "name": "dance"})
    foreign = await work.client.post("/v1/tasks", json={"device_id": "nobody", "name": "reboot"})

    assert (unknown.status_code, foreign.status_code) == (422, 404)


async def test_a_task_is_taken_while_the_cloud_is_away(work: Work) -> None:
    await work.simulator.admin("POST", "faults", {"kind": "status", "path": "*/devices/*", "times": None})

    assert (await work.submit())["state"] == "queued"


async def test_another_organization_sees_nothing_of_it(work: Work, anonymous: httpx.AsyncClient) -> None:
    task = await work.submit()
    stranger = {"X-XYTE-API-KEY": ORGANIZATION_KEYS[1]}

    answers = [
        await anonymous.get(f"/v1/tasks/{task['id']}", headers=stranger),
        await anonymous.get(f"/v1/tasks/{task['id']}/history", headers=stranger),
        await anonymous.post(f"/v1/tasks/{task['id']}/cancel", headers=stranger),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await anonymous.get("/v1/tasks", headers=stranger)).json()["items"] == []


async def test_tasks_are_listed_in_pages_newest_first(work: Work) -> None:
    ids = [(await work.submit("power_on"))["id"] for _ in range(3)]

    first = (await work.client.get("/v1/tasks", params={"limit": 2, "state": "queued"})).json()
    second = (await work.client.get("/v1/tasks", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    other = (await work.client.get("/v1/tasks", params={"device_id": "another"})).json()

    assert [row["id"] for row in first["items"] + second["items"]] == ids[::-1]
    assert (first["has_more"], second["has_more"], other["items"]) == (True, False, [])


async def test_a_queued_task_is_cancelled_and_never_sent(work: Work) -> None:
    task = await work.submit()

    cancelled = (await work.client.post(f"/v1/tasks/{task['id']}/cancel")).json()

    assert cancelled["state"] == "cancelled"
    assert await work.send() == 0
    again = await work.client.post(f"/v1/tasks/{task['id']}/cancel")
    assert again.json()["state"] == "cancelled"


async def test_a_task_that_xyte_has_is_cancelled_there(work: Work) -> None:
    task = await work.submit()
    await work.send()

    await work.client.post(f"/v1/tasks/{task['id']}/cancel")
    await work.follow()
    await work.follow()

    assert (await work.look(task))["state"] == "cancelled"


async def test_a_task_that_has_ended_cannot_be_cancelled(work: Work) -> None:
    task = await work.submit()
    await work.send()
    work.simulator.tick(300)
    await work.follow()

    answer = await work.client.post(f"/v1/tasks/{task['id']}/cancel")

    assert (answer.status_code, answer.json()["error"]) == (409, "task_ended")


async def test_waiting_ends_with_the_next_change(work: Work) -> None:
    task = await work.submit()

    waiting = asyncio.create_task(work.client.get(f"/v1/tasks/{task['id']}", params={"wait_seconds": 20}))
    await work.send()

    assert (await waiting).json()["state"] != "queued"


async def test_waiting_ends_when_its_time_is_over(work: Work) -> None:
    task = await work.submit()

    answer = await work.client.get(f"/v1/tasks/{task['id']}", params={"wait_seconds": 0.1})

    assert answer.json()["state"] == "queued"


async def test_one_command_goes_to_many_devices_under_one_parent(work: Work) -> None:
    devices: list[dict[str, Any]] = (await work.simulator.admin("GET", "devices"))["devices"]
    ours = [row["id"] for row in devices if row["online"] and row["organization"] == work.device["organization"]][:5]
    body = {"device_ids": [*ours, ours[0]], "name": "reboot", "idempotency_key": "k"}

    parent = (await work.client.post("/v1/tasks/bulk", json=body)).json()
    again = await work.client.post("/v1/tasks/bulk", json=body)
    assert parent["children"] == {"queued": 5}
    assert again.json()["id"] == parent["id"]
    while await work.send():
        pass
    work.simulator.tick(300)
    await work.follow()
    await jobs.sweep(work.ledger)

    ended = await work.look(parent)
    assert ended["final"]
    assert sum(ended["children"].values()) == 5
    children = (await work.client.get("/v1/tasks", params={"parent_id": parent["id"]})).json()["items"]
    assert {child["device_id"] for child in children} == set(ours)


async def test_a_selector_means_the_devices_of_a_space_and_model(work: Work) -> None:
    device = (await work.client.get(f"/v1/devices/{work.device['id']}")).json()
    by_both = {"space_id": device["space"]["id"], "model": device["model"]["id"], "name": "reboot"}

    parent = (await work.client.post("/v1/tasks/bulk", json=by_both)).json()
    none = await work.client.post("/v1/tasks/bulk", json={"model": "no such model", "name": "reboot"})
    both = await work.client.post("/v1/tasks/bulk", json={**by_both, "device_ids": ["a"]})

    assert parent["children"]["queued"] >= 1
    assert (none.status_code, both.status_code) == (422, 422)


async def test_cancelling_a_parent_cancels_its_children(work: Work) -> None:
    parent = (
        await work.client.post("/v1/tasks/bulk", json={"device_ids": [work.device["id"]], "name": "reboot"})
    ).json()

    await work.client.post(f"/v1/tasks/{parent['id']}/cancel")
    await jobs.sweep(work.ledger)

    assert (await work.look(parent))["state"] == "cancelled"


async def test_a_device_and_an_organization_have_room_for_so_many(work: Work) -> None:
    body = {"device_id": work.device["id"], "name": "reboot"}
    settings = work.resources.settings
    work.resources.settings = settings.model_copy(update={"tasks_open_per_device": 1})
    await work.submit()

    device = await work.client.post("/v1/tasks", json=body)
    work.resources.settings = settings.model_copy(update={"tasks_open_per_tenant": 1})
    tenant = await work.client.post("/v1/tasks", json=body)

    assert [answer.status_code for answer in (device, tenant)] == [429, 429]
    assert {answer.json()["error"] for answer in (device, tenant)} == {"too_many_tasks"}


async def test_a_dry_run_records_nothing(work: Work) -> None:
    result = await call(work.client, "send_command_async", device_id=work.device["id"], name="reboot", dry_run=True)

    assert not result.get("isError"), result
    assert (await work.client.get("/v1/tasks")).json()["items"] == []


async def test_tools_do_it_too(work: Work) -> None:
    task = (await call(work.client, "send_command_async", device_id=work.device["id"], name="power_on"))[
        "structuredContent"
    ]

    seen = (await call(work.client, "get_task_status", task_id=task["id"]))["structuredContent"]

    assert seen["state"] == "queued"


async def test_a_store_that_is_away_is_a_503_problem(work: Work) -> None:
    await work.resources.engine.dispose()
    broken = work.resources.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    good = work.resources.sessions
    engine = open_engine(broken.database_url)
    work.resources.sessions = type(good)(engine)

    answer = await work.client.get("/v1/tasks")

    work.resources.sessions = good
    await engine.dispose()
    assert (answer.status_code, answer.json()["error"]) == (503, "service_unavailable")


def test_what_json_cannot_carry_is_refused() -> None:
    asked = service.CommandSubmit.model_validate({"device_id": "a", "name": "x", "extra_params": {"n": 2**70}})

    with pytest.raises(InvalidInput):
        service.fingerprint_of(asked)
