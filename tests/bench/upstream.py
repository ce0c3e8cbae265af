"""The cloud as cheap as it can be: a fixed set of devices, answered from memory in the load generator's own loop."""

import asyncio
from asyncio import Transport
from typing import cast

import orjson

DEVICE_BYTES = 656
DEVICE_IDS = tuple(f"bench-device-{number:03}" for number in range(64))
ROOT = "/core/v1/organization"


def device_name(device_id: str) -> str:
    return f"Display of room {device_id[-3:]}"


def device(device_id: str) -> bytes:
    """One device as the cloud describes it, always of the same length."""
    shape: dict[str, object] = {
        "id": device_id,
        "name": device_name(device_id),
        "sn": f"SN-2026-0000-{device_id[-3:]}",
        "mac": "02:00:5e:10:00:01",
        "cloud_id": f"cloud-{device_id[-3:]}",
        "status": "online",
        "effective_status": "online",
        "merged_effective_status": "online",
        "last_seen_at": "2026-11-20T09:30:00.000Z",
        "state": {
            "power": "on",
            "volume": 35,
            "input": "hdmi1",
            "muted": False,
            "temperature": 41.5,
            "uptime_s": 864000,
        },
        "model": {"id": "model-0007", "name": "Panel 86", "sub_model": "P86-4K"},
        "firmware": {"version": "4.2.1"},
        "space": {"id": 1204, "full_path": "Headquarters/Building A/Floor 3"},
        "details": "",
    }
    shape["details"] = "Wall mounted. ".ljust(DEVICE_BYTES - len(orjson.dumps(shape)), ".")
    return orjson.dumps(shape)


def response(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def answers() -> dict[bytes, bytes]:
    devices = {f"{ROOT}/devices/{device_id}": device(device_id) for device_id in DEVICE_IDS}
    page = b'{"items":[%b],"next_page":null}' % b",".join(devices[path] for path in list(devices)[:25])
    info = b'{"id":"bench-organization","name":"Bench","email":"bench@example.com"}'
    bodies = devices | {f"{ROOT}/devices": page, f"{ROOT}/info": info}
    return {path.encode(): response(b"200 OK", body) for path, body in bodies.items()}


class Upstream:
    """Counts the devices asked for, so that a contender cannot shine by not asking."""

    def __init__(self) -> None:
        self.answers = answers()
        self.missing = response(b"404 Not Found", b'{"error":"not found"}')
        self.devices_asked = 0
        self.url = ""

    async def start(self) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(lambda: Conversation(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def answer(self, head: bytes) -> bytes:
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        found = self.answers.get(path)
        if found is None:
            return self.missing
        self.devices_asked += b"/devices/" in path
        return found


class Conversation(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.waiting = b""
        self.transport: Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(Transport, transport)

    def data_received(self, data: bytes) -> None:
        *heads, self.waiting = (self.waiting + data).split(b"\r\n\r\n")
        for head in heads:
            self.transport.write(self.upstream.answer(head))
