"""The PostgreSQL engine and its sessions."""

from typing import NoReturn

from asyncpg import PostgresError  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from app.errors import ServiceUnavailable
from app.settings import NO_POSTGRES

AWAY = (OSError, TimeoutError, OperationalError, InterfaceError, NoFreeConnection, PostgresError)
"""What is raised while PostgreSQL is away, restarts, or has no connection to spare."""


class Table(DeclarativeBase):
    """What all tables share; migrations compare the database with its metadata."""


def open_engine(url: str, *, for_worker: bool = False) -> AsyncEngine:
    """An engine whose connections are checked before use, so that a restarted PostgreSQL costs no request.

    Row-level security shows a connection the rows of the tenant set in its transaction; a worker's shows all.
    """
    if url == NO_POSTGRES:
        return create_async_engine("postgresql+asyncpg://", async_creator=nowhere)
    return create_async_engine(
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
