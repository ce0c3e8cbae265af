"""The `xyte-mcp` command: its verbs, and one clear line for what is wrong."""

import runpy
import socket
import sys
from collections.abc import Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from fastapi import FastAPI

from app import cli, worker
from app.cli import main
from app.settings import Settings
from app.simulator.application import Application


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What the service needs, in the environment."""
    worker.default_settings.cache_clear()
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("KEY_PEPPER", "a pepper of at least thirty-two characters")
    monkeypatch.setenv("SEALING_KEYS", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=")
    yield monkeypatch
    worker.default_settings.cache_clear()


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_serve_runs_the_api_where_it_was_told_to(environment: pytest.MonkeyPatch) -> None:
    ran: list[uvicorn.Server] = []

    def run(server: uvicorn.Server) -> None:
        server.started = True
        ran.append(server)

    environment.setattr(uvicorn.Server, "run", run)

    code = main(["serve", "--host", "0.0.0.0", "--port", "9000"])

    (config,) = [server.config for server in ran]
    assert code == 0
    assert isinstance(config.app, FastAPI)
    assert (config.host, config.port) == ("0.0.0.0", 9000)
    assert (config.access_log, config.server_header) == (False, False)
    assert (config.loop, config.http) == ("uvloop", "httptools")


def test_serve_that_could_not_start_says_so_by_its_exit_code(environment: pytest.MonkeyPatch) -> None:
    def run(_server: uvicorn.Server) -> None:
        pass

    environment.setattr(uvicorn.Server, "run", run)

    assert main(["serve"]) == 3


def test_serve_ended_by_the_keyboard_shows_no_traceback(environment: pytest.MonkeyPatch) -> None:
    def run(_server: uvicorn.Server) -> None:
        raise KeyboardInterrupt

    environment.setattr(uvicorn.Server, "run", run)

    assert main(["serve"]) == 130


def test_the_worker_works_until_it_is_stopped(environment: pytest.MonkeyPatch) -> None:
    ran: list[Coroutine[Any, Any, None]] = []
    environment.setattr(uvloop, "run", ran.append)

    code = main(["worker"])

    assert code == 0
    assert [work.__name__ for work in ran] == ["work"]
    ran[0].close()


def test_the_simulator_runs_where_it_was_told_to(environment: pytest.MonkeyPatch) -> None:
    ran: list[uvicorn.Server] = []

    def run(server: uvicorn.Server) -> None:
        ran.append(server)

    environment.setattr(uvicorn.Server, "run", run)

    codes = [main(["simulator", "--port", "9001"]), main(["simulator"])]

    assert codes == [0, 0]
    assert [server.config.port for server in ran] == [9001, 8090]
    assert isinstance(ran[0].config.app, Application)


def test_migrate_goes_to_the_latest_revision_and_may_be_run_again(environment: pytest.MonkeyPatch) -> None:
    assert [main(["migrate"]), main(["migrate", "head"])] == [0, 0]


@pytest.mark.parametrize("verb", ["serve", "worker"])
def test_settings_that_are_wrong_are_one_clear_line_each(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    environment.delenv("REDIS_URL")
    environment.setenv("KEY_PEPPER", "a-short-secret")

    code = main([verb])

    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert lines == [
        "xyte-mcp: setting REDIS_URL: Field required",
        "xyte-mcp: setting KEY_PEPPER: Value should have at least 32 items after validation, not 14",
    ]


def test_settings_that_do_not_fit_together_are_one_clear_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("TASKS_LEASE_S", "1")

    code = main(["serve"])

    assert code == 2
    assert "TASKS_LEASE_S has to be longer than XYTE_TIMEOUT_S" in capsys.readouterr().err


def test_a_port_that_is_taken_ends_up_with_one_line(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], taken: int, tmp_path: Path
) -> None:
    code = main(["up", "--port", str(taken), "--data", str(tmp_path)])

    assert code == 2
    assert capsys.readouterr().err == f"xyte-mcp: port {taken} is taken: choose another with --port\n"


@pytest.mark.parametrize("given", ["0", "65536", "-1", "http", ""])
def test_a_port_is_a_port(capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["serve", f"--port={given}"])

    assert refusal.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_without_a_verb_the_verbs_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    shown = capsys.readouterr().out
    for verb in ("up", "serve", "worker", "migrate", "simulator"):
        assert f"\n    {verb}" in shown


def test_the_module_is_the_command(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setattr(sys, "argv", ["xyte-mcp", "--help"])

    with pytest.raises(SystemExit) as ending:
        runpy.run_path(str(cli.__file__), run_name="__main__")

    assert ending.value.code == 0
