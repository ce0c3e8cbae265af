"""PostgreSQL going away is one kind of failure, however the driver puts it."""

import logging

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from app.db import AWAY
from app.resources import Resources
from app.telemetry import JsonFormatter


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


async def test_no_log_line_tells_what_was_in_a_refused_row(resources: Resources) -> None:
    sent = "what a caller sent"
    async with resources.engine.connect() as db:
        await db.execute(text("CREATE TEMP TABLE few (words text CHECK (length(words) < 9)) ON COMMIT DROP"))
        with pytest.raises(IntegrityError) as refused:
            await db.execute(text("INSERT INTO few VALUES (:words)"), {"words": sent})
    told = (refused.type, refused.value, refused.tb)

    line = JsonFormatter().format(logging.LogRecord("app", logging.ERROR, "", 0, "unforeseen", (), told))

    assert "few_words_check" in line
    assert sent not in line
