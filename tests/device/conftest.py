"""A device's way in: one that has a child, a licence change, a file, a dump, an incident and a waiting command."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx
from fastapi import FastAPI

from app.resources import Resources
from tests.forwarding import Door, ids_of
from tests.world import Simulator

FILE = {
    "id": "file-1",
    "name": "Firmware",
    "url": "https://files.example/1",
    "file_type": "firmware",
    "version": "9.0.0",
}


@pytest.fixture
async def door(
    app: FastAPI, resources: Resources, cloud: respx.MockRouter, simulator: Simulator
) -> AsyncIterator[Door]:
    """Over REST with a device's own key."""
    ids = ids_of(simulator)
    device, more = prepared(simulator)
    headers = {"X-XYTE-API-KEY": device.access_key}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        yield Door(app, client, cloud, ids | more)


def prepared(simulator: Simulator) -> tuple[Any, dict[str, Any]]:
    """A device with something of each kind, and their ids."""
    world = simulator.app.state.simulator.world
    organization = next(iter(world.organizations.values()))
    licence = next(row for row in organization.licenses.values() if row.state == "inuse")
    device = licence.device
    licence.change = "add"
    child = next(row for row in organization.devices.values() if row is not device and not row.children)
    child.parent, device.children[child.id] = device, child
    device.model.files.append(FILE)
    device.dumps["dump-1"] = bytearray(b"x")
    waiting = world.queue(device, organization.name, next(iter(device.model.commands.values())), {}, None)
    incident = world.open_incident(device, "Hot", None, "low", "hot")
    model = next(model for model in world.models.values() if model.authentication == "mac")
    return device, {
        "me": device.id,
        "access_key": device.access_key,
        "child": child.id,
        "license": licence.id,
        "file": FILE["id"],
        "waiting": waiting.id,
        "own_incident": incident.id,
        "hardware_key": model.hardware_key,
    }
