"""Server processes: each on the server's core, ended with us whatever happens, and read from /proc."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.tools import MissingError

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PINNED = Path(__file__).with_name("pinned.py")
START_S = 60.0
STOP_S = 5.0


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def cpu_s(self) -> float:
        """User and system time of the process and its children, so far."""
        return sum(ticks(pid) for pid in family(self.process.pid)) / TICKS_PER_S

    def memory_mb(self) -> float:
        """Resident memory, shared libraries included: what a container would be charged for at most."""
        return sum(resident(pid) for pid in family(self.process.pid)) / 1e6

    def last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"


def family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass(frozen=True)
class Command:
    """What to run, and where."""

    words: list[str]
    directory: Path
    environment: Mapping[str, str]


def spawn(command: Command, core: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(PINNED), str(core), *command.words],
            cwd=command.directory,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@asynccontextmanager
async def serving(command: Command, port: int, core: int, log: Path) -> AsyncGenerator[Server]:
    process = spawn(command, core, log)
    server = Server(process, port, log)
    try:
        await listening(server)
        yield server
    finally:
        stop(process)


async def listening(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise MissingError(f"it ended at start-up: {server.last_words()}")
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        await asyncio.sleep(0.05)
    raise MissingError(f"it did not listen within {START_S:.0f} s: {server.last_words()}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt, so that a profiler can still write; then kill whatever is left of its group."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
