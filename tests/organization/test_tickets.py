"""Tickets: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("list_tickets", "GET /v1/tickets", "GET /core/v1/organization/tickets"),
    Forwarded("get_ticket", "GET /v1/tickets/{ticket}", "GET /core/v1/organization/tickets/{ticket}"),
    Forwarded(
        "update_ticket",
        "PUT /v1/tickets/{ticket}",
        "PUT /core/v1/organization/tickets/{ticket}",
        body={"title": "No sound", "description": "Since Monday"},
    ),
    Forwarded(
        "send_ticket_message",
        "POST /v1/tickets/{ticket}/message",
        "POST /core/v1/organization/tickets/{ticket}/message",
        body={"message": "Hello!"},
    ),
    Forwarded(
        "mark_ticket_resolved",
        "POST /v1/tickets/{ticket}/resolved",
        "POST /core/v1/organization/tickets/{ticket}/resolved",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
