"""A device's own incidents: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_list_incidents", "GET /v1/device/{me}/incidents", "GET /v1/devices/{me}/incidents"),
    Forwarded(
        "device_open_incident",
        "POST /v1/device/{me}/incidents",
        "POST /v1/devices/{me}/incidents",
        body={"title": "Too warm", "issue": "warm"},
        sent_body={"title": "Too warm", "issue": "warm", "priority": 3},
    ),
    Forwarded("device_close_incidents", "DELETE /v1/device/{me}/incidents", "DELETE /v1/devices/{me}/incidents"),
    Forwarded(
        "device_close_incident",
        "DELETE /v1/device/{me}/incidents/{own_incident}",
        "DELETE /v1/devices/{me}/incidents/{own_incident}",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
