"""What a process holds open: opened lazily, closed wholly, and shared."""

import inspect
from contextlib import suppress
from typing import Any

import aiohttp
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from app import dependencies
from app.db import asyncpg_url
from app.resources import Resources, get_resources, open_resources, open_transport
from app.settings import Settings


def elsewhere(settings: Settings) -> Settings:
    """Settings whose servers do not exist."""
    return settings.model_copy(
        update={"redis_url": "redis://127.0.0.1:1/0", "database_url": "postgresql://nobody@127.0.0.1:1/none"}
    )


async def test_opening_connects_to_nothing(settings: Settings) -> None:
    async with open_resources(elsewhere(settings)) as opened:
        assert opened.cloud.base_url == settings.xyte_base_url
        assert opened.cloud.timeout_s == settings.xyte_timeout_s


async def test_what_was_opened_is_closed_when_something_fails(settings: Settings) -> None:
    closed: list[bool] = []

    class Transport(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append(True)

    with suppress(LookupError):
        async with open_resources(settings, transport=Transport(lambda _: httpx.Response(200))):
            raise LookupError

    assert closed == [True]


async def test_the_transport_keeps_no_cookies_and_repeats_nothing(settings: Settings) -> None:
    transport: Any = open_transport(settings)
    session: Any = transport.get_client()

    assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
    assert session._retry_connection is False
    assert session.connector.limit == settings.xyte_connections
    await session.close()


def test_aiohttp_still_knows_the_switch_that_stops_it_from_sending_twice() -> None:
    assert "retry_persistent_connection = (\n" in inspect.getsource(aiohttp.ClientSession) or (
        "self._retry_connection and" in inspect.getsource(aiohttp.ClientSession)
    )


async def test_a_fingerprint_depends_on_the_pepper(settings: Settings, resources: Resources) -> None:
    other = settings.model_copy(update={"key_pepper": SecretStr("another pepper of thirty-two characters")})
    async with open_resources(other) as opened:
        assert opened.fingerprint("k" * 40) != resources.fingerprint("k" * 40)
    assert resources.fingerprint("k" * 40) == resources.fingerprint("k" * 40)
    assert len(resources.fingerprint("k" * 40)) == 64


async def test_the_seam_gives_what_the_application_holds(app: FastAPI, resources: Resources) -> None:
    assert await get_resources(HTTPConnection({"type": "http", "app": app})) is resources


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://a@h/n", "postgresql+asyncpg://a@h/n"),
        ("postgresql://a@h/n", "postgresql+asyncpg://a@h/n"),
        ("postgresql+asyncpg://a@h/n", "postgresql+asyncpg://a@h/n"),
    ],
)
def test_a_database_url_may_be_spelt_in_any_way(url: str, expected: str) -> None:
    assert asyncpg_url(url) == expected


async def test_a_session_commits_when_the_route_is_done(resources: Resources) -> None:
    generator = dependencies.get_session(resources)
    session = await anext(generator)
    assert session.in_transaction()

    with pytest.raises(StopAsyncIteration):
        await anext(generator)

    assert not session.in_transaction()


async def test_settings_show_no_secret(settings: Settings) -> None:
    assert settings.key_pepper.get_secret_value() not in repr(settings)
