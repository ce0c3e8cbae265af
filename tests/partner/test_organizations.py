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


@pytest.mark.parametrize("way", ["rest", "mcp"])
async def test_the_new_key_goes_to_the_caller_and_nowhere_else(
    door: Door, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = await (door.rest(FORWARDED[0]) if way == "rest" else door.mcp(FORWARDED[0]))

    key = answer["api_key"]
    redis = door.app.state.resources.redis
    stored = [await redis.get(name) for name in await redis.keys() if await redis.type(name) == "string"]
    written = capsys.readouterr()
    metrics = await door.client.get("/metrics")
    assert len(key) > 20
    assert key not in caplog.text + written.out + written.err + str(stored) + metrics.text
