"""The PostgreSQL engine and its sessions."""

from typing import Any, NoReturn

from asyncpg import PostgresError  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from app.errors import ServiceUnavailable
from app.settings import NO_POSTGRES

AWAY = (OSError, TimeoutError, OperationalError, InterfaceError, NoFreeConnection, PostgresError)
"""What is raised while PostgreSQL is away, restarts, or has no connection to spare."""

NOT_SERVING = frozenset({"08", "53", "57"})
"""Classes of SQLSTATE: connection exception, insufficient resources, operator intervention."""


class Table(DeclarativeBase):
    """What all tables share; migrations compare the database with its metadata."""


def open_engine(url: str, *, for_worker: bool = False) -> AsyncEngine:
    """An engine whose connections are checked before use, so that a restarted PostgreSQL costs no request.

    Row-level security shows a connection the rows of the tenant set in its transaction; a worker's shows all.
    """
    if url == NO_POSTGRES:
        return create_async_engine("postgresql+asyncpg://", async_creator=nowhere)
    engine = create_async_engine(
        asyncpg_url(url),
        pool_size=10,
        max_overflow=10,
        pool_timeout=5,
        pool_pre_ping=not for_worker,  # a worker tries again by itself
        hide_parameters=True,
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": {"app.worker": "on" if for_worker else "off"},
        },
    )
    event.listen(engine.sync_engine, "handle_error", without_row)
    event.listen(engine.sync_engine, "handle_error", as_away, retval=True)
    return engine


def without_row(context: ExceptionContext) -> None:
    """PostgreSQL quotes the row that it refuses, and a log shows all that an exception says."""
    refused: Any = context.original_exception.__cause__
    if hasattr(refused, "detail"):
        refused.detail = None


def as_away(context: ExceptionContext) -> BaseException | None:
    """PostgreSQL breaking off, starting, stopping or being full is one kind of failure, whatever class it comes in."""
    sqlstate = str(getattr(context.original_exception, "sqlstate", None) or "")
    gone = context.is_disconnect or sqlstate[:2] in NOT_SERVING
    if gone and not context.is_pre_ping and not isinstance(context.sqlalchemy_exception, AWAY):
        return ConnectionError("PostgreSQL broke the connection or takes none.")
    return None


async def nowhere() -> NoReturn:
    """In place of a connection where there is no PostgreSQL at all."""
    raise ServiceUnavailable(
        "This needs a PostgreSQL, and this process runs without one; nothing was done. Start it as "
        "`xyte-mcp stdio --embedded`, or set DATABASE_URL and REDIS_URL and run `xyte-mcp worker`."
    )


def asyncpg_url(url: str) -> str:
    """A PostgreSQL URL in any of its spellings, for asyncpg."""
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            return "postgresql+asyncpg://" + url.removeprefix(scheme)
    return url
