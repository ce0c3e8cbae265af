"""The partner's devices: each operation's request to the cloud, and its answer."""

import pytest

from tests.forwarding import Door, Forwarded

FORWARDED = [
    Forwarded(
        "partner_list_devices",
        "GET /v1/partner/devices?model_id={partner_model}",
        "GET /core/v1/partner/devices?page=1&model_id={partner_model}",
    ),
    Forwarded(
        "partner_list_device_histories",
        "GET /v1/partner/devices/histories?from=1795341600&to=2026-11-22T12:05:00%2B02:00&status=online",
        "GET /core/v1/partner/devices/histories?page=1&from=2026-11-22T10:00:00Z&to=2026-11-22T10:05:00Z&status=online",
    ),
    Forwarded(
        "partner_get_device",
        "GET /v1/partner/devices/{partner_device}",
        "GET /core/v1/partner/devices/{partner_device}",
    ),
    Forwarded(
        "partner_delete_device",
        "DELETE /v1/partner/devices/{partner_device}",
        "DELETE /core/v1/partner/devices/{partner_device}",
    ),
    Forwarded(
        "partner_list_device_commands",
        "GET /v1/partner/devices/{partner_device}/commands?status=done",
        "GET /core/v1/partner/devices/{partner_device}/commands?page=1&status=done",
    ),
    Forwarded(
        "partner_get_device_config",
        "GET /v1/partner/devices/{partner_device}/config",
        "GET /core/v1/partner/devices/{partner_device}/config",
    ),
    Forwarded(
        "partner_list_device_telemetries",
        "GET /v1/partner/devices/{partner_device}/telemetries",
        "GET /core/v1/partner/devices/{partner_device}/telemetries",
    ),
    Forwarded(
        "partner_list_device_history",
        "GET /v1/partner/devices/{partner_device}/history",
        "GET /core/v1/partner/devices/{partner_device}/history?page=1",
    ),
]


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards(door: Door, row: Forwarded) -> None:
    await door.rest(row)


@pytest.mark.parametrize("row", FORWARDED, ids=str)
async def test_forwards_tool_calls(door: Door, row: Forwarded) -> None:
    await door.mcp(row)
