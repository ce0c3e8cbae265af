"""Notices to the vendor's own server: one try and two more, then never again."""

import asyncio
import logging

import httpx

from app.simulator.records import JsonObject
from app.simulator.world import World

logger = logging.getLogger(__name__)

TRIES = 3


async def deliver(world: World, client: httpx.AsyncClient) -> int:
    """Send what is waiting; how many notices arrived."""
    arrived = 0
    while world.notifications and (url := world.settings.webhook_url) is not None:
        notice = world.notifications.popleft() | {"secret": world.settings.webhook_secret}
        arrived += await _try(client, url, notice)
    return arrived


async def _try(client: httpx.AsyncClient, url: str, notice: JsonObject) -> bool:
    for _ in range(TRIES):
        try:
            if (await client.post(url, json=notice, timeout=5)).is_success:
                return True
        except (httpx.HTTPError, httpx.InvalidURL):
            await asyncio.sleep(0)
    logger.warning("a notice to the vendor was not taken")
    return False
