"""A stage for faults: durable servers, a simulator, workers that can be killed, and the simulator as the oracle."""

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from redis.asyncio import Redis
from sqlalchemy import text

from app import embedded
from app.auth import Caller
from app.errors import ServiceUnavailable
from app.resources import Resources, open_resources
from app.settings import Settings
from app.simulator import ORGANIZATION_KEYS, create_simulator
from app.tasks import service
from app.tasks.models import FINAL
from app.tasks.schemas import CommandSubmit

ROOT = Path(__file__).resolve().parent.parent.parent
SEALING_KEY = b"a sealing key for faults only 32"
PEPPER = "a pepper for the faults, and for nothing else"
LIMITS = {
    "XYTE_TIMEOUT_S": "2",
    "TASKS_LEASE_S": "3.5",
    "TASKS_GRACE_S": "7",
    "TASKS_FOLLOW_EVERY_S": "0.5",
    "TASKS_OPEN_PER_TENANT": "100000",
    "TASKS_OPEN_PER_DEVICE": "100000",
    "TASKS_AT_ONCE_PER_TENANT": "200",
    "DEVICE_COMMANDS_PER_MINUTE": "10000000",
    "RATE_LIMIT_PER_MINUTE": "10000000",
    "RATE_LIMIT_BURST": "10000000",
    "XYTE_BUDGET_PER_MINUTE": "10000000",
    "ENVIRONMENT": "test",
}


@dataclass
class Verdict:
    """What a run came to; `faults` is empty when every promise was kept."""

    commands: int = 0
    kills: int = 0
    twice: int = 0
    lost: int = 0
    unfinished: int = 0
    unknown: int = 0
    unknown_but_sent: int = 0
    seconds: float = 0.0
    states: dict[str, int] = field(default_factory=dict[str, int])
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    faults: list[str] = field(default_factory=list[str])

    def line(self) -> str:
        told = {name: value for name, value in vars(self).items() if name not in ("more", "faults", "states")}
        told |= self.more | {"states": self.states}
        return " ".join(f"{name}={value}" for name, value in told.items())


