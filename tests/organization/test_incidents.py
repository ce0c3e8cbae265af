"""Incidents: each operation's request to the cloud, and its answer."""

import time

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_incidents",
        "GET /v1/incidents?from=0&to=2027-01-01T00:00:00Z&status=active&priority=critical",
        "GET /core/v1/organization/incidents?page=1&per_page=25&from=0&to=1798761600&status=active&priority=critical",
    ),
    Forwarded("close_incident", "DELETE /v1/incidents/{incident}", "DELETE /core/v1/organization/incidents/{incident}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


@pytest.mark.parametrize(("query", "days"), [("", 7), ("?from=0", 20_000), ("?to=2026-01-08T00:00:00Z", 7)])
async def test_both_times_are_always_sent(door: Door, query: str, days: int) -> None:
    answer = await door.client.get(f"/v1/incidents{query}")

    assert answer.status_code == 200
    sent = door.requests[-1].url.params
    span = int(sent["to"]) - int(sent["from"])
    assert span == days * 86_400 or (days == 20_000 and abs(int(sent["to"]) - time.time()) < 60)


@pytest.mark.parametrize(
    "query", ["from=2099-01-01", "from=200&to=100", "priority=urgent", "status=open", "device_id=d1"]
)
async def test_a_wrong_filter_is_refused_before_anything_is_sent(door: Door, query: str) -> None:
    answer = await door.client.get(f"/v1/incidents?{query}")

    assert answer.status_code == 422
    assert not door.requests
