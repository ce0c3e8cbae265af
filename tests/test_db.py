"""PostgreSQL going away is one kind of failure, however the driver puts it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.db import AWAY
from app.resources import Resources


async def test_a_connection_that_is_ended_is_postgresql_being_away(resources: Resources) -> None:
    with pytest.raises(AWAY):
        async with resources.engine.begin() as db:
            await db.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize("sqlstate", ["08006", "53300", "57P01", "57P03"])
async def test_a_postgresql_that_does_not_serve_is_away(resources: Resources, sqlstate: str) -> None:
    with pytest.raises(ConnectionError):
        async with resources.engine.begin() as db:
            await db.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{sqlstate}'; END $$"))


async def test_a_wrong_statement_is_our_own_mistake(resources: Resources) -> None:
    with pytest.raises(ProgrammingError):
        async with resources.engine.begin() as db:
            await db.execute(text("SELECT nothing FROM nowhere"))
