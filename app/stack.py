"""Every part on one machine, under one supervisor: `dev.py up`, and the servers that `dev.py test` needs."""

import argparse
import asyncio
import base64
import errno
import fcntl
import hashlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

from app import embedded
from app.embedded import STOPPING, Guard, Place, Postgres, UnavailableError, Valkey

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60.0
HANDOVER_TIMEOUT_S = 15.0
SHOWN_LOG_LINES = 10
CALL: dict[str, object] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "list_devices", "arguments": {}},
}
# Without compiled modules every start takes seconds longer.
NOT_PASSED_ON = ("PYTHONDONTWRITEBYTECODE",)


class StackError(Exception):
    """Why the stack does not run: one line, and the exit code that goes with it."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Stopped(BaseException):
    """Somebody asked the supervisor to stop."""


@dataclass(frozen=True)
class Options:
    """What to start; tests give a project, a command and an environment of their own."""

    port: int = 8000
    data: Path | None = None
    fresh: bool = False
    project: Path = PROJECT
    command: tuple[str, ...] = (sys.executable, "-m", "app.cli")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def up(port: int = 8000, data: Path | None = None, *, fresh: bool = False) -> int:
    """Run everything until somebody stops it; the exit code."""
    return run(Options(port, data, fresh))


def run(options: Options) -> int:
    """Run what the options say until somebody stops it or a part of it ends; the exit code."""
    try:
        with stop_on_signals():
            supervise(options)
    except Stopped:
        return 0
    except UnavailableError as error:
        note(error)
        return 1
    except StackError as error:
        note(error)
        return error.code


def note(message: object) -> None:
    """One line for whoever started us."""
    print(f"xyte-mcp: {message}", file=sys.stderr)


@contextmanager
def stop_on_signals() -> Generator[None]:
    """Turn the first wish to stop into an exception, and ignore the ones after it."""

    def ask(*_: object) -> NoReturn:
        ignore_signals()
        raise Stopped

    wanted = [number for number in STOPPING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """What is stopping already is not to be disturbed."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def supervise(options: Options) -> NoReturn:
    """Start every part, say so, and wait for the first one that ends."""
    began = time.monotonic()
    port = free_port(options.port)
    home = find_home(options)
    with lock(home.data) as held, Guard(keep_open=[held]) as guard:
        try:
            stack = Stack(options, home, guard)
            stack.start(port)
            facts = stack.facts(port)
            greet(facts, time.monotonic() - began)
            publish(guard, home.stack_file, facts)
            while True:
                stack.check()
                time.sleep(0.1)
        finally:
            ignore_signals()


def free_port(wanted: int) -> int:
    """The wanted port if nobody has it; 0 is any that is free."""
    try:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, wanted))
            return probe.getsockname()[1]
    except OverflowError as error:
        raise StackError(f"{wanted} is not a port: choose one up to 65535 with --port", 2) from error
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise StackError(f"port {wanted} {reason}: choose another with --port", 2) from error


# ── Where things are kept ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Home:
    """The folders of one stack."""

    data: Path
    logs: Path
    stack_file: Path


def find_home(options: Options) -> Home:
    """`.dev` in the project, or the user's own state folder where the project is read-only."""
    base = next(filter(is_writable, _bases(options)), None)
    if base is None:
        raise StackError(f"cannot write to {options.project}, nor to your home: choose a folder with --data", 2)
    if base.parent != options.project:
        note(f"{options.project} is read-only, so data and logs are in {base}")
    if options.data is None:
        return Home(base / "data", base / "logs", base / "stack.json")
    data = options.data.resolve()
    if not is_writable(data):
        raise StackError(f"cannot write to {data}: choose another folder with --data", 2)
    return Home(data, data / "logs", base / "stack.json")


def _bases(options: Options) -> Generator[Path]:
    digest = hashlib.sha256(os.fsencode(options.project)).hexdigest()[:12]
    state = options.environment.get("XDG_STATE_HOME") or Path(options.environment.get("HOME", "/"), ".local", "state")
    yield options.project / ".dev"
    yield Path(state, "xyte-mcp", digest)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in the folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@contextmanager
