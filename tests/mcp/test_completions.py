"""What may stand in an argument comes from the caller's own fleet, and from nobody else's."""

from typing import Any

import httpx
import pytest
import respx

from app.mcp.completions import MOST_VALUES, Source, row_of
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator, call, mcp


async def complete(client: httpx.AsyncClient, ref: str, argument: str, value: str) -> Any:
    reference = {"type": "ref/resource", "uri": ref} if "://" in ref else {"type": "ref/prompt", "name": ref}
    params = {"ref": reference, "argument": {"name": argument, "value": value}}
    return (await mcp(client, "completion/complete", params))["result"]["completion"]


async def test_a_devices_id_is_found_by_its_name(client: httpx.AsyncClient) -> None:
    device = (await call(client, "list_devices", per_page=1))["structuredContent"]["items"][0]

    by_name = await complete(client, "xyte://devices/{device_id}", "device_id", device["name"][:8].upper())
    by_id = await complete(client, "xyte://devices/{device_id}", "device_id", device["id"][:8])
    none = await complete(client, "xyte://devices/{device_id}", "device_id", "no such device")

    assert device["id"] in by_name["values"]
    assert by_id["values"][0] == device["id"]
    assert none == {"values": [], "total": 0, "hasMore": False}


async def test_a_prompts_device_is_completed_by_names(client: httpx.AsyncClient) -> None:
    device = (await call(client, "list_devices", per_page=1))["structuredContent"]["items"][0]

    found = await complete(client, "reboot_device", "device", device["sn"])

    assert found["values"] == [device["name"]]


async def test_guides_rooms_tickets_and_tasks_are_completed(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")
    task = await call(client, "send_command_async", device_id=device["id"], name="power_on")
    ticket = (await call(client, "list_tickets"))["structuredContent"]["items"][0]

    assert "hosting" in (await complete(client, "xyte://docs/{page}", "page", "ho"))["values"]
    assert (await complete(client, "prepare_room", "room", ""))["values"]
    assert ticket["id"] in (await complete(client, "xyte://tickets/{ticket_id}", "ticket_id", ""))["values"]
    tasks = await complete(client, "xyte://tasks/{task_id}", "task_id", "power_on")
    assert tasks["values"] == [task["structuredContent"]["id"]]


async def test_at_most_a_hundred_come_and_the_rest_is_counted(
    client: httpx.AsyncClient, cloud: respx.MockRouter
) -> None:
    def page(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("page", "1"))
        items = [{"id": f"d{number}-{n}", "name": "Projector"} for n in range(100)]
        return httpx.Response(
            200, json={"items": items, "page": number, "per_page": 100, "has_more": True, "next_page": number + 1}
        )

    cloud.route().mock(side_effect=page)

    found = await complete(client, "xyte://devices/{device_id}", "device_id", "projector")

    assert len(found["values"]) == MOST_VALUES
    assert found["total"] == 500
    assert found["hasMore"]


@pytest.mark.parametrize(
    ("ref", "argument"),
    [
        ("nothing", "device"),
        ("reboot_device", "nothing"),
        ("xyte://nothing/{device_id}", "device_id"),
        ("xyte://devices/{device_id}", "ticket_id"),
        ("prepare_room", "preset"),
    ],
)
async def test_what_there_is_not_has_no_values(client: httpx.AsyncClient, ref: str, argument: str) -> None:
    if argument == "preset":
        client.headers["X-MCP-Exclude-Tools"] = "list_presets"

    assert (await complete(client, ref, argument, ""))["values"] == []


async def test_callers_do_not_share_what_is_remembered(client: httpx.AsyncClient, simulator: Simulator) -> None:
    own = await complete(client, "xyte://devices/{device_id}", "device_id", "")
    client.headers["X-XYTE-API-KEY"] = ORGANIZATION_KEYS[1]

    other = await complete(client, "xyte://devices/{device_id}", "device_id", "")

    assert own["values"]
    assert other["values"]
    assert not set(own["values"]) & set(other["values"])


async def test_typing_on_asks_the_cloud_once(client: httpx.AsyncClient, simulator: Simulator) -> None:
    await complete(client, "xyte://devices/{device_id}", "device_id", "p")
    before = len(await simulator.requests())

    await complete(client, "xyte://devices/{device_id}", "device_id", "pr")

    assert len(await simulator.requests()) == before


async def test_a_cloud_that_fails_completes_nothing(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    cloud.route().mock(return_value=httpx.Response(401, json={"error": "no"}))

    assert (await complete(client, "xyte://devices/{device_id}", "device_id", ""))["values"] == []


def test_rows_that_are_none_are_left_out() -> None:
    source = Source("list_devices", "id", ("name",))

    assert row_of("text", source) is None
    assert row_of({"name": "x"}, source) is None
    assert row_of({"id": 5, "name": "X Y"}, source) == ("5", "5 x y")
