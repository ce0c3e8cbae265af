"""The application: opened and closed by its lifespan, one for each call, described in OpenAPI."""

import asyncio
import gc
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import main
from app.main import lifespan
from app.settings import Settings


@pytest.fixture
def thawed() -> Iterator[None]:
    """What start-up does to the garbage collector is undone."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def application(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """What `uvicorn app.main:app` serves."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("KEY_PEPPER", "a pepper of at least thirty-two characters")
    monkeypatch.setenv("SEALING_KEYS", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=")
    main.default_app.cache_clear()
    yield main.app
    main.default_app.cache_clear()


async def test_the_application_of_the_module_is_one_and_open_for_its_lifespan(
    application: FastAPI, thawed: None
) -> None:
    assert main.app is application

    async with lifespan(application):
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            readiness = (await client.get("/readyz")).json()
            greeting = await client.post(
                "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"X-XYTE-API-KEY": "k" * 40}
            )
        frozen = gc.get_freeze_count()

    assert readiness["status"] == "ok"
    assert greeting.json()["result"] == {}
    assert frozen > 10_000


def test_the_module_has_nothing_else_to_offer() -> None:
    with pytest.raises(AttributeError):
        _ = main.application


async def test_openapi_is_one_document_that_knows_problems(anonymous: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await anonymous.get("/openapi.json")).json()

    assert document["openapi"].startswith("3.1")
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert "ProblemDocument" in document["components"]["schemas"]
    assert (await anonymous.get("/openapi.json")).json() == document


async def test_every_reference_in_openapi_leads_somewhere(anonymous: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await anonymous.get("/openapi.json")).json()

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            for name, inner in part.items():  # pyright: ignore[reportUnknownVariableType]
                if name == "$ref":
                    yield inner
                else:
                    yield from references(inner)
        elif isinstance(part, list):
            for inner in part:  # pyright: ignore[reportUnknownVariableType]
                yield from references(inner)

    def leads(reference: str) -> bool:
        place: Any = document
        for name in reference.removeprefix("#/").split("/"):
            place = place.get(name, {})
        return bool(place)

    found = set(references(document))
    assert found
    assert [reference for reference in found if not leads(reference)] == []


async def test_a_signal_is_told_and_handed_on() -> None:
    told, handed_on = asyncio.Event(), list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: handed_on.append(number))
    try:
        with main.hearing_signals(told.set):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.wait_for(told.wait(), 10)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert handed_on == [signal.SIGTERM, signal.SIGTERM]


async def test_outside_the_main_thread_there_are_no_signals_to_hear() -> None:
    def enter() -> None:
        with main.hearing_signals(lambda: None):
            pass

    await asyncio.to_thread(enter)
