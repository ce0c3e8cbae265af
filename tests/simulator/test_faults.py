"""Faults on demand, in process: what goes wrong, when, and whether the request still had its effect."""

from typing import Any

import httpx
import pytest

from app.simulator import ConnectionCut, Settings, Simulator, create_simulator
from app.simulator.records import Device
from tests.simulator.conftest import client_of

INFO = "/core/v1/organization/info"


async def add(client: httpx.AsyncClient, **fault: Any) -> str:
    response = await client.post("/_simulator/faults", json=fault)
    assert response.status_code == 201, response.text
    return response.json()["id"]


async def test_a_status_strikes_once_by_default(harbor: httpx.AsyncClient) -> None:
    await add(harbor, kind="status", status=429, retry_after=7)

    first, second = await harbor.get(INFO), await harbor.get(INFO)

    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert first.json() == {"error": "Simulated failure"}
    assert second.status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"kind": "status", "body": "plain"}, 503, "plain"),
        ({"kind": "html_error", "status": 502}, 502, "<html><body><h1>Something went wrong</h1></body></html>"),
        ({"kind": "malformed"}, 200, '{"items": [{"id":'),
        ({"kind": "malformed", "body": "[1,"}, 200, "[1,"),
        ({"kind": "malformed", "applied": False, "body": "{"}, 200, "{"),
        ({"kind": "empty"}, 200, ""),
        ({"kind": "huge", "bytes": 70_000}, 200, '"' + 70_000 * "x" + '"'),
    ],
)
async def test_an_answer_is_replaced(harbor: httpx.AsyncClient, fault: dict[str, Any], status: int, text: str) -> None:
    await add(harbor, **fault)

    response = await harbor.get(INFO)

    assert (response.status_code, response.text) == (status, text)


@pytest.mark.parametrize("fault", [{"kind": "latency", "seconds": 0}, {"kind": "drip", "seconds": 0, "bytes": 50}])
async def test_a_slow_answer_is_whole(harbor: httpx.AsyncClient, fault: dict[str, Any]) -> None:
    await add(harbor, **fault)

    assert (await harbor.get(INFO)).json()["name"] == "Harbor Light Group"


@pytest.mark.parametrize(("kind", "taken"), [("reset", 0), ("lost_answer", 1)])
async def test_a_cut_connection_hides_whether_the_command_was_taken(
    harbor: httpx.AsyncClient, projector: Device, kind: str, taken: int
) -> None:
    await add(harbor, kind=kind, method="post", path="*/commands", tenant="Harbor Light Group")

    with pytest.raises(ConnectionCut):
        await harbor.post(f"/core/v1/organization/devices/{projector.id}/commands", json={"name": "power_on"})

    commands = (await harbor.get("/_simulator/commands", params={"device_id": projector.id})).json()["commands"]
    [seen] = (await harbor.get("/_simulator/requests", params={"path": "/commands"})).json()["requests"]
    assert len(commands) == taken
    assert (seen["fault"], seen["status"], seen["body"]) == (kind, 201 if taken else None, {"name": "power_on"})


async def test_a_fault_strikes_only_what_it_names(harbor: httpx.AsyncClient, northwind: httpx.AsyncClient) -> None:
    await add(harbor, kind="status", times=None, tenant="Northwind Labs", path=r"/info$", method="GET")

    assert (await northwind.get(INFO)).status_code == 503
    assert (await northwind.get("/core/v1/organization/spaces")).status_code == 200
    assert (await northwind.get(INFO)).status_code == 503
    assert (await harbor.get(INFO)).status_code == 200


async def test_a_rate_strikes_a_seeded_share(harbor: httpx.AsyncClient) -> None:
    async def statuses() -> list[int]:
        application = create_simulator(Settings())
        key = harbor.headers["authorization"]
        async with client_of(application, key) as client:
            await add(client, kind="status", rate=0.5, times=None)
            return [(await client.get(INFO)).status_code for _ in range(60)]

    first = await statuses()

    assert 15 < first.count(503) < 45
    assert first == await statuses()


async def test_faults_are_listed_and_removed(harbor: httpx.AsyncClient, simulator: Simulator) -> None:
    first, second = await add(harbor, kind="empty"), await add(harbor, kind="reset", path="*(")

    listed = (await harbor.get("/_simulator/faults")).json()["faults"]

    assert [fault["id"] for fault in listed] == [first, second]
    assert (await harbor.delete(f"/_simulator/faults/{first}")).json() == {"success": True}
    assert (await harbor.delete(f"/_simulator/faults/{first}")).status_code == 404
    assert (await harbor.delete("/_simulator/faults")).json() == {"success": True}
    assert not simulator.faults.rules


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "fire"},
        {"kind": "reset", "colour": 1},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "path": "("},
    ],
)
async def test_an_impossible_fault_is_refused(harbor: httpx.AsyncClient, fault: dict[str, Any]) -> None:
    assert (await harbor.post("/_simulator/faults", json=fault)).status_code == 422


async def test_a_fault_may_let_the_request_have_its_effect(harbor: httpx.AsyncClient, projector: Device) -> None:
    await add(harbor, kind="status", status=500, applied=True)

    response = await harbor.post(f"/core/v1/organization/devices/{projector.id}/commands", json={"name": "power_on"})

    assert response.status_code == 500
    assert projector.commands[-1].status == "pending"
