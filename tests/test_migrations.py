"""The schema goes up and down, agrees with the models, and refuses what must never be."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from app.db import asyncpg_url

ROOT = Path(__file__).resolve().parent.parent
INSERT = """
INSERT INTO tasks (id, tenant, kind, device_id, command, body, idempotent, not_after, epoch, state)
VALUES (:id, :tenant, :kind, :device, 'reboot', '{}', false, now() + interval '1 hour', 1, :state)
"""
SEND = "state = 'dispatching', fence = nextval('task_fence'), lease_until = now(), dispatch_started_at = now()"


@pytest.fixture
async def empty(servers: tuple[str, str]) -> AsyncIterator[AsyncEngine]:
    """A database of its own, without any tables."""
    url = asyncpg_url(servers[0])
    owner = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    name = f"migrations_{uuid4().hex[:8]}"
    async with owner.connect() as db:
        await db.execute(text(f"CREATE DATABASE {name}"))
    engine = create_async_engine(owner.url.set(database=name), poolclass=NullPool)
    yield engine
    async with owner.connect() as db:
        await db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def migrated(empty: AsyncEngine) -> AsyncEngine:
    await alembic(empty, "upgrade", "head")
    return empty


async def alembic(engine: AsyncEngine, verb: str, *arguments: str) -> None:
    """Run it in a thread, for it has a loop of its own."""
    config = Config(str(ROOT / "alembic.ini"))
    config.set_main_option("script_location", str(ROOT / "migrations"))
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = engine.url.render_as_string(hide_password=False)
    try:
        await asyncio.to_thread(getattr(command, verb), config, *arguments)
    finally:
        os.environ.pop("DATABASE_URL")
        if before is not None:
            os.environ["DATABASE_URL"] = before


async def add(db: AsyncConnection, device: str | None = "d", state: str = "queued", **more: Any) -> Any:
    values = {"id": uuid4(), "tenant": "a", "kind": "command", "device": device, "state": state} | more
    await db.execute(text(INSERT), values)
    return values["id"]


async def test_the_models_are_what_the_migrations_make(migrated: AsyncEngine) -> None:
    await alembic(migrated, "check")


async def test_down_and_up_again_on_filled_tables(migrated: AsyncEngine) -> None:
    async with migrated.begin() as db:
        parent = await add(db, None, kind="bulk", state="running")
        child = await add(db)
        await db.execute(text("UPDATE tasks SET note = 'n' WHERE id = :id"), {"id": child})
        assert parent != child

    await alembic(migrated, "downgrade", "base")
    await alembic(migrated, "upgrade", "head")

    async with migrated.connect() as db:
        assert (await db.execute(text("SELECT count(*) FROM tasks"))).scalar_one() == 0
        assert (await db.execute(text("SELECT epoch FROM meta"))).scalar_one() == 1


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE tasks SET state = 'running'",
        "UPDATE tasks SET state = 'done'",
        "UPDATE tasks SET state = 'dispatching'",
        "UPDATE tasks SET state = 'error'",
        "UPDATE tasks SET state = 'dancing'",
        "UPDATE tasks SET tenant = 'b'",
        "UPDATE tasks SET device_id = 'e'",
        "UPDATE task_events SET to_state = 'done'",
        "DELETE FROM task_events",
        "INSERT INTO meta (id) VALUES (2)",
        f"UPDATE tasks SET {SEND}; UPDATE tasks SET state = 'expired'",
        "UPDATE tasks SET state = 'cancelled'; UPDATE tasks SET state = 'queued'",
        "UPDATE tasks SET state = 'cancelled'; UPDATE tasks SET note = 'changed'",
        "INSERT INTO idempotency_records (tenant, operation, key, fingerprint, expires_at)"
        " VALUES ('a', 'o', '', '', now())",
    ],
)
async def test_the_database_refuses(migrated: AsyncEngine, harm: str) -> None:
    async with migrated.begin() as db:
        await add(db)

    async def do() -> None:
        async with migrated.begin() as db:
            for statement in harm.split("; "):
                await db.execute(text(statement))

    with pytest.raises(DBAPIError):
        await do()


async def test_a_task_starts_queued(migrated: AsyncEngine) -> None:
    with pytest.raises(DBAPIError):
        async with migrated.begin() as db:
            await add(db, state="running")


async def test_one_command_of_a_device_is_being_sent_at_a_time(migrated: AsyncEngine) -> None:
    async with migrated.begin() as db:
        await add(db)
        await add(db)

    with pytest.raises(DBAPIError, match="tasks_one_dispatching_per_device"):
        async with migrated.begin() as db:
            await db.execute(text(f"UPDATE tasks SET {SEND}"))


async def test_the_end_of_a_task_wipes_its_key_and_is_in_its_history(migrated: AsyncEngine) -> None:
    async with migrated.begin() as db:
        task = await add(db)
        await db.execute(
            text("INSERT INTO task_secrets VALUES (:id, 'a', 'k', 'n', 'c', now() + interval '1 hour')"), {"id": task}
        )
        await db.execute(text("UPDATE tasks SET state = 'cancelled'"))

        assert (await db.execute(text("SELECT count(*) FROM task_secrets"))).scalar_one() == 0
        steps = await db.execute(text("SELECT from_state, to_state FROM task_events ORDER BY id"))
        assert [tuple(step) for step in steps] == [(None, "queued"), ("queued", "cancelled")]
        await db.execute(text("DELETE FROM tasks"))
        assert (await db.execute(text("SELECT count(*) FROM task_events"))).scalar_one() == 0


async def test_row_level_security_is_a_second_wall(migrated: AsyncEngine) -> None:
    role = f"service_{uuid4().hex[:8]}"
    async with migrated.begin() as db:
        await add(db)
        await db.execute(text(f"CREATE ROLE {role}"))
        await db.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        await db.execute(text(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"))
        await db.execute(text(f"ALTER TABLE tasks OWNER TO {role}"))

    async def seen(setting: str, value: str) -> int:
        async with migrated.connect() as db:
            await db.execute(text(f"SET LOCAL ROLE {role}"))
            await db.execute(text(f"SELECT set_config('app.{setting}', '{value}', true)"))
            return (await db.execute(text("SELECT count(*) FROM tasks"))).scalar_one()

    assert [await seen("tenant", "a"), await seen("tenant", "b"), await seen("worker", "on")] == [1, 0, 1]

    async def intrude() -> None:
        async with migrated.connect() as db:
            await db.execute(text(f"SET LOCAL ROLE {role}"))
            await db.execute(text("SELECT set_config('app.tenant', 'b', true)"))
            await add(db)

    with pytest.raises(DBAPIError, match="row-level security"):
        await intrude()
    async with migrated.begin() as db:
        await db.execute(text(f"REASSIGN OWNED BY {role} TO CURRENT_USER"))
        await db.execute(text(f"DROP OWNED BY {role}"))
        await db.execute(text(f"DROP ROLE {role}"))
