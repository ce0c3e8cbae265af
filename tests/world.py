"""Short ways to what a test needs of the pretend cloud and of the MCP endpoint."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from inspect import isawaitable
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from app.doorbell import end
from app.presets import jobs as presets
from app.resources import Resources
from app.stack import free_port
from app.tasks.dispatcher import Dispatcher


@dataclass
class Simulator:
    """The pretend cloud, with its record of what it saw."""

    app: Any

    def tick(self, seconds: float) -> None:
        """Let its devices live for that long."""
        self.app.state.simulator.tick(seconds)

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Its own endpoint for tests."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            answer = await client.request(method, f"/_simulator/{path}", json=body)
            answer.raise_for_status()
            return answer.json()

    async def requests(self) -> list[dict[str, Any]]:
        """What the cloud was asked, oldest first."""
        return (await self.admin("GET", "requests"))["requests"]

    async def a_device(self, model_word: str = "") -> dict[str, Any]:
        """A device of the first organization that is online."""
        devices: list[dict[str, Any]] = (await self.admin("GET", "devices"))["devices"]
        first = devices[0]["organization"]
        return next(
            device
            for device in devices
            if device["online"] and device["organization"] == first and model_word.lower() in device["model"].lower()
        )


@asynccontextmanager
async def living(simulator: Simulator) -> AsyncGenerator[None]:
    """A pretend cloud whose devices live on while a caller waits."""

    async def live() -> None:
        while True:
            await asyncio.sleep(0.02)
            simulator.tick(1)

    async with beside(live()):
        yield


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Something that goes on meanwhile, and has ended afterwards however the test ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(task)


@asynccontextmanager
async def working(resources: Resources, simulator: Simulator) -> AsyncGenerator[None]:
    """A worker of the service, and devices that do what they are told."""
    async with living(simulator), Dispatcher(resources, also=[presets.advance]).running():
        yield


async def until(holds: Callable[[], Any], within_s: float = 20.0, every_s: float = 0.01) -> Any:
    """Look until something holds of which nobody tells, and say what was seen; what is asked may be a coroutine."""
    async with asyncio.timeout(within_s):
        while True:
            answer = holds()
            if seen := await answer if isawaitable(answer) else answer:
                return seen
            await asyncio.sleep(every_s)


async def answers(url: str) -> bool:
    """Whether there is somebody, and well."""
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def program(command: Sequence[str | Path], log: Path, folder: Path) -> AsyncGenerator[None]:
    """A program that runs meanwhile, at home in the folder."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=os.environ | {"HOME": str(folder)}, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.terminate()
        async with asyncio.timeout(10):
            await process.wait()


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncGenerator[str]:
    """An application on a free port of this machine: its address."""
    config = uvicorn.Config(app, port=free_port(0), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started or running.done())
    try:
        yield f"http://127.0.0.1:{config.port}"
    finally:
        server.should_exit = True
        await running


async def mcp(client: httpx.AsyncClient, method: str, params: dict[str, Any] | None = None) -> Any:
    """One JSON-RPC request at the root path, as bare curl sends it."""
    answer = await client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
    return answer.json()


async def call(client: httpx.AsyncClient, tool: str, **arguments: Any) -> Any:
    """A tool's result."""
    return (await mcp(client, "tools/call", {"name": tool, "arguments": arguments}))["result"]
