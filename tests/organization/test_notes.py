"""Notes: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_all_device_notes", "GET /v1/devices/notes", "GET /core/v1/organization/devices/notes?page=1&per_page=25"
    ),
    Forwarded(
        "list_device_notes",
        "GET /v1/devices/{noted_device}/notes",
        "GET /core/v1/organization/devices/{noted_device}/notes?page=1&per_page=25",
    ),
    Forwarded(
        "create_device_note",
        "POST /v1/devices/{device}/notes",
        "POST /core/v1/organization/devices/{device}/notes",
        body={"content": "Cable replaced"},
    ),
    Forwarded(
        "delete_device_note",
        "DELETE /v1/devices/{noted_device}/notes/{device_note}",
        "DELETE /core/v1/organization/devices/{noted_device}/notes/{device_note}",
    ),
    Forwarded(
        "list_all_space_notes", "GET /v1/spaces/notes", "GET /core/v1/organization/spaces/notes?page=1&per_page=25"
    ),
    Forwarded(
        "list_space_notes",
        "GET /v1/spaces/{room}/notes?per_page=1",
        "GET /core/v1/organization/spaces/{room}/notes?page=1&per_page=1",
    ),
    Forwarded(
        "create_space_note",
        "POST /v1/spaces/{room}/notes",
        "POST /core/v1/organization/spaces/{room}/notes",
        body={"content": "The door sticks"},
    ),
    Forwarded(
        "delete_space_note",
        "DELETE /v1/spaces/{room}/notes/{space_note}",
        "DELETE /core/v1/organization/spaces/{room}/notes/{space_note}",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
