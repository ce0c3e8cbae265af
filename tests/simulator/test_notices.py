"""Notices to the vendor's server."""

import json

import httpx

from app.simulator import Settings, Simulator, create_simulator
from app.simulator.notices import deliver
from app.simulator.records import Device
from tests.simulator.conftest import client_of


class Receiver:
    """A vendor's server that answers as it is told."""

    def __init__(self, *outcomes: int | None) -> None:
        self.outcomes = list(outcomes)
        self.taken: list[dict[str, object]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        outcome = self.outcomes.pop(0)
        if outcome is None:
            raise httpx.ConnectError("refused")
        if outcome == 200:
            self.taken.append(json.loads(request.content))
        return httpx.Response(outcome)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


async def noticed(hardware_key: str, identity: dict[str, str], receiver: Receiver) -> int:
    """Register and claim one device; how many notices arrived."""
    application = create_simulator(Settings(webhook_url="http://vendor.example/hook"))
    simulator: Simulator = application.state.simulator
    key = next(iter(simulator.world.keys.keys() - {"fake-orbitone-partner-key-for-tests-000000000001"}))
    space_id = next(one for one in simulator.world.organizations.values() if one.key == key).root.id
    async with client_of(application, key) as client:
        body = {"hardware_key": hardware_key, "sn": "s", "firmware_version": "1.0.0"} | identity
        assert (await client.post("/v1/devices", json=body)).status_code == 201
        claim = {"space_id": space_id, "sn": "s"} | identity
        assert (await client.post("/core/v1/organization/devices/claim", json=claim)).status_code == 200
    async with receiver.client() as client:
        return await deliver(simulator.world, client)


async def test_registration_and_claim_are_told_with_the_secret() -> None:
    receiver = Receiver(200, 200)

    assert await noticed("fake-hardware-key-codec", {"cloud_id": "c"}, receiver) == 2

    assert [notice["event_type"] for notice in receiver.taken] == ["registered_device", "claimed_device"]
    assert {notice["secret"] for notice in receiver.taken} == {Settings().webhook_secret}


async def test_a_notice_is_tried_three_times() -> None:
    receiver = Receiver(500, None, 200, None, 404, 503)

    assert await noticed("fake-hardware-key-codec", {"cloud_id": "c"}, receiver) == 1

    assert receiver.outcomes == []


async def test_devices_of_others_are_none_of_the_vendors_business() -> None:
    assert await noticed("fake-hardware-key-display", {"mac": "aa:bb:cc:00:00:01"}, Receiver()) == 0


async def test_nothing_is_told_without_an_address(simulator: Simulator, projector: Device, codec: Device) -> None:
    simulator.world.notify("claimed_device", codec)

    async with Receiver().client() as client:
        assert await deliver(simulator.world, client) == 0
