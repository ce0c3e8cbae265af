"""Rooms started by an MCP client that watches."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app.simulator import ORGANIZATION_KEYS
from tests.presets.conftest import Stage
from tests.world import beside


async def work(stage: Stage) -> None:
    """A worker that goes on until it is told to stop."""
    while True:
        await stage.turn()
        await asyncio.sleep(0)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_sees_each_step_and_a_truthful_end(app: FastAPI, stage: Stage, mode: Any) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    headers = {"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
    async with (
        beside(work(stage)),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), headers=headers, timeout=60) as http,
        Client(streamable_http_client("http://localhost/mcp", http_client=http), mode=mode) as client,
    ):
        started = await client.call_tool("start_meeting_room_preset", {"room": "louvre"}, progress_callback=hear)
        down = await client.call_tool("shutdown_meeting_room", {"room": "louvre", "wait_seconds": 30})
        unknown = await client.call_tool("start_meeting_room_preset", {"room": "luvre"})

    assert started.structured_content is not None
    assert started.structured_content["state"] == "done"
    assert down.structured_content is not None
    assert down.structured_content["state"] == "done"
    assert [progress for progress, _, _ in heard] == sorted({progress for progress, _, _ in heard})
    assert any(message == "display: power_on: done" for _, _, message in heard)
    assert (await stage.device("Louvre Display"))["state"]["power"] == "off"
    assert unknown.is_error
