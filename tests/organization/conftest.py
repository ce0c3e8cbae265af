"""The organization's way in."""

import httpx
import pytest
import respx
from fastapi import FastAPI

from tests.forwarding import Door, ids_of
from tests.world import Simulator


@pytest.fixture
def door(app: FastAPI, client: httpx.AsyncClient, cloud: respx.MockRouter, simulator: Simulator) -> Door:
    """Over REST and MCP with an organization key."""
    return Door(app, client, cloud, ids_of(simulator))
