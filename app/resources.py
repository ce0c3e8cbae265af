"""The connections a process holds open; the API and the worker open the same set."""

import hashlib
import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from starlette.requests import HTTPConnection

from app.budget import TenantBudget
from app.db import open_engine
from app.doorbell import Doorbell
from app.gcra import Gcra
from app.seal import Seal
from app.settings import Settings
from app.tracing import TracedTransport, Tracing, open_tracing
from app.xyte.client import Cloud
from app.xyte.memory import Memory

COMPLETIONS_BELIEVED_FOR_S = 30.0
"""A person types faster than that."""


class Belonging(Protocol):
    """What one package keeps open for the life of a process."""

    def __init__(self, resources: "Resources", /) -> None: ...

    async def close(self) -> None: ...


Kind = TypeVar("Kind", bound=Belonging)


@dataclass
class Resources:
    """Everything that outlives a request."""

    settings: Settings
    engine: AsyncEngine
    redis: Redis
    cloud: Cloud
    gcra: Gcra
    doorbell: Doorbell
    seal: Seal
    tenants: dict[str, str] = field(default_factory=dict[str, str])
    resolved_at: dict[str, float] = field(default_factory=dict[str, float])
    spent: set[str] = field(default_factory=set[str])
    completions: Memory = field(default_factory=lambda: Memory(believed_for_s=COMPLETIONS_BELIEVED_FOR_S))
    leaving: bool = False
    tracing: Tracing | None = None
    belongings: dict[type[Belonging], Any] = field(default_factory=dict[type[Belonging], Any])
    sessions: async_sessionmaker[AsyncSession] = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._pepper = self.settings.key_pepper.get_secret_value().encode()

    def fingerprint(self, key: str) -> str:
        """What stands for a key wherever one must be recognised: it cannot be turned back without the pepper."""
        return hmac.digest(self._pepper, key.encode(), hashlib.sha256).hex()

    def the(self, kind: type[Kind]) -> Kind:
        """The one of its kind in this process, made of these resources when it is first asked for."""
        if kind not in self.belongings:
            self.belongings[kind] = kind(self)
        return self.belongings[kind]


@asynccontextmanager
async def open_resources(
    settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None, for_worker: bool = False
) -> AsyncGenerator[Resources, None]:
    """Open them lazily connecting, and close them all; tests give the transport that leads to their cloud."""
    async with open_tracing(settings, "xyte-worker" if for_worker else "xyte-gateway") as tracing:
        inner = transport or open_transport(settings)
        traced = TracedTransport(inner, tracing) if tracing else inner
        async with _open(settings, traced, for_worker=for_worker) as resources:
            resources.tracing = tracing
            yield resources


@asynccontextmanager
async def _open(
    settings: Settings, transport: httpx.AsyncBaseTransport, *, for_worker: bool
) -> AsyncGenerator[Resources, None]:
    redis = open_redis(settings.redis_url)
    gcra = Gcra(redis, settings.replicas)
    tenants: dict[str, str] = {}
    cloud = Cloud(
        transport=transport,
        base_url=settings.xyte_base_url,
        entry_url=settings.xyte_entry_url,
        device_hub_url=settings.xyte_device_hub_url,
        budget=TenantBudget(redis, gcra, tenants, full=settings.xyte_budget_per_minute),
        timeout_s=settings.xyte_timeout_s,
        answer_limit_bytes=settings.xyte_answer_limit_bytes,
    )
    engine = open_engine(settings.database_url, for_worker=for_worker)
    doorbell = Doorbell(settings.redis_url, redis, through_arq=settings.tasks_wakeup == "arq")
    seal = Seal([key.get_secret_value() for key in settings.sealing_keys])
    opened = Resources(settings, engine, redis, cloud, gcra, doorbell, seal, tenants)
    try:
        yield opened
    finally:
        for belonging in opened.belongings.values():
            await belonging.close()
        await doorbell.close()
        await gcra.close()
        await cloud.close()
        await redis.aclose()
        await engine.dispose()


def open_redis(url: str) -> Redis:
    """Quick to give up: a request must not wait for a Redis that is away."""
    return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  its keyword arguments are not typed
        url,
        decode_responses=True,
        socket_connect_timeout=0.5,
        socket_timeout=1.0,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def open_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """httpx on aiohttp's connection pool; no cookies, no redirects, nothing sent twice."""

    def session() -> aiohttp.ClientSession:
        # Shorter than the idle time of common servers: a connection that is just being closed loses a command's answer.
        connector = aiohttp.TCPConnector(limit=settings.xyte_connections, keepalive_timeout=4, ttl_dns_cache=60)
        client = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        client._retry_connection = False  # pyright: ignore[reportPrivateUsage]  it would repeat PUT and DELETE
        return client

    return AiohttpTransport(client=session)


async def get_resources(connection: HTTPConnection) -> Resources:
    """The seam: tests override this and nothing else."""
    return connection.app.state.resources