def lock(data: Path) -> Generator[int]:
    """Hold the data for ourselves; a stack that is being stopped is waited for."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a+") as file:
        deadline = time.monotonic() + HANDOVER_TIMEOUT_S
        while not _locked(file.fileno()):
            file.seek(0)
            holder = file.read().strip()
            if time.monotonic() > deadline or (holder and not embedded.is_gone(int(holder))):
                raise StackError(f"{data} is in use by process {holder}: stop it, or choose another with --data", 2)
            time.sleep(0.02)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def clear(*folders: Path) -> None:
    """Remove the data of earlier runs and nothing else that may lie there."""
    for folder in folders:
        for path in (*folder.glob("pg[0-9]*"), folder / "valkey", folder / "secrets.json"):
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            except OSError as error:
                raise StackError(f"cannot remove {path}: {error.strerror}", 2) from error


def own_secrets(data: Path) -> dict[str, str]:
    """What the processes have to share and nobody else may know; made once for the data."""
    path = data / "secrets.json"
    if not path.exists():
        fresh = {
            "KEY_PEPPER": secrets.token_urlsafe(48),
            "SEALING_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        write_private(path, json.dumps(fresh))
    return json.loads(path.read_text())


def write_private(path: Path, text: str, before_it_appears: Callable[[Path, int], None] | None = None) -> None:
    """Write a file that only we may read, all or nothing."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if before_it_appears:
        before_it_appears(path, Path(name).stat().st_ino)
    Path(name).replace(path)


# ── The parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Stack:
    """The parts that run, and what the others need to know about them."""

    def __init__(self, options: Options, home: Home, guard: Guard) -> None:
        self._options = options
        self._home = home
        self._guard = guard
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._needed: set[str] = set()
        self._simulator_url: str | None = None
        self._keys: Any = None
        home.logs.mkdir(mode=0o700, exist_ok=True)
        for log in home.logs.glob("*.log"):
            log.unlink()
        self.environment = passed_on(options.environment)
        self.environment.setdefault("LOG_LEVEL", "INFO")
        self.environment.setdefault("DRAIN_S", "0")  # nobody here chooses between replicas

    def start(self, port: int) -> None:
        """Start every part, the slowest first, and return once everything answers."""
        place = self._settle()
        simulator = self._start_simulator()
        # The API is the slowest to start, and connects only when it is asked something.
        self._start("api", "serve", "--port", str(port), "--host", HOST)
        if place:
            self._start_servers(place)
        self._migrate()
        self._start("worker", "worker")
        if simulator:
            self._keys = _library("app.simulator")
            self._wait("simulator", lambda: answers(simulator, "/_simulator/health"))
        self._wait("api", lambda: answers(port, "/readyz"))

    def back(self) -> None:
        """Start what stands behind an API, and not the API."""
        if place := self._settle():
            self._start_servers(place)
        self._migrate()
        self._start("worker", "worker")

    def check(self) -> None:
        """Complain about the first part that has ended."""
        for name, process in self._parts.items():
            if (code := process.poll()) is not None:
                raise StackError(f"{name} {how_it_ended(code)}, so everything was stopped{self._last_words(name)}")
        if not self._guard.is_alive():
            raise StackError("the guard process was killed, so everything was stopped")

    def facts(self, port: int) -> dict[str, object]:
        """What `stack.json` says."""
        keys = self._keys
        return {
            "ready": True,
            "url": f"http://{HOST}:{port}",
            "mcp_url": f"http://{HOST}:{port}/mcp",
            "simulator_url": self._simulator_url,
            "organization_key": next(iter(keys.ORGANIZATION_KEYS)) if keys else None,
            "partner_key": keys.PARTNER_KEY if keys else None,
            "database_url": self.environment["DATABASE_URL"],
            "redis_url": self.environment["REDIS_URL"],
            "pids": {"supervisor": os.getpid(), "guard": self._guard.pid}
            | {name: process.pid for name, process in self._parts.items()},
        }

    def _start_simulator(self) -> int | None:
        if "XYTE_BASE_URL" in self.environment:
            return None
        port = free_port(0)
        self._simulator_url = self.environment["XYTE_BASE_URL"] = f"http://{HOST}:{port}"
        for name in ("XYTE_ENTRY_URL", "XYTE_DEVICE_HUB_URL"):
            self.environment.setdefault(name, self._simulator_url)
        self._start("simulator", "simulator", "--port", str(port))
        return port

    def _settle(self) -> Place | None:
        """Make room for the servers that were not given, and complete the environment of all the others."""
        data, given = self._home.data, self.environment.keys()
        self._needed = {"DATABASE_URL", "REDIS_URL"} - given
        place = embedded.prepare(self._guard, data, durable=True) if self._needed else None
        if self._options.fresh:
            clear(data, *([place.data] if place else []))
        self.environment = own_secrets(data) | self.environment
        if place and place.data != data:
            note(f"the servers' account cannot enter {data}, so their data are in {place.data}")
        if place:
            self.environment = {"DATABASE_URL": place.database_url, "REDIS_URL": place.redis_url} | self.environment
        return place

    def _start_servers(self, place: Place) -> None:
        """Start what is needed of the two; Valkey starts while PostgreSQL makes its data."""
        waits: list[Callable[[], None]] = []
        if "REDIS_URL" in self._needed:
            valkey = Valkey(self._guard, place, durable=True, log=self._home.logs / "valkey.log")
            self._parts["valkey"] = valkey.process
            waits.append(valkey.wait)
        if "DATABASE_URL" in self._needed:
            postgres = Postgres(self._guard, place, durable=True, log=self._home.logs / "postgres.log")
            self._parts["postgres"] = postgres.process
            waits.append(postgres.wait)
        for wait in waits:
            wait()

    def _migrate(self) -> None:
        process = self._start("migrate", "migrate")
        del self._parts["migrate"]
        while (code := process.poll()) is None:
            self.check()
            time.sleep(0.01)
        if code:
            raise StackError(f"the migration {how_it_ended(code)}{self._last_words('migrate')}")
        self._guard.ended(process)

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        self._parts[name] = self._guard.start(
            [*self._options.command, *arguments],
            self._home.logs / f"{name}.log",
            environment=self.environment,
            folder=self._options.project,
        )
        return self._parts[name]

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{name} did not answer within {READY_TIMEOUT_S:g} s{self._last_words(name)}")
            time.sleep(0.02)

    def _last_words(self, name: str) -> str:
        log = self._home.logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:] if log.exists() else []
        return "".join(f"\n  {line}" for line in (f"the end of {log}:", *lines)) if lines else ""


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """What our processes get to see; an empty variable is as good as none."""
    return {name: value for name, value in environment.items() if value and name not in NOT_PASSED_ON}


