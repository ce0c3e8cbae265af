"""The partner's customers: a new one, and where its key goes."""

import logging

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "partner_create_organization",
        "POST /v1/partner/organizations",
        "POST /core/v1/partner/organizations",
        body={"name": "Acme Corp", "admin_contact_email": "admin@acme.example"},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


async def test_the_new_key_goes_to_the_caller_and_nowhere_else(
    door: Door, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = await door.client.post(
        "/v1/partner/organizations", json={"name": "Acme Corp", "admin_contact_email": "admin@acme.example"}
    )

    key = answer.json()["api_key"]
    resources = door.app.state.resources
    written = capsys.readouterr()
    assert key not in caplog.text + written.out + written.err
    assert answer.headers["Cache-Control"] == "no-store"
    assert not any(key in str(await resources.redis.dump(name)) for name in await resources.redis.keys())
    assert key not in (await door.client.get("/metrics")).text
