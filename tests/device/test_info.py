"""What the cloud knows of a device: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_get_info", "GET /v1/device/{me}", "GET /v1/devices/{me}"),
    Forwarded(
        "device_update_info",
        "PUT /v1/device/{me}",
        "PUT /v1/devices/{me}",
        body={"name": "Left", "config_version": 3},
        sent_body={"name": "Left", "config_version": "3"},
    ),
    Forwarded(
        "device_set_cloud_settings",
        "PUT /v1/device/{me}/cloud_settings",
        "PUT /v1/devices/{me}/cloud_settings",
        body={"property": "incidents.suspend_creation", "value": True},
    ),
    Forwarded("device_get_space", "GET /v1/device/{me}/space", "GET /v1/devices/{me}/space"),
    Forwarded(
        "device_move_space",
        "PUT /v1/device/{me}/space/move",
        "PUT /v1/devices/{me}/space/move",
        body={"target": "unsorted"},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