def answers(port: int, path: str) -> bool:
    """Whether this address on this machine says 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    with suppress(OSError, http.client.HTTPException), closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def publish(guard: Guard, path: Path, facts: Mapping[str, object]) -> None:
    """Write `stack.json`, which is there as long as everything runs."""
    write_private(path, json.dumps(facts, indent=2) + "\n", before_it_appears=guard.remove_file)


def greet(facts: Mapping[str, object], seconds: float) -> None:
    """Say what runs and what to try."""
    url, key = facts["url"], facts["organization_key"] or "$XYTE_API_KEY"
    call = json.dumps(CALL, separators=(",", ":"))
    lines = [
        f"ready after {seconds:.1f} s: {url}  (Ctrl-C stops everything)",
        "",
        f"  documentation     {url}/docs",
        f"  MCP endpoint      {facts['mcp_url']}  with the header X-XYTE-API-KEY",
    ]
    if facts["simulator_url"]:
        lines += [
            f"  simulated cloud   {facts['simulator_url']}",
            f"  organization key  {key}",
            f"  partner key       {facts['partner_key']}",
        ]
    lines += [
        "",
        f'  curl -H "X-XYTE-API-KEY: {key}" {url}/v1/devices',
        f"  curl -H \"X-XYTE-API-KEY: {key}\" -H 'Content-Type: application/json' -d '{call}' {url}",
    ]
    print("\n".join(lines), flush=True)


# ── Servers for one process of ours ──────────────────────────────────────────────────────────────────────────────────


@contextmanager
def backing(data: Path, environment: Mapping[str, str]) -> Generator[dict[str, str]]:
    """PostgreSQL, Valkey and a worker, as far as they are not given; the environment that leads to them."""
    if not is_writable(data):
        raise StackError(f"cannot write to {data}: choose another folder with --data", 2)
    home = Home(data, data / "logs", data / "stack.json")
    with lock(data) as held, Guard(keep_open=[held]) as guard:
        stack = Stack(Options(data=data, environment=environment), home, guard)
        stack.back()
        yield stack.environment


# ── Servers for a command such as the tests ──────────────────────────────────────────────────────────────────────────


def run_with_servers(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command with DATABASE_URL and REDIS_URL for it alone; its exit code."""
    try:
        with stop_on_signals(), Guard() as guard, own_servers(guard, environment) as own:
            try:
                process = guard.start_in_terminal(command, own)
                if sys.stdin.isatty():
                    # The terminal's Ctrl-C reaches the command too, and what it then does is its own affair.
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                code = process.wait()
            finally:
                ignore_signals()
            return code if code >= 0 else 128 - code
    except Stopped:
        return 130
    except (UnavailableError, StackError) as error:
        note(error)
        return 1


