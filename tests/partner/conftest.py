"""The partner's way in."""

import httpx
import pytest
import respx
from fastapi import FastAPI

from tests.forwarding import Door, ids_of
from tests.world import Simulator


@pytest.fixture
def door(app: FastAPI, partner: httpx.AsyncClient, cloud: respx.MockRouter, simulator: Simulator) -> Door:
    """Over REST and MCP with a partner key."""
    return Door(app, partner, cloud, ids_of(simulator))
