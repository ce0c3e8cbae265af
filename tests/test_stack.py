"""The supervisor: what it starts, what it says, and that it leaves nothing behind; its parts are stand-ins."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app import embedded, stack
from app.embedded import Servers, is_gone, servers
from app.stack import Options, StackError, run, run_with_servers

# Plays every part: `migrate` ends, the others answer or wait until WORKER_DOES something to the stack that is ready.
PARTS = """
import http.server, json, os, pathlib, signal, sys, time
verb, does = sys.argv[1], os.environ.get("WORKER_DOES", "")
if verb == "migrate":
    print("no such table")
    sys.exit(int(os.environ.get("MIGRATION_ENDS", "0")))
if verb == "worker":
    ready = pathlib.Path(".dev/stack.json")
    while does and not ready.exists():
        time.sleep(0.005)
    if does == "end":
        print("out of memory")
        sys.exit(3)
    if does:
        pathlib.Path("seen.json").write_text(ready.read_text())
        os.kill(json.loads(ready.read_text())["pids"][does], int(os.environ["WITH_SIGNAL"]))
    signal.pause()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/readyz", "/_simulator/health") else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""

SUPERVISOR = """
import signal, sys
from pathlib import Path
from app.stack import Options, run
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
port, project, *command = sys.argv[1:]
sys.exit(run(Options(port=int(port), project=Path(project), command=tuple(command))))
"""


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for the thing itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    """Stand-ins in a project with a space in its path, with servers that are given and never asked."""
    project = tmp_path / "a project"
    project.mkdir()
    (project / "parts.py").write_text(PARTS)
    given = {"DATABASE_URL": "postgresql://db", "REDIS_URL": "redis://redis", "HOME": str(tmp_path / "home")}
    command = (sys.executable, "-S", str(project / "parts.py"))
    return Options(port=0, project=project, command=command, environment={**os.environ, "XYTE_BASE_URL": "", **given})


def told(options: Options, **environment: str) -> Options:
    return replace(options, environment={**options.environment, **environment})


def facts(options: Options) -> dict[str, Any]:
    return json.loads((options.project / ".dev" / "stack.json").read_text())


def test_the_supervisor_itself_ends_a_stack_that_was_asked_to_stop(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(told(options, WORKER_DOES="supervisor", WITH_SIGNAL=str(signal.SIGTERM.value)))

    output = capsys.readouterr()
    assert code == 0
    assert "ready after" in output.out
    assert "X-XYTE-API-KEY" in output.out
    assert output.err == ""
    assert not (options.project / ".dev" / "stack.json").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_process_is_left_after_a_signal(options: Options, number: signal.Signals, code: int) -> None:
    published = options.project / ".dev" / "stack.json"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, "0", str(options.project), *options.command],
        env=dict(options.environment),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(published.exists)
    mode = published.stat().st_mode & 0o777
    told = facts(options)

    os.kill(supervisor.pid, number)

    ended = supervisor.wait(30)
    wait_until(lambda: all(map(is_gone, told["pids"].values())))
    assert ended == code
    assert mode == 0o600
    assert told["ready"] is True
    assert told["pids"].keys() == {"supervisor", "guard", "simulator", "worker", "api"}
    assert not published.exists()


def test_who_starts_it_under_nohup_may_close_the_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stack.stop_on_signals():
            handlers = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)]
    finally:
        signal.signal(signal.SIGHUP, before)

    assert handlers[0] == signal.SIG_IGN
    assert callable(handlers[1])


