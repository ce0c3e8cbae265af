"""The simulator over a real socket: connections can be cut without a byte of answer."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from app import simulator as package
from app.simulator import ORGANIZATION_KEYS, Settings, Simulator, server
from app.simulator.application import Application, create_simulator

INFO = "/core/v1/organization/info"


@pytest.fixture
async def running(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = server.configuration(application, "127.0.0.1", 0)
    serving = uvicorn.Server(config)
    serving.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(serving.serve(sockets=[listener]))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base_url, headers={"Authorization": ORGANIZATION_KEYS[0]}) as client:
        await client.get("/_simulator/health")
        yield client
    serving.should_exit = True
    await task


async def test_placeholder(running: httpx.AsyncClient) -> None:
    assert (await running.get(INFO)).status_code == 200