class Stage:
    """Everything a run needs; workers are numbered and can be killed, frozen and started again."""

    def __init__(self, folder: Path, servers: embedded.Servers) -> None:
        self.folder = folder
        self.servers = servers
        self.workers: list[int] = []
        self.apis: list[int] = []
        self.kills = 0
        self.total = 0
        self.environment: dict[str, str] = {}
        self.devices: list[str] = []
        self.key = ORGANIZATION_KEYS[0]
        self._nursery: subprocess.Popen[str]
        self.resources: Resources
        self.simulator: httpx.AsyncClient

    # Processes

    async def start(
        self,
        *,
        wakeup: str,
        redis_url: str | None = None,
        overrides: dict[str, str] | None = None,
        simulator: dict[str, str] | None = None,
    ) -> None:
        """Simulator, migrations, nursery, and a way to submit."""
        port = free_port()
        env = os.environ | {
            "SIMULATOR_COMMAND_SECONDS": "0",
            "SIMULATOR_PICKUP_SECONDS": "0",
            "SIMULATOR_TELEMETRY_SECONDS": "600",
            "SIMULATOR_OFFLINE_AFTER_SECONDS": "100000",
        }
        env |= simulator or {}
        self._simulator = spawn("app.cli", "simulator", "--port", str(port), env=env)
        self.environment = (
            LIMITS
            | {
                "DATABASE_URL": self.servers.database_url,
                "REDIS_URL": redis_url or self.servers.redis_url,
                "KEY_PEPPER": PEPPER,
                "SEALING_KEYS": base64.b64encode(SEALING_KEY).decode(),
                "XYTE_BASE_URL": f"http://127.0.0.1:{port}",
                "TASKS_WAKEUP": wakeup,
                "LOG_LEVEL": "INFO",
                "API_SOCKET": str(self.folder / "api.sock"),
            }
            | (overrides or {})
        )
        assert spawn("app.cli", "migrate", env=os.environ | self.environment).wait(60) == 0
        self._nursery = spawn("tests.faults.nursery", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.simulator = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)
        await eventually(self._simulator_answers, 20)
        await self.simulator.patch("/_simulator/settings", json={"failure_rate": 0.0, "outage_rate": 0.0})
        world = create_simulator().state.simulator.world
        organization = next(one for one in world.organizations.values() if one.key == self.key)
        self.devices = [
            device.id for device in organization.devices.values() if device.connected and device.model.command("reboot")
        ]

    async def _simulator_answers(self) -> bool:
        with suppress(httpx.TransportError):
            return (await self.simulator.get("/_simulator/health")).status_code == 200
        return False

    def _fork(self, what: str, **environment: str) -> int:
        order = {"what": what, "environment": self.environment | environment, "log": str(self.folder / f"{what}.log")}
        assert self._nursery.stdin
        assert self._nursery.stdout
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def worker(self, **environment: str) -> int:
        """One more worker."""
        pid = self._fork("worker", **environment)
        self.workers.append(pid)
        return pid

    def api(self, **environment: str) -> int:
        """One more API, on the stage's socket or another one."""
        Path(environment.get("API_SOCKET", self.environment["API_SOCKET"])).unlink(missing_ok=True)
        pid = self._fork("api", **environment)
        self.apis.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """SIGKILL one of ours."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        for ours in (self.workers, self.apis):
            if pid in ours:
                ours.remove(pid)

    async def close(self) -> None:
        """End what this stage started."""
        for pid in [*self.workers, *self.apis]:
            self.kill(pid)
        assert self._nursery.stdin
        self._nursery.stdin.close()
        self._nursery.wait(10)
        if self._nursery.stdout:
            self._nursery.stdout.close()
        self._simulator.terminate()
        self._simulator.wait(10)
        await self.simulator.aclose()

    # Work

    @asynccontextmanager
    async def submitting(self) -> AsyncGenerator[None]:
        """Connections to submit through, as the API does."""
        os.environ.update({"ENVIRONMENT": "test"})
        given = {name.lower(): value for name, value in self.environment.items()}
        given.pop("api_socket")
        settings = Settings.model_validate(given)
        async with open_resources(settings) as self.resources:
            yield

    @property
    def caller(self) -> Caller:
        return Caller(self.key, self.resources.fingerprint(self.key))

    async def submit(self, count: int, name: str = "reboot", *, first: int = 0, at_once: int = 8) -> list[UUID]:
        """So many commands, each with a number of its own."""
        room = asyncio.Semaphore(at_once)

        async def one(number: int) -> UUID:
            async with room:
                asked = CommandSubmit.model_validate(
                    {
                        "device_id": self.devices[number % len(self.devices)],
                        "name": name,
                        "extra_params": {"number": number},
                        "deadline_seconds": 3600,
                        "skip_validation": True,
                    }
                )
                key = f"number {number}"
                while True:  # as a careful client does: the same key again until there is an answer
                    try:
                        return (await service.submit(self.resources, self.caller, asked, key)).task.id
                    except ServiceUnavailable:
                        await asyncio.sleep(0.2)

        return await asyncio.gather(*(one(number) for number in range(first, first + count)))

    async def states(self) -> Counter[str]:
        """How many tasks are in each state; PostgreSQL may be away."""
        async with self.resources.engine.connect() as db:
            rows = await db.execute(text("SELECT state, count(*) FROM tasks GROUP BY state"))
            return Counter({row[0]: row[1] for row in rows})

    async def progress(self) -> int:
        """Tasks that are out of the queue for good."""
        with suppress(Exception):
            states = await self.states()
            return states.total() - states["queued"] - states["dispatching"]
        return -1

    async def reached(self, share: float) -> bool:
        """Wait until this share of all the commands is out of the queue."""

        async def far() -> bool:
            return await self.progress() >= share * self.total

        return await eventually(far, 300)

    async def finished(self, seconds: float) -> bool:
        """Whether every task ends within that time."""

        async def ended() -> bool:
            with suppress(Exception):
                states = await self.states()
                return not set(states) - FINAL
            return False

        return await eventually(ended, seconds, every=0.25)

    async def seen(self) -> Counter[int]:
        """How often the simulator took each number."""
        rows: list[dict[str, Any]] = (await self.simulator.get("/_simulator/commands")).json()["commands"]
        return Counter(cast("int", row["params"]["number"]) for row in rows if "number" in (row["params"] or {}))

    async def judge(self, commands: int, started: float, *, finished: bool) -> Verdict:
        """Compare what was asked, what is recorded and what the simulator saw."""
        seen = await self.seen()
        async with self.resources.engine.connect() as db:
            rows = [
                tuple(row)
                for row in await db.execute(text("SELECT (body->'extra_params'->>'number')::int, state FROM tasks"))
            ]
            secrets_left = (await db.execute(text("SELECT count(*) FROM task_secrets"))).scalar_one()
        verdict = Verdict(commands=commands, kills=self.kills, seconds=round(time.monotonic() - started, 1))
        verdict.states = dict(Counter(state for _, state in rows))
        verdict.twice = sum(1 for count in seen.values() if count > 1)
        unknown = {number for number, state in rows if state == "outcome_unknown"}
        verdict.unknown = len(unknown)
        verdict.unknown_but_sent = len(unknown & set(seen))
        recorded = {number for number, _ in rows}
        done_unseen = {number for number, state in rows if state == "done" and not seen[number]}
        verdict.lost = len(set(range(commands)) - recorded) + len(done_unseen)
        verdict.lost += sum(1 for _, state in rows if state in ("expired", "cancelled", "error"))
        verdict.unfinished = sum(1 for _, state in rows if state not in FINAL)
        verdict.more["secrets_left"] = secrets_left
        if not finished or verdict.unfinished:
            verdict.faults.append(f"{verdict.unfinished} unfinished")
        if verdict.twice:
            verdict.faults.append(f"{verdict.twice} sent twice")
        if verdict.lost:
            verdict.faults.append(f"{verdict.lost} lost")
        if finished and secrets_left:
            verdict.faults.append(f"{secrets_left} sealed keys left")
        return verdict

    def redis(self) -> Any:
        """The stage's Redis, for doing it harm."""
        return Redis.from_url(self.environment["REDIS_URL"])  # pyright: ignore[reportUnknownMemberType]


@asynccontextmanager
async def stage(
    *,
    wakeup: str = "arq",
    durable: bool = True,
    overrides: dict[str, str] | None = None,
    simulator: dict[str, str] | None = None,
) -> AsyncGenerator[Stage]:
    """A stage that leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="xyte-faults-"))
    try:
        with embedded.Guard() as guard:
            servers = embedded.start(guard, folder / "servers", durable=durable)
            built = Stage(folder, servers)
            try:
                await built.start(wakeup=wakeup, overrides=overrides, simulator=simulator)
                async with built.submitting():
                    yield built
            finally:
                await built.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spawn(module: str, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """A Python module as a process of ours."""
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, text=True, **options)


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def eventually(holds: Callable[[], Any], seconds: float, *, every: float = 0.05) -> bool:
    """Whether it comes to hold within that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if await holds():
            return True
        await asyncio.sleep(every)
    return False


def is_alive(pid: int) -> bool:
    """Whether a process of ours still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
