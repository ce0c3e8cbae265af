"""Models: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_models",
        "GET /v1/models?search=switch&edge_only=true",
        "GET /core/v1/organization/models?page=1&per_page=25&search=switch&edge_only=true",
    ),
    Forwarded("get_model", "GET /v1/models/{model}", "GET /core/v1/organization/models/{model}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
