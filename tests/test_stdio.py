"""`xyte-mcp stdio`: a client that starts us gets the tools, standard output carries nothing else, and it ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client

from app import stdio
from app.cli import main
from app.embedded import Guard
from app.errors import ConfirmationNeeded
from app.mcp import confirmation
from app.mcp.lines import Lines
from app.resources import open_resources
from app.settings import NO_POSTGRES, NO_REDIS, settings_alone
from app.simulator import ORGANIZATION_KEYS
from app.stack import answers, free_port

KEY = ORGANIZATION_KEYS[0]
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'


@pytest.fixture(scope="module")
def cloud_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The simulator as another process sees it."""
    port = free_port(0)
    with Guard() as guard:
        log = tmp_path_factory.mktemp("simulator") / "log"
        guard.start([sys.executable, "-m", "app.cli", "simulator", "--port", str(port)], log)
        while not answers(port, "/_simulator/health"):
            assert guard.is_alive()
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def environment(cloud_url: str) -> dict[str, str]:
    """A user's: a key, and no servers."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return kept | {"XYTE_API_KEY": KEY, "XYTE_BASE_URL": cloud_url}


def started(environment: dict[str, str], *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.cli", "stdio", *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_starts_it_and_calls(environment: dict[str, str], mode: Any) -> None:
    server = StdioServerParameters(command=sys.executable, args=["-m", "app.cli", "stdio"], env=environment)

    async with Client(stdio_client(server), mode=mode) as client:
        tools = await client.list_tools()
        devices = await client.call_tool("list_devices", {"per_page": 1})
        content: Any = devices.structured_content
        sent = await client.call_tool("send_command", {"device_id": content["items"][0]["id"], "name": "power_on"})
        task = await client.call_tool("get_task_status", {"task_id": "7b9bd1a4-9c56-4f2e-9f5e-0d5c2b4f6f11"})

    assert "send_command" in {tool.name for tool in tools.tools}
    assert not sent.is_error
    assert task.is_error
    assert "--embedded" in str(task.content)


def test_lines_in_lines_out_and_the_end_of_input_is_the_end(environment: dict[str, str]) -> None:
    process = started(environment | {"LOG_LEVEL": "INFO"}, "--read-only", "--toolsets", "devices")

    output, errors = process.communicate(LIST + b"nonsense", timeout=60)

    said = {message["id"]: message for message in map(orjson.loads, output.splitlines())}
    assert process.returncode == 0
    assert "send_command" not in str(said[1])
    assert said[None]["error"]["code"] == -32700
    assert b'"logger":"app.access"' in errors
    assert KEY.encode() not in errors


def test_sigterm_ends_it_in_good_order(environment: dict[str, str]) -> None:
    with started(environment) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(LIST)
        process.stdin.flush()
        assert process.stdout.readline()

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == b""


def test_a_client_that_is_gone_ends_it(environment: dict[str, str]) -> None:
    with started(environment) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        process.stdin.write(LIST)
        process.stdin.flush()

        assert process.wait(timeout=60) == 0


def test_with_embedded_servers_a_long_command_is_carried_out(environment: dict[str, str], tmp_path: Path) -> None:
    def call(process: subprocess.Popen[bytes], tool: str, **arguments: Any) -> Any:
        assert process.stdin
        assert process.stdout
        params = {"name": tool, "arguments": arguments}
        process.stdin.write(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}) + b"\n")
        process.stdin.flush()
        return orjson.loads(process.stdout.readline())["result"]["structuredContent"]

    with started(environment, "--embedded", "--data", str(tmp_path)) as process:
        device = call(process, "list_devices", per_page=1)["items"][0]["id"]
        task = call(process, "send_command_async", device_id=device, name="power_on")
        while task["state"] not in ("done", "error"):
            task = call(process, "get_task_status", task_id=task["id"], wait_seconds=10)
        second = started(environment, "--embedded", "--data", str(tmp_path))
        _, errors = second.communicate(b"", timeout=60)
        assert process.stdin
        process.stdin.close()

        assert process.wait(timeout=60) == 0

    assert task["state"] == "done"
    assert second.returncode == 2
    assert b"is in use by process" in errors
    assert KEY.encode() not in b"".join(log.read_bytes() for log in (tmp_path / "logs").glob("*"))


@pytest.mark.parametrize("key", ["", "too-short", "with a blank in it, and long enough for a key"])
def test_without_a_key_it_says_so_in_one_line(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XYTE_API_KEY", key)

    code = main(["stdio"])

    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1
    assert "XYTE_API_KEY" in error
    assert not key or key not in error


def test_a_toolset_that_there_is_not_ends_it_with_those_there_are(environment: dict[str, str]) -> None:
    process = started(environment, "--toolsets", "nonsense")

    output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (2, b"")
    assert b"There is no toolset 'nonsense'. Valid: all, " in errors


def test_a_folder_that_cannot_be_written_is_named(environment: dict[str, str]) -> None:
    process = started(environment, "--embedded", "--data", "/proc/nothing")

    _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert b"cannot write to /proc/nothing" in errors


def test_the_key_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XYTE_API_KEY", f" {KEY}\n")

    assert stdio.take_key() == KEY
    assert "XYTE_API_KEY" not in os.environ


def test_settings_need_nothing_and_take_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "KEY_PEPPER", "SEALING_KEYS", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)

    bare = settings_alone({})
    given = settings_alone({"REDIS_URL": "redis://there", "LOG_LEVEL": "DEBUG", "KEY_PEPPER": ""})

    assert (bare.database_url, bare.redis_url, bare.log_level) == (NO_POSTGRES, NO_REDIS, "WARNING")
    assert (given.database_url, given.redis_url, given.log_level) == (NO_POSTGRES, "redis://there", "DEBUG")
    assert bare.key_pepper != settings_alone({}).key_pepper


def test_data_lie_in_the_user_s_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")

    assert stdio.default_data() == Path("/home/someone/.local/state/xyte-mcp/stdio")


def test_of_a_line_that_is_too_long_only_too_much_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[bytes | None] = []
    receiver, sender = os.pipe()
    with closing(os.fdopen(sender, "wb")) as pipe:
        pipe.write(b"short\n" + b"x" * 50_000)
        pipe.flush()
        pipe.write(b"\nshort again\n" + b"last")
    monkeypatch.setattr(stdio, "READ_BYTES", 1_000)

    stdio.read_lines(receiver, lines.append, 20)
    stdio.read_lines(-1, lines.append, 20)

    assert [line and line[:11] for line in lines] == [b"short", b"xxxxxxxxxxx", b"short again", b"last", None, None]


async def test_what_needs_postgresql_says_so(resources: Any) -> None:
    async with open_resources(settings_alone({})) as alone:
        with pytest.raises(Exception, match="needs a PostgreSQL"):
            await alone.engine.connect()


# ── The same within this process ─────────────────────────────────────────────────────────────────────────────────────


def conversed(then: signal.Signals | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The answer over a pair of pipes; once it is there, the input ends or the signal comes."""
    source, to_us = os.pipe()
    from_us, output = os.pipe()
    drained: list[float] = []
    drain = Lines.drain

    def draining(self: Lines, within_s: float = 0) -> Any:
        drained.append(within_s)
        return drain(self, within_s or 20.0)

    def end() -> None:
        answer.append(pipe.readline())
        if then is None:
            os.close(to_us)
        else:
            os.kill(os.getpid(), then)

    monkeypatch.setattr(Lines, "drain", draining)
    answer: list[bytes] = []
    os.write(to_us, LIST)
    options = stdio.Options(read_only=True, toolsets="devices")
    with os.fdopen(from_us, "rb") as pipe:
        client = threading.Thread(target=end)
        client.start()
        uvloop.run(stdio.converse(settings_alone({}), options, KEY, (source, output)))
        client.join()
        os.close(output)
        assert pipe.read() == b""
    assert drained == [stdio.STOPPED_WITHIN_S if then else 0]
    return orjson.loads(answer[0])


