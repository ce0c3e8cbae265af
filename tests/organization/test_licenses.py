"""Licences: the request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_licenses",
        "GET /v1/licenses?state=inuse&state=available&expires_after=2020-01-01T00:00:00Z",
        "GET /core/v1/organization/licenses?page=1&per_page=25&state[]=inuse&state[]=available&expires_after=2020-01-01T00:00:00Z",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