def test_a_part_that_ends_ends_the_stack_with_its_last_words(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(told(options, WORKER_DOES="end"))

    first, *rest = capsys.readouterr().err.splitlines()
    assert code == 1
    assert first == "xyte-mcp: worker ended with exit code 3, so everything was stopped"
    assert "  out of memory" in rest
    assert not (options.project / ".dev" / "stack.json").exists()


@pytest.mark.parametrize(("whom", "said"), [("api", "api was ended by SIGKILL"), ("guard", "the guard process")])
def test_a_part_that_is_killed_ends_the_stack(
    options: Options, capsys: pytest.CaptureFixture[str], whom: str, said: str
) -> None:
    code = run(told(options, WORKER_DOES=whom, WITH_SIGNAL=str(signal.SIGKILL.value)))

    assert code == 1
    assert capsys.readouterr().err.startswith(f"xyte-mcp: {said}")


def test_a_failed_migration_says_what_the_matter_is(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(told(options, MIGRATION_ENDS="4"))

    error = capsys.readouterr().err
    assert code == 1
    assert error.startswith("xyte-mcp: the migration ended with exit code 4\n")
    assert "no such table" in error


def test_a_part_that_never_answers_is_given_up(
    options: Options, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "READY_TIMEOUT_S", 0.3)
    deaf = (sys.executable, "-S", "-c", "import signal, sys; sys.argv[1] == 'migrate' or signal.pause()")

    code = run(replace(told(options, XYTE_BASE_URL="https://hub.xyte.test"), command=deaf))

    assert code == 1
    assert capsys.readouterr().err == "xyte-mcp: api did not answer within 0.3 s\n"


def test_a_port_that_is_taken_is_one_line(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code = run(replace(options, port=port))

    assert code == 2
    assert capsys.readouterr().err == f"xyte-mcp: port {port} is taken: choose another with --port\n"
    assert not (options.project / ".dev").exists()


def test_a_port_that_is_none_is_one_line(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(replace(options, port=65536))

    assert code == 2
    assert capsys.readouterr().err == "xyte-mcp: 65536 is not a port: choose one up to 65535 with --port\n"


def test_a_second_stack_on_the_same_data_is_one_line(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    data = options.project / ".dev" / "data"
    with stack.lock(data):
        code = run(options)

    said = f"{data} is in use by process {os.getpid()}: stop it, or choose another with --data"
    assert code == 2
    assert capsys.readouterr().err == f"xyte-mcp: {said}\n"


def test_a_stack_that_is_just_stopping_is_waited_for(tmp_path: Path) -> None:
    first = stack.lock(tmp_path)
    first.__enter__()
    (tmp_path / "lock").write_text("999999999")
    release = threading.Timer(0.1, first.__exit__, (None, None, None))
    release.start()

    with stack.lock(tmp_path):
        holder = (tmp_path / "lock").read_text()

    release.join()
    assert holder == str(os.getpid())


def test_where_the_project_is_read_only_the_data_go_home(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    (options.project / ".dev").touch()

    home = stack.find_home(options)

    assert str(home.data).startswith(f"{options.environment['HOME']}/.local/state/xyte-mcp/")
    assert home.stack_file.parent == home.data.parent == home.logs.parent
    assert capsys.readouterr().err.count("\n") == 1


def test_where_nothing_can_be_written_is_one_line(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    (options.project / ".dev").touch()
    Path(options.environment["HOME"]).touch()

    assert run(options) == 2
    assert capsys.readouterr().err.endswith("choose a folder with --data\n")


def test_chosen_data_keep_their_logs_beside_them(options: Options, tmp_path: Path) -> None:
    home = stack.find_home(replace(options, data=tmp_path / "mine"))

    assert home == stack.Home(tmp_path / "mine", tmp_path / "mine" / "logs", options.project / ".dev" / "stack.json")


def test_chosen_data_that_cannot_be_written_are_one_line(options: Options, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = options.project / "parts.py"

    assert run(replace(options, data=chosen)) == 2
    assert capsys.readouterr().err == f"xyte-mcp: cannot write to {chosen}: choose another folder with --data\n"


def test_fresh_removes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    ours = [tmp_path / name for name in ("pg18", "pg18.new", "valkey")]
    for folder in ours:
        (folder / "deep").mkdir(parents=True)
    (tmp_path / "holiday.jpg").touch()
    before = stack.own_secrets(tmp_path)
    again = stack.own_secrets(tmp_path)

    stack.clear(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
    assert before == again
    assert stack.own_secrets(tmp_path) != before
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a" / "valkey").mkdir(parents=True)
    (tmp_path / "a" / "pg18").symlink_to("valkey")

    with pytest.raises(StackError, match="cannot remove"):
        stack.clear(tmp_path / "a")


@pytest.fixture
def open_options(options: Options) -> Iterator[Options]:
    """The same project where any account can enter, and no servers are given."""
    base = Path(tempfile.mkdtemp(prefix="xyte tests "))
    base.chmod(0o755)
    (base / "parts.py").write_text(PARTS)
    yield replace(told(options, DATABASE_URL="", REDIS_URL=""), project=base)
    shutil.rmtree(base)


def test_up_starts_its_own_servers_for_what_is_not_given(
    open_options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    stops = told(open_options, WORKER_DOES="supervisor", WITH_SIGNAL=str(signal.SIGTERM.value))

    codes = [run(stops), run(replace(stops, fresh=True))]

    seen = json.loads((open_options.project / "seen.json").read_text())
    assert codes == [0, 0]
    assert capsys.readouterr().err == ""
    assert {"postgres", "valkey"} < seen["pids"].keys()
    assert seen["redis_url"].startswith("unix:///")
    assert all(is_gone(pid) for name, pid in seen["pids"].items() if name != "supervisor")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to keep the data where another account can enter")
def test_root_is_told_where_the_data_are_kept(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path(tempfile.mkdtemp())
    monkeypatch.setattr(embedded, "SHARED_FOLDER", shared)
    monkeypatch.setenv("PG_BIN_DIR", "/nowhere")
    tmp_path.chmod(0o700)

    code = run(told(options, DATABASE_URL=""))

    note, error = capsys.readouterr().err.splitlines()
    assert code == 1
    assert f"their data are in {shared}/data-" in note
    assert error == "xyte-mcp: the servers' account cannot run /nowhere/postgres: set DATABASE_URL and REDIS_URL"
    shutil.rmtree(shared)


def redis(url: str) -> Redis:
    return Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that somebody has, and keeps something in."""
    with servers(tmp_path_factory.mktemp("given"), durable=False) as running:
        with redis(f"{running.redis_url}?db=15") as taken:
            taken.set("somebody's", "value")
        yield running


def databases(url: str) -> set[str]:
    async def ask() -> set[str]:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            return set(await connection.scalars(text("SELECT datname FROM pg_database")))

    return asyncio.run(ask())


def writes(path: Path, name: str, code: int = 0) -> list[str]:
    """A command that writes a variable it was given into a file."""
    return ["/bin/sh", "-c", f'printf %s "${name}" >"$0"; exit {code}', str(path)]


def test_a_command_gets_servers_of_its_own_and_its_exit_code_counts(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    code = run_with_servers(writes(seen, "DATABASE_URL", 7), {"DATABASE_URL": "", "REDIS_URL": ""})

    assert code == 7
    assert "host=/tmp/xyte-" in seen.read_text()


def test_a_command_on_given_servers_leaves_them_as_they_were(given: Servers, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    environment = {"DATABASE_URL": given.database_url, "REDIS_URL": given.redis_url}
    before = databases(given.database_url)

    codes = [run_with_servers(writes(seen, "DATABASE_URL"), environment)]
    database_url = seen.read_text()
    codes.append(run_with_servers(writes(seen, "REDIS_URL"), environment))
    redis_url = seen.read_text()
    with stack.own_redis(given.redis_url) as own, redis(own) as mine:
        mine.set("kept", "for a moment")

    with redis(f"{given.redis_url}?db=15") as theirs, redis(own) as mine:
        left = theirs.get("somebody's"), mine.get("kept")
    assert codes == [0, 0]
    assert f"/xyte_test_{os.getpid()}?" in database_url
    assert redis_url == own == f"{given.redis_url}?db=14"
    assert databases(given.database_url) == before
    assert left == (b"value", None)


def test_given_servers_that_do_not_answer_are_one_line(
    given: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_redis = {"DATABASE_URL": given.database_url, "REDIS_URL": f"unix://{tmp_path}/none"}
    no_database = {**no_redis, "DATABASE_URL": f"postgresql://me@/x?host={tmp_path}"}

    codes = [run_with_servers(["true"], no_redis), run_with_servers(["true"], no_database)]

    lines = capsys.readouterr().err.splitlines()
    assert codes == [1, 1]
    assert len(lines) == 2
    assert lines[0].startswith("xyte-mcp: cannot use REDIS_URL: ")
    assert lines[1].startswith("xyte-mcp: cannot make a database with DATABASE_URL: ")


def test_a_command_that_is_killed_counts_as_failed(given: Servers) -> None:
    environment = {"DATABASE_URL": given.database_url, "REDIS_URL": given.redis_url}

    assert run_with_servers(["sh", "-c", "kill -KILL $$"], environment) == 128 + signal.SIGKILL


def test_a_runner_that_is_told_to_stop_leaves_nothing(given: Servers) -> None:
    environment = {"DATABASE_URL": given.database_url, "REDIS_URL": given.redis_url}
    before = databases(given.database_url)

    code = run_with_servers(["sh", "-c", "kill -TERM $PPID; exec sleep 60"], environment)

    assert code == 130
    assert databases(given.database_url) == before


def test_with_a_real_cloud_the_key_is_left_to_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    stack.greet({"url": "http://x", "mcp_url": "http://x/mcp", "organization_key": None, "simulator_url": None}, 1.0)

    output = capsys.readouterr().out
    assert "$XYTE_API_KEY" in output
    assert "simulated" not in output


def test_a_redis_without_an_empty_database_is_left_alone(given: Servers) -> None:
    others = [redis(f"{given.redis_url}?db={number}") for number in range(1, 15)]
    for other in others:
        other.set("somebody's", "value")

    with pytest.raises(StackError, match="no empty database"), stack.own_redis(given.redis_url):
        pass

    for other in others:
        other.flushdb()  # pyright: ignore[reportUnknownMemberType]
        other.close()


def test_a_wrong_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        stack.main(["up", "--prot", "1"])

    assert refused.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_the_verbs_lead_where_they_say(
    given: Servers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", given.database_url)
    monkeypatch.setenv("REDIS_URL", given.redis_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        codes = [stack.main(["up", "--port", str(taken.getsockname()[1])]), stack.main(["run", "sh", "-c", "exit 5"])]

    assert codes == [2, 5]
    assert "is taken" in capsys.readouterr().err
