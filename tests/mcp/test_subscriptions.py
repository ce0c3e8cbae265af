"""A stream tells of changes of what its key may read, from whichever replica they come, and of nothing else."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import httpx2
import orjson
import pytest
from fastapi import FastAPI
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.types import Message

from app.auth import Caller, tenant_of
from app.errors import ServiceUnavailable
from app.events import service as events
from app.events.schemas import Draft
from app.mcp import subscriptions
from app.resources import Resources, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS
from app.tasks import service
from tests.world import Simulator, call

VERSION = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Stream:
    """An answer that goes on; its messages as they come."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message.get("body"):
            self.sent.put_nowait(message["body"])

    async def next(self) -> Any:
        """The next message that is not a keep-alive."""
        async with asyncio.timeout(10):
            while True:
                chunk = await self.sent.get()
                for line in chunk.splitlines():
                    if line.startswith(b"data: "):
                        return orjson.loads(line[6:])
                if chunk.startswith(b"{"):
                    return orjson.loads(chunk)


@asynccontextmanager
async def listening(app: FastAPI, wanted: dict[str, Any], key: str = ORGANIZATION_KEYS[0]) -> AsyncGenerator[Stream]:
    """A client that listens, until it hangs up."""
    stream = Stream()
    params = {"notifications": wanted, "_meta": META}
    body = orjson.dumps({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params})
    headers = {
        "host": "localhost",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": "subscriptions/listen",
        "x-xyte-api-key": key,
    }
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "app": app,
    }
    given = False

    async def receive() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        await stream.gone.wait()
        return {"type": "http.disconnect"}

    running = asyncio.create_task(app(scope, receive, stream.send))
    try:
        yield stream
    finally:
        stream.gone.set()
        async with asyncio.timeout(10):
            await running


async def a_task(client: httpx.AsyncClient, simulator: Simulator) -> str:
    device = await simulator.a_device("projector")
    sent = await call(client, "send_command_async", device_id=device["id"], name="power_on")
    return sent["structuredContent"]["id"]


def honoured(acknowledgement: Any) -> Any:
    assert acknowledgement["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledgement["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
    return acknowledgement["params"]["notifications"]


async def test_a_task_that_changes_at_another_replica_is_told(
    app: FastAPI, client: httpx.AsyncClient, simulator: Simulator, settings: Settings, resources: Resources
) -> None:
    task = await a_task(client, simulator)
    uri = f"xyte://tasks/{task}"

    async with listening(app, {"resourceSubscriptions": [uri]}) as stream, open_resources(settings) as elsewhere:
        acknowledged = honoured(await stream.next())
        await service.cancel(elsewhere, resources.tenants[resources.fingerprint(ORGANIZATION_KEYS[0])], UUID(task))
        told = await stream.next()
        ended = await stream.next()

    assert acknowledged == {"resourceSubscriptions": [uri]}
    assert told["method"] == "notifications/resources/updated"
    assert told["params"]["uri"] == uri
    assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7
    assert ended["id"] == 7
    assert ended["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7


@pytest.mark.parametrize(
    ("address", "event"),
    [
        ("devices/{device}", "device.changed"),
        ("devices/{device}/status", "device.offline"),
        ("devices/{device}/commands", "command.done"),
        ("rooms/{room}", "device.online"),
        ("incidents", "incident.opened"),
        ("tickets/{ticket}", "ticket.changed"),
    ],
)
async def test_what_events_tell_of_is_told(
    app: FastAPI,
    client: httpx.AsyncClient,
    simulator: Simulator,
    resources: Resources,
    address: str,
    event: str,
) -> None:
    device = await simulator.a_device()
    space = (await client.get(f"/v1/devices/{device['id']}")).json()["space"]
    ticket = (await client.get("/v1/tickets")).json()["items"][0]["id"]
    uri = "xyte://" + address.format(device=device["id"], room=space["id"], ticket=ticket)
    tenant = await tenant_of(resources, Caller(ORGANIZATION_KEYS[0], resources.fingerprint(ORGANIZATION_KEYS[0])))

    async with listening(app, {"resourceSubscriptions": [uri]}) as stream:
        acknowledged = honoured(await stream.next())
        for data in ({"ticket_id": "another"}, {"ticket_id": ticket}):
            await events.append(resources, tenant, [Draft(event, "watch", data, device["id"], space["id"])])
        told = await stream.next()

    assert acknowledged == {"resourceSubscriptions": [uri]}
    assert told["params"]["uri"] == uri


async def test_another_tenants_task_cannot_be_watched(
    app: FastAPI, client: httpx.AsyncClient, simulator: Simulator
) -> None:
    task = await a_task(client, simulator)

    async with listening(app, {"resourceSubscriptions": [f"xyte://tasks/{task}"]}, ORGANIZATION_KEYS[1]) as stream:
        acknowledged = honoured(await stream.next())
        ended = await stream.next()

    assert acknowledged == {}
    assert ended["id"] == 7


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True},
        {"resourceSubscriptions": ["xyte://organization", "xyte://nothing", "file:///etc/passwd", "xyte://tasks/x"]},
    ],
)
async def test_what_never_changes_or_is_not_there_is_not_promised(
    app: FastAPI, resources: Resources, wanted: dict[str, Any]
) -> None:
    async with listening(app, wanted) as stream:
        assert honoured(await stream.next()) == {}


