"""Groups: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("list_groups", "GET /v1/groups?per_page=1", "GET /core/v1/organization/groups?page=1&per_page=1"),
    Forwarded("get_group", "GET /v1/groups/{group}", "GET /core/v1/organization/groups/{group}"),
    Forwarded(
        "create_group",
        "POST /v1/groups",
        "POST /core/v1/organization/groups",
        body={"name": "Night shift", "user_ids": ["{user}"]},
    ),
    Forwarded(
        "update_group", "PUT /v1/groups/{group}", "PUT /core/v1/organization/groups/{group}", body={"name": "Day shift"}
    ),
    Forwarded("delete_group", "DELETE /v1/groups/{group}", "DELETE /core/v1/organization/groups/{group}"),
    Forwarded(
        "add_users_to_group",
        "POST /v1/groups/{group}/add_users",
        "POST /core/v1/organization/groups/{group}/add_users",
        body={"user_ids": ["{new_member}"]},
    ),
    Forwarded(
        "add_external_user_to_group",
        "POST /v1/groups/{group}/add_external_user",
        "POST /core/v1/organization/groups/{group}/add_external_user",
        body={"email": "guest@example.com"},
    ),
    Forwarded(
        "remove_users_from_group",
        "POST /v1/groups/{group}/remove_users",
        "POST /core/v1/organization/groups/{group}/remove_users",
        body={"user_ids": ["{user}"]},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
