"""Licence changes: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded("device_get_license", "GET /v1/device/{me}/license", "GET /v1/devices/{me}/license"),
    Forwarded("device_list_licenses", "GET /v1/device/{me}/licenses", "GET /v1/devices/{me}/licenses"),
    Forwarded(
        "device_update_license",
        "POST /v1/device/{me}/licenses",
        "POST /v1/devices/{me}/licenses",
        body={"id": "{license}", "state": "inuse"},
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize(
    ("said", "answer"), [([{"id": "l1"}], {"id": "l1"}), ([], {}), ({}, {}), ({"id": "l1"}, {"id": "l1"})]
)
async def test_a_licence_comes_bare_or_in_a_list(door: Door, said: object, answer: object) -> None:
    door.cloud.route().respond(json=said)

    response = await door.client.get(f"/v1/device/{door.ids['me']}/license")

    assert response.json() == answer
