"""Tickets of the partner's customers: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("partner_list_tickets", "GET /v1/partner/tickets", "GET /core/v1/partner/tickets"),
    Forwarded(
        "partner_get_ticket",
        "GET /v1/partner/tickets/{partner_ticket}",
        "GET /core/v1/partner/tickets/{partner_ticket}",
    ),
    Forwarded(
        "partner_update_ticket",
        "PUT /v1/partner/tickets/{partner_ticket}",
        "PUT /core/v1/partner/tickets/{partner_ticket}",
        body={"title": "No picture"},
    ),
    Forwarded(
        "partner_send_ticket_message",
        "POST /v1/partner/tickets/{partner_ticket}/message",
        "POST /core/v1/partner/tickets/{partner_ticket}/message",
        body={"message": "We look into it."},
    ),
    Forwarded(
        "partner_mark_ticket_resolved",
        "POST /v1/partner/tickets/{partner_ticket}/resolved",
        "POST /core/v1/partner/tickets/{partner_ticket}/resolved",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_a_missing_ticket_is_a_404_although_xyte_says_401(door: Door) -> None:
    answer = await door.client.get("/v1/partner/tickets/t1")
    after = await door.client.get("/v1/partner/tickets")

    assert answer.status_code == 404
    assert after.status_code == 200


async def test_an_update_changes_something(door: Door) -> None:
    answer = await door.client.put("/v1/partner/tickets/t1", json={"title": None})

    assert answer.status_code == 422
    assert not door.requests
