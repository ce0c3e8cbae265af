"""A device's events: the request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "device_add_event",
        "POST /v1/device/{me}/events",
        "POST /v1/devices/{me}/events",
        body={"name": "power surge", "category": "electric", "int_key_1": 120},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
