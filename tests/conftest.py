"""One small world for every test: real PostgreSQL and Redis, and `cloud`, the simulator behind respx."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
import respx
from fastapi import FastAPI
from pydantic import SecretBytes, SecretStr
from sqlalchemy import text

from app import embedded
from app.cli import main as xyte_mcp
from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY, ConnectionCut, create_simulator
from app.stack import own_database
from tests.world import Simulator

LONGEST = (
    "tests/deploy/",
    "tests/faults/",
    "tests/site/",
    "tests/test_conformance.py",
    "tests/test_fuzz.py",
    "tests/test_sdk.py",
    "tests/test_stdio.py",
)


def pytest_configure() -> None:
    """Else pytest-asyncio has a spare event loop made, which it forgets unclosed."""
    asyncio.set_event_loop(None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, in whatever order, so that no runner is left alone with it in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Logging belongs to the process: what a test sets up, directly or by an application, ends with the test."""
    root, ours = logging.getLogger(), logging.getLogger("app")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The given PostgreSQL and Redis, else embedded ones; each of several runners has its own part of them."""
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        given = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
        if runner := os.environ.get("PYTEST_XDIST_WORKER"):
            with own_database(given[0]) as database_url:
                redis_url = numbered(given[1], int(runner.removeprefix("gw")) + 1)
                os.environ |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
                yield database_url, redis_url
        else:
            yield given
        return
    with embedded.servers(Path(tmp_path_factory.mktemp("servers")), durable=False) as started:
        os.environ |= {"DATABASE_URL": started.database_url, "REDIS_URL": started.redis_url}
        yield started.database_url, started.redis_url


def numbered(redis_url: str, number: int) -> str:
    """Another of the server's databases."""
    base, _, query = redis_url.partition("?")
    return f"{base}?{urlencode(dict(parse_qsl(query)) | {'db': number})}"


@pytest.fixture(scope="session")
def settings(servers: tuple[str, str]) -> Settings:
    """The service's settings, on a migrated database."""
    assert xyte_mcp(["migrate"]) == 0
    database_url, redis_url = servers
    return Settings(
        database_url=database_url,
        redis_url=redis_url,
        key_pepper=SecretStr("a pepper for tests, and for nothing else"),
        sealing_keys=(SecretBytes(b"a sealing key for tests only, 32"),),
        xyte_base_url="https://hub.xyte.test",
        allowed_hosts=("localhost", "127.0.0.1"),
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with its MCP endpoint running; each test gives it resources of its own."""
    application = create_app(settings)
    started, done = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        async with application.state.mcp.running():
            started.set()
            await done.wait()

    running = asyncio.create_task(run())
    await started.wait()
    yield application
    done.set()
    await running


@pytest.fixture
def simulator() -> Simulator:
    """The pretend cloud, as an application and as the world in it."""
    return Simulator(create_simulator())


@pytest.fixture
def cloud(simulator: Simulator) -> respx.MockRouter:
    """What the gateway's requests meet: the simulator, unless a test mocks something else."""

    async def forward(request: httpx.Request) -> httpx.Response:
        try:
            answer = await httpx.ASGITransport(app=simulator.app).handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())
        except ConnectionCut as cut:
            raise httpx.ReadError("the connection was cut") from cut

    router = respx.MockRouter(assert_all_called=False)
    router.route().mock(side_effect=forward)
    return router


@pytest.fixture
async def resources(app: FastAPI, settings: Settings, cloud: respx.MockRouter) -> AsyncIterator[Resources]:
    """What the application holds open, leading to this test's cloud; nothing stays in the stores."""
    async with open_resources(settings, transport=httpx.MockTransport(cloud.async_handler)) as opened:
        app.state.resources = opened
        yield opened
        redis: Any = opened.redis
        await redis.flushdb()
        pool: Any = opened.engine.pool
        if not pool.checkedin() and not pool.checkedout():
            return  # PostgreSQL was not even asked
        async with opened.engine.begin() as connection:
            tables = await connection.scalars(
                text(
                    "SELECT quote_ident(tablename) FROM pg_tables"
                    " WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'meta')"
                )
            )
            if names := ", ".join(tables):
                await connection.execute(text(f"TRUNCATE {names} CASCADE"))
                await connection.execute(text("UPDATE meta SET epoch = 1 WHERE epoch <> 1"))


@pytest.fixture
async def anonymous(app: FastAPI, resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def client(anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the key of the first organization."""
    anonymous.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[0]
    return anonymous


@pytest.fixture
async def partner(app: FastAPI, resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the partner's key."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"X-XYTE-API-KEY": PARTNER_KEY}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        yield client
