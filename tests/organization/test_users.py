"""Users: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("list_users", "GET /v1/users?page=1", "GET /core/v1/organization/users?page=1&per_page=25"),
    Forwarded("get_user", "GET /v1/users/{user}", "GET /core/v1/organization/users/{user}"),
    Forwarded(
        "create_user",
        "POST /v1/users",
        "POST /core/v1/organization/users",
        body={"email": "new@example.com", "name": "New", "group_ids": ["{group}"]},
    ),
    Forwarded(
        "resend_welcome_email",
        "POST /v1/users/{user}/resend_welcome",
        "POST /core/v1/organization/users/{user}/resend_welcome",
    ),
    Forwarded(
        "deactivate_user", "POST /v1/users/{user}/deactivate", "POST /core/v1/organization/users/{user}/deactivate"
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