@contextmanager
def own_servers(guard: Guard, environment: Mapping[str, str]) -> Generator[dict[str, str]]:
    """An environment that names a database and a Redis nobody else uses; both are forgotten in the end."""
    own = passed_on(environment)
    database_url, redis_url = own.get("DATABASE_URL"), own.get("REDIS_URL")
    if not (database_url and redis_url):
        folder = Path(tempfile.mkdtemp(prefix="xyte-data-"))
        guard.remove_folder(folder)
        started = embedded.start(guard, folder, durable=False)
        own |= {"DATABASE_URL": started.database_url, "REDIS_URL": started.redis_url}
    with ExitStack() as exits:
        if database_url:
            own["DATABASE_URL"] = exits.enter_context(own_database(database_url))
        if redis_url:
            own["REDIS_URL"] = exits.enter_context(own_redis(redis_url))
        yield own


@contextmanager
def own_database(url: str) -> Generator[str]:
    """A database of our own name on the given server."""
    name = f"xyte_test_{os.getpid()}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    asyncio.run(_execute(url, drop, f"CREATE DATABASE {name}"))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        asyncio.run(_execute(url, drop))


async def _execute(url: str, *statements: str) -> None:
    asyncpg = _library("asyncpg")
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if "port" in options:
        options["port"] = int(options["port"])
    try:
        connection = await asyncpg.connect(parts._replace(scheme="postgresql", query="").geturl(), **options)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise StackError(f"cannot make a database with DATABASE_URL: {error}") from error


@contextmanager
def own_redis(url: str) -> Generator[str]:
    """The number of a database on the given server in which there was nothing."""
    own = next(filter(_is_empty, _numbered(url)), None)
    if own is None:
        raise StackError("REDIS_URL leads to a server that has no empty database among 1 to 15")
    try:
        yield own
    finally:
        with closing(_library("redis").Redis.from_url(own)) as client:
            client.flushdb()


def _numbered(url: str) -> Generator[str]:
    base, _, query = url.partition("?")
    for number in range(15, 0, -1):
        yield f"{base}?{urlencode(dict(parse_qsl(query)) | {'db': number})}"


def _is_empty(url: str) -> bool:
    redis = _library("redis")
    with closing(redis.Redis.from_url(url)) as client:
        try:
            return client.dbsize() == 0
        except redis.ResponseError:
            return False
        except redis.RedisError as error:
            raise StackError(f"cannot use REDIS_URL: {error}") from error


def _library(name: str) -> Any:
    """Something large that not every run needs: imported when it is asked for, the servers start a second sooner."""
    return import_module(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """`up`, and `run` for a command that needs servers."""
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_up = verbs.add_parser("up", help="run everything on this machine until Ctrl-C")
    add_up.add_argument(
        "--port", type=int, default=8000, help="where the API listens (default 8000; 0 is any free one)"
    )
    add_up.add_argument("--data", type=Path, help="where the servers keep their data (default .dev/data)")
    add_up.add_argument("--fresh", action="store_true", help="begin with empty data")
    add_run = verbs.add_parser("run", help="run a command with a PostgreSQL and a Redis of its own")
    add_run.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    if chosen.verb == "up":
        return up(chosen.port, chosen.data, fresh=chosen.fresh)
    return run_with_servers(chosen.command, os.environ)


if __name__ == "__main__":
    sys.exit(main())
