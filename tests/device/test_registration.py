"""A device's identity: each operation's request to the cloud, and its answer."""

import pytest

from app.mcp.selection import Catalogue
from tests.forwarding import Door, Forwarded

FACTORY = {
    "hardware_key": "{hardware_key}",
    "firmware_version": "1.0.1",
    "sn": "112",
    "mac": "11:22:33:44:55:66",
    "cloud_id": "GUID-112",
}

FORWARDED = [
    Forwarded("device_register_device", "POST /v1/device", "POST /v1/devices", body=FACTORY),
    Forwarded(
        "device_register_devices",
        "POST /v1/device/bulk_create",
        "POST /v1/devices/bulk_create",
        body={"devices": [FACTORY, {"hardware_key": "x", "firmware_version": "1", "sn": "2"}]},
        sent_body=[FACTORY, {"hardware_key": "x", "firmware_version": "1", "sn": "2"}],
    ),
    Forwarded("device_list_children", "GET /v1/device/{me}/children", "GET /v1/devices/{me}/children"),
    Forwarded(
        "device_register_child",
        "POST /v1/device/{me}/children",
        "POST /v1/devices/{me}/children",
        body={"model_id": "{model}", "firmware_version": "1.0.0", "sn": "child-1"},
    ),
    Forwarded("device_delete_device", "DELETE /v1/device/{me}", "DELETE /v1/devices/{me}"),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_each_request_goes_to_its_host_with_the_key_where_one_is_wanted(door: Door, row: Forwarded) -> None:
    await door.rest(row)

    request = door.requests[-1]
    registers = row.operation in ("device_register_device", "device_register_devices", "device_register_child")
    anonymous = row.operation in ("device_register_device", "device_register_devices")
    assert request.url.host == ("entry.xyte.io" if registers else "hub.xyte.io")
    assert request.headers.get("authorization") == (None if anonymous else door.client.headers["X-XYTE-API-KEY"])


async def test_at_most_25_devices_register_at_once(door: Door) -> None:
    devices = [{"hardware_key": "h", "firmware_version": "1", "sn": str(number)} for number in range(26)]

    answer = await door.client.post("/v1/device/bulk_create", json={"devices": devices})

    assert answer.status_code == 422
    assert not door.requests


async def test_a_key_refused_for_another_device_stays_good_for_its_own(door: Door) -> None:
    foreign = await door.client.get(f"/v1/device/{door.ids['other_device']}")
    own = await door.client.get(f"/v1/device/{door.ids['me']}")

    assert (foreign.status_code, own.status_code) == (401, 200)


def test_mcp_does_not_offer_devices_operations_unless_told_to(door: Door) -> None:
    catalogue: Catalogue = door.app.state.catalogue

    assert not [name for name in catalogue.tools if name.startswith("device_")]
