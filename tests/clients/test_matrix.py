"""The matrix's own parts: its proxy takes turns and streams, and its verdict counts what it should."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.clients.__main__ import CLIENTS, COLUMNS, entry_of, judge, main
from tests.clients.command import said
from tests.clients.proxy import proxy


def replica(name: str) -> Starlette:
    async def answer(request: Request) -> Response:
        if request.url.path == "/stream":

            async def chunks() -> AsyncGenerator[bytes]:
                yield b"one "
                await asyncio.sleep(0)
                yield b"two"

            return StreamingResponse(chunks(), media_type="text/event-stream")
        return JSONResponse({"by": name, "key": request.headers.get("x-xyte-api-key")}, 401, {"X-Name": name})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


async def test_the_proxy_takes_turns_and_passes_all_on() -> None:
    mounts = {f"http://{name}": httpx.ASGITransport(replica(name)) for name in ("a", "b")}
    front = proxy(list(mounts), httpx.AsyncClient(mounts=mounts))

    async with httpx.AsyncClient(base_url="http://front", transport=httpx.ASGITransport(front)) as client:
        answers = [await client.post("/mcp?x=1", headers={"X-XYTE-API-KEY": "k"}) for _ in range(4)]
        stream = await client.get("/stream")
        turns = (await client.get("/_turns")).json()

    assert [answer.json()["by"] for answer in answers] == ["a", "b", "a", "b"]
    assert {(answer.status_code, answer.json()["key"]) for answer in answers} == {(401, "k")}
    assert (stream.text, stream.headers["content-type"]) == ("one two", "text/event-stream; charset=utf-8")
    assert turns == [3, 2]


@pytest.mark.parametrize(
    ("outcome", "code", "counted"),
    [
        ("ok", 0, "8 passed, 0 failed, 0 skipped"),
        ("ok, without a word", 0, "8 passed, 0 failed, 0 skipped"),
        ("not offered", 0, "0 passed, 0 failed, 0 skipped; 8 not offered"),
        ("skipped", 3, "0 passed, 0 failed, 8 skipped"),
        ("no devices", 1, "0 passed, 8 failed, 0 skipped"),
    ],
)
def test_the_verdict_counts_every_cell(
    outcome: str, code: int, counted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge({"a client": dict.fromkeys(COLUMNS, outcome)}) == code
    assert capsys.readouterr().out.splitlines()[-1] == counted


def test_what_a_client_did_not_report_is_a_failure() -> None:
    assert judge({"a client": {"list": "ok"}}) == 1
    assert judge({"a client": dict.fromkeys(COLUMNS, "ok") | {"why": "FAILED: one replica was never asked"}}) == 1


def test_a_client_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["netscape"]) == 2
    assert "there is no netscape" in capsys.readouterr().err
    assert "curl" in CLIENTS


def test_small_parts() -> None:
    assert entry_of({"exports": {".": {"import": {"types": "x.d.ts", "default": "./x.js"}}}}) == "./x.js"
    assert said("has it", "it") == "ok"
    assert said("", "it") == "unexpected: nothing"
