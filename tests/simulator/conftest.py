"""The one world of these tests: a fresh simulated cloud in process, where time passes only by ticks."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY, Settings, Simulator, create_simulator
from app.simulator.application import Application
from app.simulator.fleet import device_called
from app.simulator.records import Device, Organization

BASE_URL = "http://cloud.example"


@pytest.fixture
def application() -> Application:
    return create_simulator(Settings())


@pytest.fixture
def simulator(application: Application) -> Simulator:
    return application.state.simulator


@pytest.fixture
def harbor_light(simulator: Simulator) -> Organization:
    return next(one for one in simulator.world.organizations.values() if one.name == "Harbor Light Group")


@pytest.fixture
def projector(harbor_light: Organization) -> Device:
    return device_called(harbor_light, "Board Room Projector")


@pytest.fixture
def codec(harbor_light: Organization) -> Device:
    return device_called(harbor_light, "Board Room Video Codec")


@pytest.fixture
async def anyone(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application) as client:
        yield client


@pytest.fixture
async def harbor(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application, ORGANIZATION_KEYS[0]) as client:
        yield client


@pytest.fixture
async def northwind(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application, ORGANIZATION_KEYS[1]) as client:
        yield client


@pytest.fixture
async def partner(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application, PARTNER_KEY) as client:
        yield client


@pytest.fixture
async def own(application: Application, codec: Device) -> AsyncIterator[httpx.AsyncClient]:
    """The codec's own key, on its own address."""
    async with client_of(application, codec.access_key) as client:
        client.base_url = f"{BASE_URL}/v1/devices/{codec.id}"
        yield client


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SIMULATOR_{name.upper()}", raising=False)


def client_of(application: Application, key: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": key} if key else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=BASE_URL, headers=headers)
