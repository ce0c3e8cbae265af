"""The inventory: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "list_assets",
        "GET /v1/assets?name=cable&space_id={room}",
        "GET /core/v1/organization/assets?page=1&per_page=25&name=cable&space_id={room}",
    ),
    Forwarded("list_asset_labels", "GET /v1/assets/labels/status", "GET /core/v1/organization/assets/labels/status"),
    Forwarded("get_asset", "GET /v1/assets/{asset}", "GET /core/v1/organization/assets/{asset}"),
    Forwarded(
        "create_asset",
        "POST /v1/assets",
        "POST /core/v1/organization/assets",
        body={
            "name": "Lamp",
            "manufacturer": "Sony",
            "status": {"id": "{label}"},
            "purchased_at": "2024-01-15T00:00:00Z",
        },
    ),
    Forwarded(
        "update_asset",
        "PUT /v1/assets/{asset}",
        "PUT /core/v1/organization/assets/{asset}",
        body={"comments": "spare lamp in rack", "space_id": "{room}"},
    ),
    Forwarded("delete_asset", "DELETE /v1/assets/{asset}", "DELETE /core/v1/organization/assets/{asset}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)


@pytest.mark.parametrize("label", ["", {}, {"id": ""}, {"name": "Sony"}, {"id": "l1", "name": "Sony"}, 7])
async def test_a_label_is_a_name_or_an_id(door: Door, label: object) -> None:
    answer = await door.client.post("/v1/assets", json={"name": "Lamp", "manufacturer": label})

    assert answer.status_code == 422
    assert not door.requests


async def test_an_update_changes_something(door: Door) -> None:
    answer = await door.client.put("/v1/assets/a1", json={})

    assert answer.status_code == 422
    assert not door.requests
