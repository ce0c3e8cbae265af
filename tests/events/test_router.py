"""Webhooks: made and changed by callers with a key, used by senders with a secret."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from app.db import asyncpg_url, open_engine
from app.resources import Resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from app.telemetry import WEBHOOKS
from tests.events.conftest import Log, counted
from tests.world import Simulator, call

NOTIFICATION = {"event_type": "claimed_device", "device_id": "d1", "claiming_organization_name": "Acme"}


@pytest.fixture
async def hook(log: Log) -> dict[str, Any]:
    return await create(log)


async def create(log: Log) -> dict[str, Any]:
    made = await log.client.post("/v1/webhooks", json={"name": "Doors"})
    assert made.status_code == 201, made.text
    return made.json()


async def hand_in(log: Log, hook: dict[str, Any], **body: Any) -> httpx.Response:
    """As a sender does, who has no key."""
    content = orjson.dumps({"secret": hook["secret"]} | body)
    return await raw(log, hook["path"], content)


async def raw(log: Log, path: str, content: bytes) -> httpx.Response:
    request = log.client.build_request("POST", path, content=content, headers={"content-type": "application/json"})
    del request.headers["x-xyte-api-key"]
    return await log.client.send(request)


async def test_a_notification_of_xyte_is_stored_as_it_is(log: Log, hook: dict[str, Any]) -> None:
    stored = await hand_in(log, hook, **NOTIFICATION)

    assert stored.status_code == 200, stored.text
    assert stored.json() == {"stored": True, "duplicate": False}
    event = (await log.page()).items[0]
    assert (event.type, event.source, event.device_id) == ("claimed_device", "xyte", "d1")
    assert event.data == {"device_id": "d1", "claiming_organization_name": "Acme"}


async def test_an_unknown_event_type_is_stored_as_it_is(log: Log, hook: dict[str, Any]) -> None:
    await hand_in(log, hook, event_type="something new: ü", extra={"deep": [1]})

    event = (await log.page()).items[0]
    assert (event.type, event.data) == ("something new: ü", {"extra": {"deep": [1]}})


async def test_a_generic_event_has_a_type_and_data(log: Log, hook: dict[str, Any]) -> None:
    await hand_in(log, hook, type="door.opened", data={"device_id": "d2", "n": 1})
    await hand_in(log, hook, type="door.closed")

    events = (await log.page()).items
    assert [(event.type, event.source, event.device_id, event.data) for event in events] == [
        ("door.opened", "webhook", "d2", {"device_id": "d2", "n": 1}),
        ("door.closed", "webhook", None, {}),
    ]


@pytest.mark.parametrize("secret", ["forged", "", None, 7, ["list"], "ünïcode sécret", "😀", {"a": 1}], ids=repr)
async def test_a_wrong_secret_stores_nothing(log: Log, hook: dict[str, Any], secret: Any) -> None:
    refused = await raw(log, hook["path"], orjson.dumps(NOTIFICATION | {"secret": secret}))

    assert (refused.status_code, refused.json()["error"]) == (403, "webhook_refused")
    assert (await log.page()).items == []


async def test_a_missing_secret_and_that_of_another_webhook_store_nothing(log: Log, hook: dict[str, Any]) -> None:
    other = await create(log)

    missing = await raw(log, hook["path"], orjson.dumps(NOTIFICATION))
    foreign = await hand_in(log, hook | {"secret": other["secret"]}, **NOTIFICATION)

    assert (missing.status_code, foreign.status_code) == (403, 403)
    assert (await log.page()).items == []


@pytest.mark.parametrize("path", ["/webhooks/x", f"/webhooks/{'x' * 43}", "/webhooks/%00", f"/webhooks/{'x' * 4000}"])
async def test_an_address_that_is_none_is_a_404(log: Log, path: str) -> None:
    assert (await raw(log, path, b"{}")).status_code == 404


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff",
        b'{"secret": "a", "secret": "b"}',
        b'{"n": 1e999}',
        b'{"n": "\\u0000"}',
        b'{"n": NaN}',
    ],
)
async def test_what_is_no_json_object_is_a_422(log: Log, hook: dict[str, Any], content: bytes) -> None:
    assert (await raw(log, hook["path"], content)).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": 7},
        {"type": ""},
        {"type": "a\nb"},
        {"type": "x" * 101},
        {"event_type": None},
        {"type": "t", "data": [1]},
        {"type": "t", "data": "text"},
    ],
    ids=repr,
)
async def test_what_is_no_event_is_a_422_and_not_stored(log: Log, hook: dict[str, Any], body: dict[str, Any]) -> None:
    assert (await hand_in(log, hook, **body)).status_code == 422
    assert (await log.page()).items == []


async def test_a_megabyte_is_too_much(log: Log, hook: dict[str, Any]) -> None:
    assert (await hand_in(log, hook, type="t", data={"text": "x" * 70_000})).status_code == 413
    assert (await hand_in(log, hook, type="t", data={"text": "x" * 1_100_000})).status_code == 413
    assert (await log.page()).items == []


async def test_many_replays_are_one_event(log: Log, hook: dict[str, Any]) -> None:
    log.resources.settings = log.resources.settings.model_copy(update={"webhooks_per_minute": 10_000})
    reordered = dict(reversed(NOTIFICATION.items()))

    answers = [
        answer
        for _ in range(5)
        for answer in await asyncio.gather(
            *(hand_in(log, hook, **body) for body in [NOTIFICATION, reordered] for _ in range(10))
        )
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert len((await log.page()).items) == 1


async def test_the_same_again_after_ten_minutes_is_another_event(log: Log, hook: dict[str, Any]) -> None:
    await hand_in(log, hook, **NOTIFICATION)
    async with log.resources.engine.begin() as db:
        await db.execute(text("UPDATE event_receipts SET expires_at = now()"))

    again = await hand_in(log, hook, **NOTIFICATION)

    assert again.json()["duplicate"] is False
    assert len((await log.page()).items) == 2


async def test_an_address_takes_so_many_a_minute(log: Log, hook: dict[str, Any]) -> None:
    log.resources.settings = log.resources.settings.model_copy(update={"webhooks_per_minute": 1})

    first, second = [await hand_in(log, hook, type="t", data={"n": n}) for n in range(2)]

    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["Retry-After"]) >= 1


async def test_while_postgres_is_away_the_sender_is_asked_to_try_again(log: Log, hook: dict[str, Any]) -> None:
    before = counted(WEBHOOKS.labels("unavailable"))
    engine, sessions = log.resources.engine, log.resources.sessions
    away = open_engine("postgresql://nobody@127.0.0.1:1/none")
    log.resources.sessions = async_sessionmaker(away)

    refused = await hand_in(log, hook, **NOTIFICATION)

    log.resources.sessions = sessions
    await away.dispose()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert counted(WEBHOOKS.labels("unavailable")) == before + 1
    assert (await hand_in(log, hook, **NOTIFICATION)).json() == {"stored": True, "duplicate": False}
    assert log.resources.engine is engine


async def test_a_new_secret_counts_beside_the_old_one_for_a_while(log: Log, hook: dict[str, Any]) -> None:
    rotated = (await log.client.post(f"/v1/webhooks/{hook['id']}/rotate", json={})).json()
    both = [await hand_in(log, hook | {"secret": one["secret"]}, type="t", data={"n": 1}) for one in (hook, rotated)]
    leaked = (await log.client.post(f"/v1/webhooks/{hook['id']}/rotate", json={"overlap_hours": 0})).json()
    then = [
        await hand_in(log, hook | {"secret": one["secret"]}, type="t", data={"n": 2}) for one in (hook, rotated, leaked)
    ]

    assert [answer.status_code for answer in both] == [200, 200]
    assert [answer.status_code for answer in then] == [403, 403, 200]
    assert rotated["old_secret_until"] is not None
    assert rotated["path"] is None


async def test_a_deleted_webhook_takes_nothing(log: Log, hook: dict[str, Any]) -> None:
    deleted = await log.client.delete(f"/v1/webhooks/{hook['id']}")
    again = await log.client.delete(f"/v1/webhooks/{hook['id']}")

    assert (deleted.status_code, again.status_code) == (200, 404)
    assert (await hand_in(log, hook, **NOTIFICATION)).status_code == 404


async def test_they_are_listed_without_what_is_secret(log: Log, hook: dict[str, Any]) -> None:
    await hand_in(log, hook, **NOTIFICATION)

    shown = (await log.client.get("/v1/webhooks")).json()["items"]

    assert [one["id"] for one in shown] == [hook["id"]]
    assert shown[0]["received_at"] is not None
    assert not {"secret", "path", "token"} & shown[0].keys()


async def test_another_tenant_has_others(log: Log, hook: dict[str, Any]) -> None:
    log.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    assert (await log.client.get("/v1/webhooks")).json()["items"] == []
    assert (await log.client.delete(f"/v1/webhooks/{hook['id']}")).status_code == 404
    assert (await log.client.post(f"/v1/webhooks/{hook['id']}/rotate", json={})).status_code == 404


async def test_neither_token_nor_secret_lies_anywhere(
    log: Log, hook: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    await log.client.post("/v1/webhooks", json={"name": "n"}, headers={"Idempotency-Key": "k"})
    await hand_in(log, hook, **NOTIFICATION)
    await hand_in(log, hook, type="")

    async with log.resources.engine.connect() as db:
        names = await db.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        kept = [str(row) for name in names for row in await db.execute(text(f"SELECT t::text FROM {name} t"))]
        replayable = (await db.execute(text("SELECT count(*) FROM idempotency_records"))).scalar_one()
    everything = "\n".join([*kept, caplog.text])

    assert replayable == 0
    assert hook["secret"] not in everything
    assert hook["path"].rpartition("/")[2] not in everything


async def test_they_do_not_pile_up(log: Log, hook: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.service.MOST_WEBHOOKS", 1)

    refused = await log.client.post("/v1/webhooks", json={"name": "one too many"})

    assert (refused.status_code, refused.json()["error"]) == (409, "limit_reached")


async def test_a_dry_run_changes_nothing(log: Log, hook: dict[str, Any]) -> None:
    arguments = {"webhook_id": hook["id"], "dry_run": True}
    for name, more in (("rotate_webhook", arguments), ("delete_webhook", arguments), ("create_webhook", {"name": "n"})):
        asked = {"operation": name, "arguments": {"dry_run": True} | more}
        planned = await call(log.client, "run_operation", **asked)

        assert planned["structuredContent"]["sent"] is False, planned

    assert (await hand_in(log, hook, **NOTIFICATION)).status_code == 200
    assert len((await log.client.get("/v1/webhooks")).json()["items"]) == 1


@pytest.fixture
async def restricted(resources: Resources, settings: Settings) -> AsyncIterator[None]:
    """The service as a role that owns its tables and is no superuser, as in production."""
    role = f"service_{uuid4().hex[:8]}"
    async with resources.engine.begin() as db:
        await db.execute(text(f"CREATE ROLE {role}"))
        await db.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        await db.execute(text(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"))
    options = {"server_settings": {"app.worker": "off", "role": role}}
    engine = create_async_engine(asyncpg_url(settings.database_url), connect_args=options)
    ours, resources.sessions = resources.sessions, async_sessionmaker(engine, expire_on_commit=False)
    yield
    resources.sessions = ours
    await engine.dispose()
    async with resources.engine.begin() as db:
        await db.execute(text(f"DROP OWNED BY {role}"))
        await db.execute(text(f"DROP ROLE {role}"))


async def test_row_level_security_lets_each_see_its_own(log: Log, restricted: None, simulator: Simulator) -> None:
    hook = await create(log)
    device = await simulator.a_device("LX")

    assert (await hand_in(log, hook, **NOTIFICATION)).json() == {"stored": True, "duplicate": False}
    assert (await hand_in(log, hook, **NOTIFICATION)).json() == {"stored": True, "duplicate": True}
    assert (await log.next(after=0))["event"]["type"] == "claimed_device"
    assert await log.next(ack=1, wait_seconds=0.2) == {}
    task = await log.client.post("/v1/tasks", json={"device_id": device["id"], "name": "reboot"})
    assert task.status_code == 202
    log.client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]
    assert await log.next() == {}
    async with log.resources.sessions() as db:
        for table in ("events", "event_webhooks", "event_receipts", "event_streams", "event_consumers", "event_outbox"):
            assert (await db.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
