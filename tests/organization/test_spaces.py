"""Spaces: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_spaces",
        "GET /v1/spaces?path_includes=London&created_after=2020-01-01T00:00:00Z",
        "GET /core/v1/organization/spaces?page=1&per_page=25&path_includes=London&created_after=2020-01-01T00:00:00Z",
    ),
    Forwarded(
        "find_or_create_space",
        "POST /v1/spaces/find_or_create",
        "POST /core/v1/organization/spaces/find_or_create",
        body={"name": "Tower/9/Sky"},
        sent_body={"name": "Tower/9/Sky", "config": {}},
    ),
    Forwarded("get_space", "GET /v1/spaces/{room}", "GET /core/v1/organization/spaces/{room}"),
    Forwarded(
        "create_space",
        "POST /v1/spaces",
        "POST /core/v1/organization/spaces",
        body={"name": "Annex", "parent_id": "{room}", "config": {"temperature_units": "celsius"}},
    ),
    Forwarded(
        "update_space", "PUT /v1/spaces/{room}", "PUT /core/v1/organization/spaces/{room}", body={"name": "Thames 2"}
    ),
    Forwarded("delete_space", "DELETE /v1/spaces/{empty_room}", "DELETE /core/v1/organization/spaces/{empty_room}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
