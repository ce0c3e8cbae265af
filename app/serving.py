"""The API's server, which leaves in good order: it says so, then takes nothing more, then finishes what it has."""

import asyncio
import ctypes
import logging
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus

logger = logging.getLogger("app.serving")

TICK_S = 0.1
ENDING_S = 55  # longer than any operation waits
FIRST_BYTES_S = 1.0
SO_ATTACH_FILTER = 26

# Else a signal would tear every answer that tells of progress, and each one begun afterwards.
AppStatus.disable_automatic_graceful_drain()


class Server(uvicorn.Server):
    """On SIGTERM it goes on answering for a while, in which whoever sends it requests can learn to stop.

    `announce` is called first, so that `/readyz` says it.
    """

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None], drain_s: float) -> None:
        super().__init__(config)
        self._announce = announce
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, close the door without losing who stands in it, and let uvicorn do the rest."""
        if signal.SIGTERM in self._captured_signals:
            await self._drain()
        await self._close_door()
        await self._hear_out()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        """Answer on, asking each client to connect anew; a second signal ends the wait."""
        self._announce()
        self.config.encoded_headers.append((b"connection", b"close"))
        logger.info("draining", extra={"seconds": self._drain_s})
        until = time.monotonic() + self._drain_s
        while time.monotonic() < until and len(self._captured_signals) == 1:
            await self.on_tick(0)
            await asyncio.sleep(TICK_S)

    async def _close_door(self) -> None:
        """Stop listening. Connections that the kernel has made and nobody has taken yet are taken, not reset."""
        # The copies keep the door open while uvicorn closes its own.
        doors = [copy_of(listening) for server in self.servers for listening in server.sockets]
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        for door in doors:
            turn_deaf(door)
        waiting = [taken for door in doors for taken in accepted(door)]
        for door in doors:
            door.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> Any:
        make: Any = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _hear_out(self) -> None:
        """Wait for the first request of connections that are so new that it is still on its way."""
        until = time.monotonic() + FIRST_BYTES_S
        while time.monotonic() < until and any(  # noqa: ASYNC110  uvicorn tells nobody
            is_new(one) for one in self.server_state.connections
        ):
            await asyncio.sleep(TICK_S / 10)


def copy_of(listening: Any) -> socket.socket:
    """The same socket under another number."""
    copy = socket.socket(fileno=socket.dup(listening.fileno()))
    copy.setblocking(False)
    return copy


def turn_deaf(door: socket.socket) -> None:
    """Let the kernel ignore who knocks now: they knock again a second later, and are refused, not reset.

    A connection made between the last look and the close would be reset with its request in it. Linux only.
    """
    if sys.platform == "linux":
        ignore = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        with suppress(OSError):
            door.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(ignore)))


def accepted(door: socket.socket) -> Generator[socket.socket]:
    """The connections that wait."""
    with suppress(OSError):
        while True:
            yield door.accept()[0]


def is_new(connection: Any) -> bool:
    """Whether nothing was asked on it yet."""
    return getattr(connection, "cycle", None) is None
