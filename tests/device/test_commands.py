"""A device's side of commands: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_get_command", "GET /v1/device/{me}/command", "GET /v1/devices/{me}/command"),
    Forwarded(
        "device_list_pending_commands",
        "GET /v1/device/{me}/command/pending_commands",
        "GET /v1/devices/{me}/command/pending_commands",
    ),
    Forwarded(
        "device_update_command",
        "POST /v1/device/{me}/command",
        "POST /v1/devices/{me}/command",
        body={"id": "{waiting}", "message": "great success!"},
        sent_body={"id": "{waiting}", "status": "done", "message": "great success!"},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
