"""The endpoint over lines: the same answers as over HTTP, one line each, and nothing else."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.mcp.lines import Lines
from app.resources import Resources
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator

MODERN: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "host": "localhost",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "x-xyte-api-key": ORGANIZATION_KEYS[0],
}


class Conversation:
    """Lines in, messages out."""

    def __init__(self, app: FastAPI, headers: Mapping[str, str] = HEADERS, door: Any = None) -> None:
        self.written: list[bytes] = []
        self.lines = Lines(door or app, app.state.catalogue, headers, self.written.append)

    def say(self, method: str, identity: Any = 1, **params: Any) -> None:
        self.lines.take(orjson.dumps({"jsonrpc": "2.0", "id": identity, "method": method, "params": params}))

    async def ask(self, method: str, **params: Any) -> Any:
        self.say(method, **params)
        return await self.answers()

    async def answers(self) -> list[Any]:
        await self.lines.drain()
        said = [orjson.loads(line) for line in self.written]
        assert all(line.count(b"\n") == 1 for line in self.written)
        self.written.clear()
        return said


@pytest.fixture
def conversation(app: FastAPI, resources: Resources) -> Conversation:
    return Conversation(app)


@pytest.mark.parametrize("meta", [{}, {"_meta": MODERN}])
async def test_a_tool_is_called_in_both_eras(conversation: Conversation, meta: dict[str, Any]) -> None:
    (answer,) = await conversation.ask("tools/call", name="list_devices", arguments={"per_page": 2}, **meta)

    assert answer["id"] == 1
    assert len(answer["result"]["structuredContent"]["items"]) == 2


async def test_the_version_of_the_greeting_holds_for_what_follows(app: FastAPI, resources: Resources) -> None:
    seen: list[bytes | None] = []

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["headers"]).get(b"mcp-protocol-version"))
        await app(scope, receive, send)

    conversation = Conversation(app, door=door)
    client = {"name": "test", "version": "1"}

    greeting = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    (answer,) = await conversation.ask("initialize", **greeting)
    conversation.lines.take(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert not await conversation.answers()
    await conversation.ask("tools/list")
    await conversation.ask("initialize", **greeting)

    assert answer["result"]["protocolVersion"] == "2025-06-18"
    assert seen == [None, b"2025-06-18", b"2025-06-18", None]


async def test_progress_comes_before_the_answer(conversation: Conversation, client: Any) -> None:
    device = (await client.get("/v1/devices?per_page=1")).json()["items"][0]["id"]
    made = await client.post("/v1/tasks", json={"device_id": device, "name": "power_on"})
    arguments = {"task_id": made.json()["id"], "wait_seconds": 1}

    said = await conversation.ask(
        "tools/call", name="get_task_status", arguments=arguments, _meta=MODERN | {"progressToken": "p"}
    )

    assert said[-1]["result"]["structuredContent"]["state"] == "queued"
    assert all(message["method"] == "notifications/progress" for message in said[:-1])


def line(method: Any, **params: Any) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"nonsense", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"tools/list"}', -32600),
        (line("no/such"), -32601),
        (line("tools/list", _meta={"io.modelcontextprotocol/protocolVersion": 3}), -32602),
        (line("tools/call", name="x", _meta=MODERN), -32602),
        (line("tools/call", name="list_devices", arguments=[], _meta=MODERN), -32602),
        (line(3, _meta=MODERN), -32600),
    ],
)
async def test_what_is_no_request_gets_one_clean_error(conversation: Conversation, said: bytes, code: int) -> None:
    conversation.lines.take(said)

    (answer,) = await conversation.answers()

    assert answer["error"]["code"] == code
    assert "pydantic" not in str(answer)


async def test_blank_lines_are_nothing(conversation: Conversation) -> None:
    conversation.lines.take(b"  ")

    assert not await conversation.answers()


async def test_a_refused_key_and_a_limit_are_errors_with_the_request_s_id(app: FastAPI, resources: Resources) -> None:
    keyless = Conversation(app, {name: value for name, value in HEADERS.items() if name != "x-xyte-api-key"})
    limited = Conversation(app)

    (refused,) = await keyless.ask("tools/list")
    for number in range(61):
        limited.say("tools/list", number)
    errors = [answer for answer in await limited.answers() if "error" in answer]

    assert (refused["id"], refused["error"]["data"]["error"]) == (1, "missing_xyte_key")
    assert [error["error"]["data"]["error"] for error in errors] == ["rate_limit"]


async def test_the_selection_holds_for_calls_too(app: FastAPI, resources: Resources) -> None:
    reader = Conversation(app, HEADERS | {"x-mcp-readonly": "true"})

    (answer,) = await reader.ask("tools/call", name="send_command", arguments={"device_id": "x", "name": "power_on"})

    assert answer["result"]["isError"]
    assert "tool_not_offered" in answer["result"]["content"][0]["text"]


async def test_a_cancelled_request_learns_that_nobody_listens_and_stays_unanswered(app: FastAPI) -> None:
    heard: list[str] = []

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        heard.append((await receive())["type"])
        await send({"type": "http.response.start", "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    conversation = Conversation(app, door=door)
    conversation.say("tools/call", 7)
    await asyncio.sleep(0)

    conversation.lines.take(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8}}')
    conversation.lines.take(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}')

    assert not await conversation.answers()
    assert heard == ["http.disconnect"]


async def test_what_does_not_finish_in_time_is_let_go(app: FastAPI) -> None:
    ended = asyncio.Event()

    async def door(_scope: Scope, receive: Receive, _send: Send) -> None:
        try:
            await receive()
            await asyncio.Event().wait()
        finally:
            ended.set()

    conversation = Conversation(app, door=door)
    conversation.say("tools/call")
    await asyncio.sleep(0)

    await conversation.lines.drain(within_s=0.01)

    assert ended.is_set()


async def test_an_event_in_pieces_is_one_line(app: FastAPI) -> None:
    async def door(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "headers": [(b"content-type", b"text/event-stream")]})
        for piece in (b": ping\r\n\r\nevent: mess", b'age\r\ndata: {"a"', b":1}\r\n", b"\r\n", b"data:\n\n", b""):
            await send({"type": "http.response.body", "body": piece, "more_body": piece != b""})

    conversation = Conversation(app, door=door)

    assert await conversation.ask("tools/call") == [{"a": 1}]


async def test_an_answer_in_pieces_is_one_line(app: FastAPI) -> None:
    async def door(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "headers": []})
        await send({"type": "http.response.body", "body": b'{"a":\n', "more_body": True})
        await send({"type": "http.response.body", "body": b"1}"})

    assert await Conversation(app, door=door).ask("tools/call") == [{"a": 1}]


async def test_a_projector_is_powered_on(conversation: Conversation, simulator: Simulator) -> None:
    device = await simulator.a_device("projector")

    (answer,) = await conversation.ask(
        "tools/call", name="send_command", arguments={"device_id": device["id"], "name": "power_on"}
    )

    assert not answer["result"]["isError"]
