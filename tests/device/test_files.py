"""Files: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_list_files", "GET /v1/device/{me}/files", "GET /v1/devices/{me}/files"),
    Forwarded("device_get_file", "GET /v1/device/{me}/files/{file}", "GET /v1/devices/{me}/files/{file}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)
