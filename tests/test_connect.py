"""`xyte-mcp connect`: each client's configuration in its own words, and files that keep all that others put there."""

import json
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app import connect
from app.cli import CLIENT_NAMES, main
from app.connect import CLIENTS, KEY_HEADER, PLACEHOLDER, Wish, entry_of
from app.jsonc import parsed

URL = "https://gateway.example.com/mcp"
SECRET = "fake-key-that-a-person-put-into-the-file-0001"
WITH_FILES = [name for name, client in CLIENTS.items() if client.place]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XYTE_API_KEY", SECRET)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("CODEX_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str, client: str) -> Any:
    """The servers in a file, as its client reads them."""
    document: Any = tomllib.loads(text) if CLIENTS[client].language == "toml" else parsed(text).value
    return document[CLIENTS[client].at[0]]


def written(client: str, *words: str) -> tuple[int, str]:
    code = main(["connect", client, *words, "--write", "--file", "file"])
    return code, Path("file").read_text() if Path("file").exists() else ""


def test_the_command_knows_every_client() -> None:
    assert tuple(CLIENTS) == CLIENT_NAMES


@pytest.mark.parametrize("client", CLIENT_NAMES)
def test_http_carries_the_key_by_reference(client: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", client, "--url", URL, "--read-only", "--toolsets", "devices"]) == 0

    said = capsys.readouterr()
    entry = read(said.out, client)["xyte"]
    flat = json.dumps(entry)
    assert URL in flat
    assert KEY_HEADER in flat
    assert "X-MCP-Readonly" in flat
    assert "devices" in flat
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize("client", [name for name in CLIENT_NAMES if name != "mcp-remote"])
def test_stdio_starts_us_and_names_the_variable(client: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--read-only", "--toolsets", "devices", "--embedded", "--name", "av"]

    assert main(["connect", client, *words]) == 0

    entry = read(capsys.readouterr().out, client)["av"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"][-5:] == ["stdio", "--toolsets", "devices", "--read-only", "--embedded"]
    assert "XYTE_API_KEY" in json.dumps({name: entry.get(name) for name in ("env", "env_vars")})


@pytest.mark.parametrize("client", WITH_FILES)
def test_each_client_has_its_file_and_writing_twice_changes_nothing(
    client: str, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["connect", client, "--url", URL, "--write"]) == 0
    path = Path(capsys.readouterr().err.split(" was written")[0])
    first = path.read_bytes()
    assert main(["connect", client, "--url", URL, "--write"]) == 0

    assert path.is_relative_to(own_home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "says so already" in capsys.readouterr().err
    assert path.read_bytes() == first
    assert not list(path.parent.glob("*.bak"))


@pytest.mark.parametrize("client", [name for name in CLIENT_NAMES if CLIENTS[name].language == "json"])
def test_what_others_put_there_stays_byte_for_byte_beside_a_backup(client: str) -> None:
    at = CLIENTS[client].at[0]
    before = f'{{\n  // mine\n  "theme": "dark",\n  "{at}": {{\n    "other": {{"command": "x"}},\n  }},\n}}\n'
    Path("file").write_text(before)
    Path("file").chmod(0o640)

    code, after = written(client, "--url", URL)

    assert code == 0
    assert set(read(after, client)) == {"other", "xyte"}
    assert all(line in after for line in before.splitlines())
    assert stat.S_IMODE(Path("file").stat().st_mode) == 0o640
    assert [path.read_text() for path in Path.cwd().glob("file.*.bak")] == [before]


def test_toml_keeps_comments_and_other_tables_and_replaces_ours() -> None:
    kept = '# mine\nmodel = "o5"\n\n[mcp_servers.other]\ncommand = "x"  # stays\n'
    ours = '\n[mcp_servers.xyte]\nurl = "http://old"\nstartup_timeout_sec = 9\n\n[mcp_servers.xyte.env]\nA = "1"\n'
    Path("file").write_text(kept + ours + "\n[tools]\nweb = true\n")

    code, after = written("codex", "--url", URL)
    again, unchanged = written("codex", "--url", URL)

    assert (code, again) == (0, 0)
    assert after.startswith(kept)
    assert tomllib.loads(after)["tools"] == {"web": True}
    assert read(after, "codex")["xyte"] == {
        "startup_timeout_sec": 9,
        "env": {"A": "1"},
        "url": URL,
        "env_http_headers": {KEY_HEADER: "XYTE_API_KEY"},
    }
    assert unchanged == after


@pytest.mark.parametrize(
    "text", ["mcp_servers = { xyte = { url = 'x' } }\n", "[mcp_servers]\nxyte.url = 'x'\n", "not toml ="]
)
def test_toml_in_a_way_of_its_own_is_left_alone(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text(text)

    assert written("codex", "--url", URL) == (1, text)
    assert "was left alone" in capsys.readouterr().err


def test_json_that_cannot_be_read_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("{nonsense")

    assert written("cursor") == (1, "{nonsense")
    assert "line 1 is not JSON" in capsys.readouterr().err


@pytest.mark.parametrize("client", ["claude-desktop", "zed"])
def test_a_key_that_its_owner_put_in_and_what_else_is_theirs_stay(client: str) -> None:
    written(client)
    mine = Path("file").read_text().replace(PLACEHOLDER, SECRET).replace('"args"', '"disabled": true, "args"')
    Path("file").write_text(mine.replace('"env": {', '"env": {"XYTE_BASE_URL": "https://eu",'))

    _, after = written(client, "--read-only")

    entry = read(after, client)["xyte"]
    assert entry["env"] == {"XYTE_API_KEY": SECRET, "XYTE_BASE_URL": "https://eu"}
    assert entry["disabled"] is True
    assert entry["args"] == ["stdio", "--read-only"]


def test_headers_keep_the_key_and_lose_an_old_choice() -> None:
    written("zed", "--url", URL, "--read-only")
    Path("file").write_text(Path("file").read_text().replace(PLACEHOLDER, SECRET))

    _, after = written("zed", "--url", URL)

    assert read(after, "zed")["xyte"]["headers"] == {KEY_HEADER: SECRET}


def test_vs_code_asks_its_person_once() -> None:
    Path("file").write_text('{"inputs": [{"id": "xyte-key", "type": "promptString", "description": "mine"}]}')

    _, after = written("vscode", "--url", URL)

    assert [row["description"] for row in parsed(after).value["inputs"]] == ["mine"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mcp-remote"], "needs the gateway's address"),
        (["mcp-remote", "--url", URL, "--write"], "has no file of its own"),
        (["cursor", "--url", "gateway"], "--url is an address"),
        (["cursor", "--url", f"{URL}?key=x"], "without a key in it"),
        (["cursor", "--name", "a b"], "is no name"),
        (["cursor", "--write", "--file", "/proc/nothing/file"], "/proc/nothing"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect", *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_backups_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")

    assert len({connect.saved(path) for _ in range(3)}) == 3


def test_a_bridge_over_plain_http_says_so() -> None:
    assert "--allow-http" in entry_of("mcp-remote", Wish(url="http://127.0.0.1:8000/mcp"))["args"]


def test_a_file_is_found_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"HOME": "/h", "APPDATA": "/a"}

    monkeypatch.setattr(sys, "platform", "darwin")
    assert connect.desktop_file(there) == Path("/h/Library/Application Support/Claude/claude_desktop_config.json")
    assert connect.zed_file(there) == Path("/h/.config/zed/settings.json")
    monkeypatch.setattr(sys, "platform", "win32")
    assert connect.desktop_file(there) == Path("/a/Claude/claude_desktop_config.json")
    assert connect.zed_file(there) == Path("/a/Zed/settings.json")


def test_without_a_command_our_module_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(connect.shutil, "which", nowhere)

    assert connect.our_program() == (sys.executable, "-m", "app.cli")
