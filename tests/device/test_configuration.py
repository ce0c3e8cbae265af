"""A device's configuration: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_get_config", "GET /v1/device/{me}/config", "GET /v1/devices/{me}/config"),
    Forwarded(
        "device_set_config",
        "POST /v1/device/{me}/config",
        "POST /v1/devices/{me}/config",
        body={"document": {"config": {"vol": None}}},
        sent_body={"config": {"vol": None}},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
