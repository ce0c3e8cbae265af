"""Licences: the request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_licenses",
        "GET /v1/licenses?state=inuse&state=available&assigned=true",
        "GET /core/v1/organization/licenses?page=1&per_page=25&state[]=inuse&state[]=available&assigned=true",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_expiry_is_given_as_iso_8601_or_unix_seconds(door: Door) -> None:
    answer = await door.client.get("/v1/licenses?expires_after=0&expires_before=2099-01-01T00:00:00%2B02:00")

    assert answer.json()["items"]
    assert dict(door.requests[-1].url.params) == {
        "page": "1",
        "per_page": "25",
        "expires_after": "1970-01-01T00:00:00Z",
        "expires_before": "2099-01-01T00:00:00+02:00",
    }


@pytest.mark.parametrize("query", ["state=disable", "warranty=perhaps", "sate=inuse", "per_page=101"])
async def test_a_wrong_filter_is_refused_before_anything_is_sent(door: Door, query: str) -> None:
    answer = await door.client.get(f"/v1/licenses?{query}")

    assert answer.status_code == 422
    assert not door.requests
