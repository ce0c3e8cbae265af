"""The organization itself."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("get_organization_info", "GET /v1/organization", "GET /core/v1/organization/info"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
