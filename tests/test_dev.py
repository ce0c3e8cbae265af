"""The runner: from nothing but python3 to a command in an environment of the project's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dev

ROOT = Path(dev.__file__).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a space in its path that needs no package, and whose bench and command say who runs them."""
    folder = tmp_path / "a project"
    for name, text in {
        "requirements-dev.lock": "",
        "tests/__init__.py": "",
        "tests/bench.py": "import sys; print(sys.prefix, *sys.argv[1:], sys.flags.dont_write_bytecode)",
        "app/__init__.py": "",
        "app/cli.py": "import sys\ndef main():\n    print(sys.prefix, *sys.argv[1:])\n    return 3\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / "dev.py", folder)
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with a uv that makes a real environment and installs what can be had without a network: nothing."""
    folder = tmp_path / "tools"
    folder.mkdir()
    make = f'"{dev.base_python()}" -m venv --without-pip'
    refuse = "echo 'these hashes do not match'; exit 1"
    (folder / "uv").write_text(f"""#!/bin/sh
case "$1" in
  venv) for last; do :; done; exec {make} "$last" ;;
  pip) for last; do :; done; if grep -q wrong "$last"; then {refuse}; fi ;;
esac
""")
    (folder / "uv").chmod(0o755)
    return folder


def run(project: Path, *words: str, tools: Path | None = None) -> subprocess.CompletedProcess[str]:
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    environment = (
        os.environ | offline | {"PYTHONDONTWRITEBYTECODE": "1"} | ({"PATH": f"{tools}:/usr/bin:/bin"} if tools else {})
    )
    command = [sys.executable, str(project / "dev.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, check=False)


def test_an_environment_is_made_once_and_again_when_it_is_broken(project: Path, tools: Path) -> None:
    first = run(project, "bench", "--quick", tools=tools)
    second = run(project, "bench", tools=tools)
    (project / ".venv" / "bin" / "python").unlink()
    third = run(project, "bench", tools=tools)
    (project / "requirements-dev.lock").write_text("# nothing yet\n")
    fourth = run(project, "bench", tools=tools)

    prefix = project / ".venv"
    assert first.stdout.splitlines()[-1] == f"{prefix} --quick 0"
    assert "making .venv …" in first.stdout
    assert second.stdout == f"{prefix} 0\n"
    assert "making .venv …" in third.stdout
    assert "making .venv …" not in fourth.stdout
    assert "installing 0 packages …" in fourth.stdout
    assert [done.stderr for done in (first, second, third, fourth)] == [""] * 4


def test_the_project_becomes_a_command(project: Path, tools: Path) -> None:
    run(project, "bench", tools=tools)

    command = [project / ".venv" / "bin" / "xyte-mcp", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)

    assert (done.returncode, done.stdout, done.stderr) == (3, f"{project / '.venv'} doctor\n", "")


def test_what_cannot_be_installed_ends_with_one_clear_line(project: Path, tools: Path) -> None:
    (project / "requirements-dev.lock").write_text("wrong==1.0\n")

    done = run(project, "bench", tools=tools)

    assert done.returncode == 1
    assert done.stdout.count("installing 1 packages") == 2, "pip comes after uv"
    assert done.stderr.splitlines()[-1] == "dev.py: installing 1 packages failed"
    assert not (project / ".venv" / "xyte.stamp").exists()


def test_an_unknown_verb_names_the_known_ones() -> None:
    done = run(ROOT, "pu")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in dev.VERBS)


@pytest.mark.parametrize("words", [[], ["help"], ["--help"]])
def test_help_has_a_line_for_every_verb(words: list[str]) -> None:
    done = run(ROOT, *words)

    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout and verb.__doc__ for name, verb in dev.VERBS.items())


def test_a_migration_has_to_say_what_it_does() -> None:
    done = run(ROOT, "migration")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_another_python_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "RUNNING", (3, 10))

    with pytest.raises(SystemExit) as refused:
        dev.main(["help"])

    assert refused.value.code == 2


def test_uv_is_taken_first(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tools))

    make, uv, _ = dev.commands(tools / "venv")

    assert make[:2] == [str(tools / "uv"), "venv"]
    assert uv == [str(tools / "uv")]


def test_without_uv_a_pip_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    make, uv, pip = dev.commands(tmp_path / "venv")

    assert make[1] == "-m"
    assert uv == []
    assert pip[1:3] == ["-m", "pip"]


@pytest.mark.parametrize(
    ("broken", "used"),
    [("", ["fetching uv", "installing"]), ("uv", ["fetching uv", "installing", "installing"])],
)
def test_uv_is_fetched_and_where_it_does_not_work_pip_goes_on(
    broken: str, used: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, list[str]]] = []

    def record(what: str, command: list[str], *, may_fail: bool = False) -> bool:
        commands.append((what.partition(" 1")[0], command))
        return not (may_fail and broken and command[0].endswith(f"/{broken}"))

    monkeypatch.setattr(dev, "run_quietly", record)

    dev.install(tmp_path, [], ["pip"])

    assert [what for what, _ in commands] == used
    assert all("--require-hashes" in command for _, command in commands)
    assert dev.locked("uv").startswith("uv==")
    assert dev.locked("uv").count("==") == 1
    assert "sha256:" in (tmp_path / "uv.txt").read_text()
    assert commands[-1][1][0] == ("pip" if broken else str(tmp_path / "bin" / "uv"))


def test_an_environment_of_another_python_or_folder_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    version, folder, packages = dev.stamp().splitlines()
    verdicts: list[tuple[bool, bool]] = []

    for lines in (
        [version, folder, packages],
        [version, folder, "others"],
        ["3.10", folder, packages],
        [version, "/x", ""],
    ):
        (tmp_path / "xyte.stamp").write_text("\n".join([*lines, ""]))
        verdicts.append((dev.is_current(tmp_path), dev.is_ours(tmp_path)))

    assert verdicts == [(True, True), (False, True), (False, False), (False, False)]


def test_where_the_project_is_read_only_everything_goes_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COVERAGE_FILE", "RUFF_CACHE_DIR", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(dev, "PROJECT", tmp_path / "nobody may write here")

    dev.spare_the_project()

    assert dev.environment_folder().is_relative_to(tmp_path / "xyte-mcp")
    assert os.environ["COVERAGE_FILE"] == str(dev.cache_folder() / "coverage")


def test_where_nothing_can_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(SystemExit) as refused:
        dev.cache_folder()

    assert refused.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