@pytest.mark.parametrize("then", [None, signal.SIGTERM])
def test_a_conversation_ends_with_its_input_or_when_told(
    then: signal.Signals | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = conversed(then, monkeypatch)

    assert "get_device" in str(answer)
    assert "send_command" not in str(answer)


def test_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    source, to_us = os.pipe()
    from_us, output = os.pipe()
    os.close(from_us)
    os.write(to_us, LIST)

    uvloop.run(stdio.converse(settings_alone({}), stdio.Options(), KEY, (source, output)))

    os.close(output)
    os.close(to_us)


def test_whatever_prints_does_not_reach_the_client(capfd: pytest.CaptureFixture[str]) -> None:
    with stdio.protocol_alone_on_stdout() as output:
        os.write(1, b"noise")
        stdio.write_whole(output, b"protocol")
    os.write(1, b" and after")

    said = capfd.readouterr()
    assert (said.out, said.err) == ("protocol and after", "noise")


def test_servers_beside_it_give_their_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []

    @contextmanager
    def backing(data: Path, environment: dict[str, str]) -> Generator[dict[str, str]]:
        yield environment | {"REDIS_URL": f"redis://{data}"}

    async def converse(settings: Any, options: stdio.Options, key: str, _descriptors: object) -> None:
        seen.extend([settings.redis_url, options.headers(), key])

    monkeypatch.setattr(stdio.stack, "backing", backing)
    monkeypatch.setattr(stdio, "converse", converse)
    monkeypatch.setenv("XYTE_API_KEY", KEY)

    code = main(["stdio", "--embedded", "--data", str(tmp_path), "--tools", "whoami", "--exclude-tools", "search"])

    assert code == 0
    assert seen == [f"redis://{tmp_path}", {"x-mcp-tools": "whoami", "x-mcp-exclude-tools": "search"}, KEY]


def test_without_servers_it_starts_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def converse(settings: Any, *_: object) -> None:
        seen.append(settings.redis_url)

    monkeypatch.setattr(stdio, "converse", converse)
    monkeypatch.setenv("XYTE_API_KEY", KEY)
    monkeypatch.delenv("REDIS_URL", raising=False)

    assert main(["stdio"]) == 0
    assert seen == [NO_REDIS]


async def test_a_confirmation_counts_once_without_redis(cloud_url: str) -> None:
    async with open_resources(settings_alone({})) as alone:
        await confirmation.spend(alone, "nonce")
        with pytest.raises(ConfirmationNeeded):
            await confirmation.spend(alone, "nonce")
