"""Search and fetch, as document connectors use them."""

import httpx
import pytest
import respx

from app.resources import Resources
from tests.world import Simulator, call


async def test_a_device_is_found_and_fetched(client: httpx.AsyncClient, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")

    found = await client.get("/v1/search", params={"query": device["name"]})
    hit = next(result for result in found.json()["results"] if result["id"] == f"device:{device['id']}")
    document = await client.get(f"/v1/documents/{hit['id']}")

    assert hit["title"].startswith(device["name"])
    assert hit["url"] == f"xyte://devices/{device['id']}"
    assert document.json()["id"] == hit["id"]
    assert device["id"] in document.json()["text"]


async def test_accents_and_case_do_not_matter(client: httpx.AsyncClient) -> None:
    found = await client.get("/v1/search", params={"query": "SALLE zurich"})

    assert any("Zürich" in result["title"] for result in found.json()["results"])


@pytest.mark.parametrize("kind", ["space", "ticket", "incident"])
async def test_every_kind_can_be_fetched(client: httpx.AsyncClient, kind: str) -> None:
    listed = {"space": "/v1/spaces", "ticket": "/v1/tickets", "incident": "/v1/incidents?status=active"}
    row = (await client.get(listed[kind])).json()["items"][0]

    document = await client.get(f"/v1/documents/{kind}:{row['id']}")

    assert document.status_code == 200
    assert document.json()["metadata"] == {"kind": kind}


async def test_what_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/documents/incident:nowhere")).status_code == 404
    assert (await client.get("/v1/documents/device:nowhere")).status_code == 404
    assert (await client.get("/v1/documents/nonsense")).status_code == 422


async def test_words_that_match_nothing_find_nothing(client: httpx.AsyncClient) -> None:
    found = await client.get("/v1/search", params={"query": "!!!"})

    assert found.json() == {"results": []}


async def test_urls_lead_here_where_the_address_is_known(client: httpx.AsyncClient, resources: Resources) -> None:
    resources.settings = resources.settings.model_copy(update={"public_url": "https://gateway.example"})

    found = await client.get("/v1/search", params={"query": "projector"})

    assert found.json()["results"][0]["url"].startswith("https://gateway.example/v1/devices/")


async def test_reading_stops_after_so_many_pages(client: httpx.AsyncClient, cloud: respx.MockRouter) -> None:
    endless = {"items": [{"id": "x", "name": "projector"}], "has_next_page": True}
    route = cloud.route().mock(return_value=httpx.Response(200, json=endless))

    await client.get("/v1/search", params={"query": "projector"})

    assert route.call_count <= 40


async def test_the_connectors_tools_answer_over_mcp(client: httpx.AsyncClient) -> None:
    client.headers["X-MCP-Toolsets"] = "search"

    found = await call(client, "search", query="projector")
    document = await call(client, "fetch", id=found["structuredContent"]["results"][0]["id"])

    assert set(document["structuredContent"]) == {"id", "title", "text", "url", "metadata"}
