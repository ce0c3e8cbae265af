"""The simulator over a real socket, where a connection can be cut without a byte of answer."""

import asyncio
import runpy
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from app.simulator import ORGANIZATION_KEYS, Simulator, serve
from app.simulator.application import Application
from app.simulator.records import Device
from app.simulator.server import configuration

INFO = "/core/v1/organization/info"


@asynccontextmanager
async def served(application: Application) -> AsyncGenerator[httpx.AsyncClient]:
    """The simulator on a free port, with its own life going on."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configuration(application, "127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", headers={"Authorization": ORGANIZATION_KEYS[0]}
        ) as client:
            yield client
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def running(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with served(application) as client:
        yield client


@pytest.mark.parametrize(("kind", "taken"), [("reset", 0), ("lost_answer", 1)])
async def test_a_cut_connection_gives_no_byte_of_answer(
    running: httpx.AsyncClient, projector: Device, kind: str, taken: int
) -> None:
    path = f"/core/v1/organization/devices/{projector.id}/commands"
    await running.post("/_simulator/faults", json={"kind": kind})

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await running.post(path, json={"name": "power_on"})

    assert len((await running.get("/_simulator/commands")).json()["commands"]) == taken
    assert (await running.get(INFO)).status_code == 200


async def test_a_read_can_be_cut_as_well(running: httpx.AsyncClient) -> None:
    await running.post("/_simulator/faults", json={"kind": "reset"})

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await running.get(INFO)


async def test_a_dripping_answer_comes_in_pieces(running: httpx.AsyncClient) -> None:
    await running.post("/_simulator/faults", json={"kind": "drip", "seconds": 0.02, "bytes": 100})

    async with running.stream("GET", INFO) as response:
        pieces = [piece async for piece in response.aiter_raw()]

    assert len(pieces) > 1
    assert int(response.headers["content-length"]) == len(b"".join(pieces))


async def test_a_huge_answer_is_as_long_as_it_says(running: httpx.AsyncClient) -> None:
    await running.post("/_simulator/faults", json={"kind": "huge", "bytes": 300_000})

    response = await running.get(INFO)

    assert len(response.json()) == 300_000


async def test_a_body_may_come_in_pieces(running: httpx.AsyncClient, projector: Device) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b'{"name":', b'"power_on"', b"}"):
            yield piece
            await asyncio.sleep(0)

    response = await running.post(f"/core/v1/organization/devices/{projector.id}/commands", content=body())

    assert response.status_code == 201


async def test_its_world_lives_by_itself(application: Application, simulator: Simulator, projector: Device) -> None:
    later = asyncio.Event()
    simulator.settings.speed = 1000

    async with served(application) as client:
        await client.post(f"/core/v1/organization/devices/{projector.id}/commands", json={"name": "power_on"})
        simulator.world.clock.schedule(5, later.set)
        async with asyncio.timeout(20):
            await later.wait()

    assert projector.commands[-1].status == "done"


def fail() -> None:
    raise RuntimeError


async def test_a_failing_step_does_not_end_the_world(
    application: Application, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    happened = asyncio.Event()
    simulator.settings.speed = 1000
    simulator.world.clock.schedule(0, fail)
    simulator.world.clock.schedule(0.1, happened.set)

    async with served(application), asyncio.timeout(20):
        await happened.wait()

    assert "a step of the simulated world failed" in caplog.text


@pytest.mark.parametrize("start", [serve, lambda: runpy.run_module("app.simulator", run_name="__main__")])
def test_it_is_served_where_the_settings_say(monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    seen: list[uvicorn.Config] = []

    def run(server: uvicorn.Server) -> None:
        seen.append(server.config)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setenv("SIMULATOR_PORT", "8123")

    start()

    [config] = seen
    assert (config.host, config.port, config.access_log) == ("127.0.0.1", 8123, False)


def test_importing_its_main_module_starts_nothing() -> None:
    runpy.run_module("app.simulator.__main__", run_name="imported")
