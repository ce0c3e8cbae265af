"""Whether this process lives, and whether what it needs answers."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from sqlalchemy import text

from app.db import AWAY
from app.dependencies import Resources
from app.resources import Resources as OpenResources

logger = logging.getLogger("app.health")

router = APIRouter(tags=["Service"])

ANSWER_WITHIN_S = 2.0


class Part(BaseModel):
    """One thing the service leans on."""

    status: Literal["ok", "failing"]
    latency_ms: float | None = Field(default=None, description="How long it took to answer; absent while it fails.")
    reason: str | None = Field(default=None, description="What follows from its failing.")


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """`degraded` serves, with less; `unavailable` cannot; `leaving` is about to end, so ask another."""

    status: Literal["ok", "degraded", "unavailable", "leaving"]
    parts: dict[str, Part]


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Health:
    """Answers as long as the process does; asks nothing of anyone."""
    return Health()


@router.get("/readyz", summary="Can the service serve", responses={503: {"model": Readiness}})
async def readyz(resources: Resources, response: Response) -> Readiness:
    """PostgreSQL and Redis with their latencies. Degraded is 200; what cannot serve, or is about to end, is 503."""
    readiness = Readiness(status="leaving", parts={}) if resources.leaving else await look(resources)
    response.status_code = 503 if readiness.status in {"unavailable", "leaving"} else 200
    return readiness


async def look(resources: OpenResources) -> Readiness:
    """Ask both at once. Forwarding needs neither, but a replica that reaches neither is most likely cut off."""
    redis, postgres = await asyncio.gather(
        part(ask_redis(resources), "Each process limits for itself; long commands start later."),
        part(ask_postgres(resources), "Long commands, rooms' presets and events answer 503."),
    )
    failing = [redis.status, postgres.status].count("failing")
    status: Literal["ok", "degraded", "unavailable"] = ("ok", "degraded", "unavailable")[failing]
    return Readiness(status=status, parts={"postgres": postgres, "redis": redis})


async def ask_redis(resources: OpenResources) -> None:
    redis: Any = resources.redis
    await redis.ping()


async def ask_postgres(resources: OpenResources) -> None:
    async with resources.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def part(question: Awaitable[Any], reason: str) -> Part:
    """How one part answers."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await question
    except (*AWAY, RedisError):
        return Part(status="failing", reason=reason)
    except Exception:
        logger.exception("a part fails unforeseen")
        return Part(status="failing", reason=reason)
    return Part(status="ok", latency_ms=round((time.perf_counter() - started) * 1000, 1))
