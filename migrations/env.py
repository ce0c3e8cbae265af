"""Runs migrations on the database that DATABASE_URL names."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

import app.events.models
import app.presets.models
import app.rooms.models
import app.tasks.models
from app.db import Table, asyncpg_url

TABLES = (app.events.models, app.presets.models, app.rooms.models, app.tasks.models)


def migrate(connection: Connection) -> None:
    """All pending revisions in one transaction; a second migration waits for the first."""
    context.configure(connection=connection, target_metadata=Table.metadata, compare_type=True)
    with context.begin_transaction():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7217001)")
        context.run_migrations()


async def online() -> None:
    """Connect and migrate."""
    engine = create_async_engine(asyncpg_url(os.environ["DATABASE_URL"]), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(online())
