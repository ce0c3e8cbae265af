"""Devices: each operation's request to the cloud, and its answer."""

from typing import Any

import httpx
import pytest
import respx

from tests.world import Simulator

FORWARDED = [
    ("GET", "", None, "GET", "", None),
    ("GET", "/{id}", None, "GET", "/{id}", None),
    ("PATCH", "/{id}", {"name": "Left screen"}, "PATCH", "/{id}", {"name": "Left screen"}),
    ("POST", "/{id}/suspend_incidents", None, "POST", "/{id}/suspend_incidents", None),
    ("POST", "/{id}/resume_incidents", None, "POST", "/{id}/resume_incidents", None),
    ("DELETE", "/{id}", None, "DELETE", "/{id}", None),
]


@pytest.mark.parametrize(("method", "path", "body", "sent_method", "sent_path", "sent_body"), FORWARDED)
async def test_forwards(
    client: httpx.AsyncClient,
    simulator: Simulator,
    method: str,
    path: str,
    body: Any,
    sent_method: str,
    sent_path: str,
    sent_body: Any,
) -> None:
    device = await simulator.a_device()

    answer = await client.request(method, "/v1/devices" + path.format(id=device["id"]), json=body)

    assert answer.status_code == 200, answer.text
    seen = (await simulator.requests())[-1]
    assert (seen["method"], seen["path"]) == (
        sent_method,
        "/core/v1/organization/devices" + sent_path.format(id=device["id"]),
    )
    assert seen["body"] == sent_body


async def test_a_slow_cloud_is_a_504_problem(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    cloud.route().mock(side_effect=httpx.ReadTimeout)

    response = await client.get("/v1/devices/d1")

    assert response.status_code == 504
    assert response.json()["type"] == "urn:problem:UpstreamTimeout"
