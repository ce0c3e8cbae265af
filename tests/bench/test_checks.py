"""The benchmark notices a wrong answer, and reads an answer however it arrives."""

from typing import cast
from unittest.mock import Mock

import orjson
import pytest

from tests.bench.load import Connection, Run
from tests.bench.upstream import DEVICE_IDS, device, device_name
from tests.bench.workloads import LEGACY, Checker, Kind, exchange

REQUEST_ID = b"10000001"
DEVICE_ID = DEVICE_IDS[1]
OTHER_ID = DEVICE_IDS[2]
RIGHT = {"id": DEVICE_ID, "name": device_name(DEVICE_ID)}
OTHER = {"id": OTHER_ID, "name": device_name(OTHER_ID)}


def called(text: object, structured: object = None, *, request_id: int = 10000001, **more: object) -> bytes:
    result = {"content": [{"type": "text", "text": orjson.dumps(text).decode()}], **more}
    if structured is not None:
        result["structuredContent"] = structured
    return orjson.dumps({"jsonrpc": "2.0", "id": request_id, "result": result})


def wrong_after(status: int, *bodies: bytes, kind: Kind = Kind.CALL) -> int:
    checker = Checker()
    for body in bodies:
        checker.check(kind, status, body, REQUEST_ID, DEVICE_ID.encode())
    return checker.wrong


@pytest.mark.parametrize(
    "body",
    [
        called(RIGHT),
        called(RIGHT, RIGHT),
        b"event: message\r\ndata: " + called(RIGHT, RIGHT) + b"\r\n\r\n",
        b'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\ndata: ' + called(RIGHT) + b"\n\n",
    ],
)
def test_a_right_call_passes_again_and_again(body: bytes) -> None:
    assert wrong_after(200, body, body) == 0


@pytest.mark.parametrize(
    "body",
    [
        called(OTHER, OTHER),
        called(RIGHT, OTHER),
        called(RIGHT, isError=True),
        called(RIGHT, request_id=10000002),
        called({"id": DEVICE_ID, "name": "someone else"}),
        b'{"jsonrpc":"2.0","id":10000001,"error":{"code":-32603,"message":"no"}}',
        b"<html>",
        b"",
    ],
)
def test_a_wrong_call_is_counted_also_after_a_right_one(body: bytes) -> None:
    assert wrong_after(200, body) == 1
    assert wrong_after(200, called(RIGHT, RIGHT), body) == 1


def test_a_right_body_with_a_wrong_status_is_wrong() -> None:
    assert wrong_after(429, called(RIGHT)) == 1


def test_a_rest_answer_must_be_the_device_asked_for() -> None:
    assert wrong_after(200, device(DEVICE_ID), device(DEVICE_ID), kind=Kind.REST) == 0
    assert wrong_after(200, device(DEVICE_ID), device(OTHER_ID), kind=Kind.REST) == 1


@pytest.mark.parametrize("tools", [[], [{"name": "get_device", "inputSchema": {"properties": {}}}]])
def test_a_list_must_offer_the_tool(tools: list[object]) -> None:
    body = orjson.dumps({"id": 10000001, "result": {"tools": tools}})

    assert wrong_after(200, body, kind=Kind.LIST) == 1


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_may_arrive_in_pieces(size: int, *, chunked: bool) -> None:
    body = device(DEVICE_ID)
    if chunked:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        wire = head + b"10\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:16], len(body) - 16, body[16:])
    else:
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    run = Run(exchange("W3", LEGACY), Checker(), measuring=True)
    connection = Connection(run)
    connection.connection_made(Mock())
    connection.device_id = DEVICE_ID.encode()

    for at in range(0, len(wire), size):
        connection.data_received(wire[at : at + size])

    assert (len(run.latencies_s), run.checker.wrong) == (1, 0)
    assert cast(Mock, connection.transport).write.call_count == 2


def test_a_session_is_sent_back_and_a_new_handshake_starts_without_it() -> None:
    connection = Connection(Run(exchange("W4", LEGACY), Checker()))
    connection.connection_made(Mock())
    write = cast(Mock, connection.transport).write

    connection.data_received(b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s-1\r\nContent-Length: 2\r\n\r\n{}")
    connection.data_received(b"HTTP/1.1 202 Accepted\r\n\r\n")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    sent = [b"Mcp-Session-Id: s-1\r\n" in call.args[0] for call in write.call_args_list]
    assert sent == [False, True, True, False]
