"""The worker: at most one sending, and an honest end whatever happens."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from app.errors import (
    InvalidInput,
    Problem,
    UpstreamFailed,
    UpstreamMalformed,
    UpstreamRateLimit,
    UpstreamRefused,
    UpstreamSuspended,
    UpstreamTimeout,
    UpstreamUnreachable,
    XyteRefusedKey,
)
from app.simulator import ORGANIZATION_KEYS
from app.tasks import jobs
from app.tasks.models import Task
from app.tasks.outcomes import IDEMPOTENT, judged, taken
from tests.tasks.conftest import Work

JUDGED = [
    (UpstreamUnreachable("no connection", retry_safe=True), "not_sent"),
    (UpstreamUnreachable("broke"), "ambiguous"),
    (UpstreamTimeout("slow"), "ambiguous"),
    (UpstreamSuspended(5), "not_sent"),
    (UpstreamRateLimit(10), "not_sent"),
    (UpstreamFailed("500", upstream_status=500), "ambiguous"),
    (UpstreamFailed("302", upstream_status=302), "refused"),
    (UpstreamRefused(408, None), "ambiguous"),
    (UpstreamRefused(404, None), "refused"),
    (UpstreamRefused(422, "no"), "refused"),
    (XyteRefusedKey(), "refused"),
    (UpstreamMalformed("not JSON", upstream_status=200), "taken"),
    (InvalidInput("a path"), "refused"),
]


@pytest.mark.parametrize(("problem", "kind"), JUDGED)
def test_a_problem_means(problem: Problem, kind: str) -> None:
    assert judged(problem).kind == kind


def test_a_long_wait_is_cut_short() -> None:
    assert judged(UpstreamRateLimit(99_999)).retry_after_s == 300


@pytest.mark.parametrize("value", [{"success": True}, "a text", {"id": "", "status": 1}])
def test_an_answer_without_an_id_is_taken_all_the_same(value: Any) -> None:
    assert (taken(value).kind, taken(value).upstream_id) == ("taken", None)


def test_what_toggles_or_restarts_is_not_idempotent() -> None:
    assert not IDEMPOTENT & {"reboot", "toggle_power", "volume_up", "update_firmware", "dump"}


async def test_a_lost_answer_is_found_in_the_list(work: Work) -> None:
    task = await work.submit()
    await work.fault("lost_answer")
    await work.send()
    assert (await work.look(task))["state"] == "dispatching"

    await work.reconcile(1)

    assert (await work.look(task))["state"] == "running"
    assert len(await work.commands()) == 1


async def test_an_absent_command_is_waited_for_and_then_unknown(work: Work) -> None:
    task = await work.submit()
    await work.fault("status", status=503)
    await work.send()

    await work.reconcile(30)
    assert (await work.look(task))["state"] == "dispatching"
    await work.reconcile(91)

    ended = await work.look(task)
    assert (ended["state"], ended["actions"]) == ("outcome_unknown", ["check_device", "resend_with_new_key"])
    assert (ended["evidence"]["matches"], ended["evidence"]["error"]) == (0, "xyte_failed")
    assert await work.commands() == []


async def test_an_absent_command_that_does_no_harm_twice_is_sent_again(work: Work) -> None:
    task = await work.submit("power_on")
    for _ in range(2):
        await work.fault("status", status=503)
        await work.send()
        await work.reconcile(91)
    assert (await work.look(task))["state"] == "queued"
    await work.fault("status", status=503)
    await work.send()
    await work.reconcile(91)

    ended = await work.look(task)
    assert (ended["state"], ended["attempts"]) == ("outcome_unknown", 3)


async def test_two_such_commands_in_the_list_are_not_told_apart(work: Work) -> None:
    task = await work.submit()
    await work.fault("lost_answer")
    await work.send()
    await work.client.post(f"/v1/devices/{work.device['id']}/commands", json={"name": "reboot"})

    await work.reconcile(1)

    assert (await work.look(task))["state"] == "outcome_unknown"


async def test_a_command_of_another_task_is_not_taken_for_ours(work: Work) -> None:
    first, second = await work.submit(), await work.submit()
    await work.send()
    await work.fault("status", status=503)
    await work.send()

    await work.reconcile(91)

    assert [(await work.look(task))["state"] for task in (first, second)] == ["running", "outcome_unknown"]


async def test_a_list_that_cannot_be_read_is_read_later(work: Work) -> None:
    task = await work.submit()
    await work.fault("lost_answer")
    await work.send()
    await work.simulator.admin(
        "POST", "faults", {"kind": "status", "method": "GET", "path": "*/commands", "times": None, "status": 500}
    )

    await work.reconcile(91)
    assert (await work.look(task))["state"] == "dispatching"
    await work.change("not_after = now() - interval '1 s'")
    await work.reconcile(91)

    assert (await work.look(task))["state"] == "outcome_unknown"


async def test_a_refusal_is_an_error_and_wipes_the_key(work: Work) -> None:
    task = await work.submit("dance", skip_validation=True)

    await work.send()

    ended = await work.look(task)
    assert (ended["state"], ended["problem"]["error"]) == ("error", "xyte_invalid")
    async with work.resources.engine.connect() as db:
        assert (await db.execute(text("SELECT count(*) FROM task_secrets"))).scalar_one() == 0


async def test_a_429_puts_it_back(work: Work) -> None:
    task = await work.submit()
    await work.fault("status", status=429, retry_after=7)

    await work.send()

    waiting = await work.look(task)
    assert (waiting["state"], waiting["note"]) == ("queued", "Nothing was sent: xyte_rate_limit.")
    assert await work.send() == 0


async def test_a_cancelled_task_is_not_put_back(work: Work) -> None:
    task = await work.submit()
    await work.fault("status", status=429, retry_after=7)
    await work.change("cancel_requested = true")

    await work.send()

    assert (await work.look(task))["state"] == "cancelled"


@pytest.mark.parametrize("kind", ["malformed", "empty"])
async def test_a_success_without_an_id_is_found_by_the_list(work: Work, kind: str) -> None:
    task = await work.submit()
    await work.fault(kind)
    await work.send()
    work.simulator.tick(300)

    await work.follow()

    assert (await work.look(task))["state"] == "done"


async def test_a_device_takes_so_many_a_minute(work: Work) -> None:
    tasks = [await work.submit("power_on") for _ in range(11)]
    while await work.send():
        pass

    waiting = await work.look(tasks[-1])

    assert (waiting["state"], waiting["attempts"]) == ("queued", 0)
    assert len(await work.commands()) == 10


async def test_a_device_gets_one_command_at_a_time_in_order(work: Work) -> None:
    tasks = [await work.submit("power_on") for _ in range(3)]

    assert await work.send() == 1

    assert [(await work.look(task))["state"] for task in tasks] == ["running", "queued", "queued"]


async def test_tenants_take_turns(work: Work) -> None:
    for _ in range(3):
        await work.submit("power_on")
    devices: list[dict[str, Any]] = (await work.simulator.admin("GET", "devices"))["devices"]
    other = next(row for row in devices if row["organization"] not in (None, work.device["organization"]))
    await work.client.post(
        "/v1/tasks",
        json={"device_id": other["id"], "name": "x", "skip_validation": True},
        headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[1]},
    )

    assert await work.send() == 2


async def test_a_task_past_its_deadline_is_not_sent(work: Work) -> None:
    task = await work.submit(deadline_seconds=1)
    await work.change("not_after = now() - interval '1 s'")

    assert await work.send() == 0
    await jobs.sweep(work.ledger)

    assert (await work.look(task))["state"] == "expired"


async def test_a_worker_held_up_before_sending_puts_it_back(work: Work) -> None:
    settings = work.resources.settings
    work.resources.settings = settings.model_copy(update={"tasks_lease_s": settings.xyte_timeout_s})
    task = await work.submit()

    await work.dispatcher.take_on()
    await work.dispatcher.settled()

    assert (await work.look(task))["note"] == "The worker was held up before sending."
    assert await work.commands() == []


async def test_a_task_without_its_key_is_not_sent(work: Work) -> None:
    task = await work.submit()
    async with work.resources.engine.begin() as db:
        await db.execute(text("DELETE FROM task_secrets"))

    await work.send()

    assert (await work.look(task))["problem"]["error"] == "credentials_unavailable"


@pytest.mark.parametrize("state", ["dispatching", "running"])
async def test_a_sent_task_without_its_key_ends_as_unknown(work: Work, state: str) -> None:
    task = await work.submit()
    if state == "dispatching":
        await work.fault("lost_answer")
    await work.send()
    async with work.resources.engine.begin() as db:
        await db.execute(text("UPDATE task_secrets SET ciphertext = 'changed'"))

    await work.reconcile(1)
    await work.follow()

    assert (await work.look(task))["state"] == "outcome_unknown"


async def test_a_failed_command_is_an_error(work: Work) -> None:
    await work.simulator.admin("POST", f"devices/{work.device['id']}", {"fails": 1})
    task = await work.submit()
    await work.send()
    work.simulator.tick(300)

    await work.follow()

    assert (await work.look(task))["problem"]["error"] == "xyte_command_failed"


async def test_a_command_whose_end_is_never_seen_is_unknown(work: Work) -> None:
    task = await work.submit()
    await work.send()
    await work.change("follow_until = now() - interval '1 s'")

    await work.follow()

    assert (await work.look(task))["state"] == "outcome_unknown"


async def test_a_list_that_fails_while_following_is_read_again(work: Work) -> None:
    task = await work.submit()
    await work.send()
    await work.simulator.admin(
        "POST", "faults", {"kind": "status", "method": "GET", "path": "*/commands", "status": 500}
    )
    work.simulator.tick(300)

    await work.follow()
    assert (await work.look(task))["state"] == "running"
    await work.follow()

    assert (await work.look(task))["state"] == "done"


async def test_what_xyte_does_not_cancel_goes_on(work: Work) -> None:
    task = await work.submit()
    await work.send()
    await work.client.post(f"/v1/tasks/{task['id']}/cancel")
    await work.simulator.admin(
        "POST", "faults", {"kind": "status", "method": "DELETE", "path": "*/commands/*", "status": 422}
    )

    await work.follow()

    seen = await work.look(task)
    assert seen["state"] == "running"
    assert "does not cancel" in seen["note"]


async def test_a_cancelling_that_fails_is_tried_again(work: Work) -> None:
    task = await work.submit()
    await work.send()
    await work.client.post(f"/v1/tasks/{task['id']}/cancel")
    await work.simulator.admin(
        "POST", "faults", {"kind": "status", "method": "DELETE", "path": "*/commands/*", "status": 500}
    )

    await work.follow()
    assert (await work.look(task))["cancel_requested"]
    await work.follow()
    await work.follow()

    assert (await work.look(task))["state"] == "cancelled"


async def test_after_a_restore_nothing_old_is_sent(work: Work) -> None:
    task = await work.submit()
    async with work.resources.engine.begin() as db:
        await db.execute(text("UPDATE meta SET epoch = 2"))

    assert await work.send() == 0
    await jobs.sweep(work.ledger)

    assert (await work.look(task))["state"] == "outcome_unknown"


async def test_a_marker_is_sent_where_xyte_gives_it_back(work: Work) -> None:
    work.resources.settings = work.resources.settings.model_copy(update={"tasks_marker": True})
    await work.submit()

    await work.send()

    sent = [row for row in await work.simulator.requests() if row["method"] == "POST"][-1]["body"]
    assert "[gw:" in sent["friendly_name"]


async def test_old_things_are_forgotten(work: Work) -> None:
    task = await work.submit(idempotency_key="k")
    await work.client.post(f"/v1/tasks/{task['id']}/cancel")
    async with work.resources.engine.begin() as db:
        await db.execute(text("ALTER TABLE tasks DISABLE TRIGGER USER"))
        await db.execute(text("UPDATE tasks SET ended_at = now() - interval '40 days'"))
        await db.execute(text("ALTER TABLE tasks ENABLE TRIGGER USER"))

    await jobs.purge(work.ledger)

    assert (await work.client.get("/v1/tasks")).json()["items"] == []


async def test_a_refused_change_does_not_hold_up_others(work: Work) -> None:
    for _ in range(2):
        await work.submit("power_on")
        await work.send()
    async with work.resources.sessions() as db:
        one, other = await db.scalars(select(Task).order_by(Task.id))

    results = await asyncio.gather(
        work.ledger.change(one, message="first"),
        work.ledger.change(one, state="queued"),
        work.ledger.change(other, message="heard"),
        return_exceptions=True,
    )

    assert isinstance(results[1], Exception)
    assert (results[0], results[2]) == (True, True)
