"""What a person sees, and what a client that looks for an authorization server finds."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.resources import Resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from tests.browser import PROGRAM, browsing
from tests.raw import ask
from tests.world import served

REFERENCES = re.compile(r"""(?:src|href|url|@import)\s*[=(:]\s*["']?([^"'\s)>]+)""")


async def test_the_landing_page_shows_how_to_connect_here(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "http://localhost/mcp" in answer.text
    assert "{{" not in answer.text
    assert re.search(r"version \d+\.\d+", answer.text)


async def test_its_configurations_are_json(anonymous: httpx.AsyncClient) -> None:
    page = (await anonymous.get("/")).text

    found = [json.loads(block) for block in re.findall(r"<pre>(\{.*?)</pre>", page, re.DOTALL)]

    assert len(found) >= 2
    assert all("http://localhost/mcp" in json.dumps(one) for one in found)


async def test_it_names_the_public_address_if_there_is_one(app: FastAPI, settings: Settings) -> None:
    app.state.settings = settings.model_copy(update={"public_url": "https://gateway.example"})

    answer = await ask(app, "GET", "/", key=None)

    app.state.settings = settings
    assert "https://gateway.example/mcp" in answer.text
    assert "http://localhost" not in answer.text


async def test_a_host_cannot_bring_markup_into_it(app: FastAPI) -> None:
    answer = await ask(app, "GET", "/", headers={"host": 'localhost:"><script>alert(1)</script>'}, key=None)

    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_take_nothing_from_elsewhere(anonymous: httpx.AsyncClient, path: str) -> None:
    page = await anonymous.get(path)

    references = REFERENCES.findall(page.text)
    assert references
    for reference in references:
        assert not re.match(r"(?!http://localhost)[a-z]+://|//", reference), reference


async def test_swagger_ui_is_served_from_here(anonymous: httpx.AsyncClient) -> None:
    page = (await anonymous.get("/docs")).text

    assert 'url: "openapi.json"' in page or "openapi.json" in page
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        assert f"docs/{name}" in page
        asset = await anonymous.get(f"/docs/{name}")
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(kind)
        assert asset.headers["cache-control"] == "public, max-age=86400"
        assert len(asset.content) > 10_000


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..", "%2e%2e", "x"])
async def test_nothing_else_is_served_from_there(app: FastAPI, name: str, anonymous: httpx.AsyncClient) -> None:
    answer = await ask(app, "GET", f"/docs/{name}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_authorize_button_takes_the_key(anonymous: httpx.AsyncClient) -> None:
    document = (await anonymous.get("/openapi.json")).json()

    schemes = document["components"]["securitySchemes"]
    assert schemes["XyteKey"]["name"] == "X-XYTE-API-KEY"
    assert (schemes["XyteKey"]["type"], schemes["XyteKey"]["in"]) == ("apiKey", "header")
    assert (schemes["XyteBearer"]["type"], schemes["XyteBearer"]["scheme"]) == ("http", "bearer")


@pytest.mark.parametrize(
    "path",
    [
        "oauth-protected-resource",
        "oauth-protected-resource/mcp",
        "oauth-authorization-server",
        "openid-configuration",
        "openid-configuration/mcp",
        "anything",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_there_is_no_authorization_server_and_that_is_said_in_json(
    anonymous: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await anonymous.request(method, f"/.well-known/{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "X-XYTE-API-KEY" in answer.json()["detail"]
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/"])
async def test_these_need_no_key(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(path)).status_code == 200


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium: nobody tries Swagger UI out")
async def test_swagger_ui_authorizes_and_executes_without_the_network(
    app: FastAPI, resources: Resources, tmp_path: Path
) -> None:
    listed = "#operations-Devices-list_devices"
    async with served(app) as url, browsing(tmp_path) as page:
        await page.open(f"{url}/docs")
        await page.click("button.authorize")
        await page.write("#api_key_value", ORGANIZATION_KEYS[0])
        await page.click("form:has(#api_key_value) [type=submit]")
        await page.click("form:has([aria-label='Remove authorization']) .btn-done")
        await page.click(f"{listed} button.opblock-summary-control")
        await page.click(f"{listed} .try-out__btn")
        await page.click(f"{listed} .execute")
        status = await page.text(f"{listed} .live-responses-table .response .response-col_status")
        body = await page.text(f"{listed} .live-responses-table .highlight-code code")
        await page.picture(tmp_path / "swagger-ui.png")

    assert status.split()[0] == "200"
    assert json.loads(body)["items"]
    assert page.failed == []
    assert {urlsplit(asked).netloc for asked in page.asked if not asked.startswith("data:")} == {urlsplit(url).netloc}