async def test_a_client_that_hangs_up_frees_its_place(
    app: FastAPI, client: httpx.AsyncClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "STREAMS_PER_KEY", 1)
    wanted = {"resourceSubscriptions": [f"xyte://tasks/{await a_task(client, simulator)}"]}

    async with listening(app, wanted) as first:
        honoured(await first.next())
        async with listening(app, wanted) as second:
            refused = await second.next()
    async with listening(app, wanted) as third:
        again = honoured(await third.next())

    assert refused["error"]["code"] == subscriptions.TOO_MANY
    assert again == wanted


async def test_too_many_addresses_are_refused(app: FastAPI, resources: Resources) -> None:
    async with listening(app, {"resourceSubscriptions": [f"xyte://nothing/{n}" for n in range(51)]}) as stream:
        refused = await stream.next()

    assert refused["error"]["code"] == -32602


async def test_a_stream_does_not_stay_open_for_ever(
    app: FastAPI, client: httpx.AsyncClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "OPEN_S", 0.05)

    async with listening(app, {"resourceSubscriptions": [f"xyte://tasks/{await a_task(client, simulator)}"]}) as stream:
        honoured(await stream.next())
        ended = await stream.next()

    assert ended["result"]["resultType"] == "complete"


async def test_what_can_be_heard_is_what_is_promised(app: FastAPI, resources: Resources) -> None:
    headers = {"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}
    async with (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), headers=headers) as http,
        Client(streamable_http_client("http://localhost/mcp", http_client=http), mode="auto") as client,
    ):
        capabilities = client.server_capabilities

    assert capabilities.resources is not None
    assert capabilities.resources.subscribe
    assert not capabilities.resources.list_changed
    assert capabilities.tools is not None
    assert not capabilities.tools.list_changed
    assert capabilities.completions is not None


async def test_many_watches_are_heard_on_one_stream() -> None:
    async def twice(_: Any) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(0)
        yield

    heard = [uri async for uri in subscriptions.merged({"a": twice(1), "b": twice(2)})]

    assert set(heard) == {"a", "b"}
    assert [uri async for uri in subscriptions.merged({})] == []


async def test_a_watch_that_fails_ends_alone() -> None:
    async def failing(_: Any) -> AsyncGenerator[None]:
        yield
        raise ServiceUnavailable("The store is away.")

    assert [uri async for uri in subscriptions.merged({"a": failing(1)})] == ["a"]
