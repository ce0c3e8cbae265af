"""The image without Docker: the Dockerfile's own instructions, carried out in a scratch folder."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

PROJECT = Path(__file__).resolve().parents[2]
DOCKERFILE = PROJECT / "Dockerfile"
FOLDERS = ("/opt/xyte-mcp", "/srv/xyte-mcp", "/build")
SETTINGS = {
    "KEY_PEPPER": "a pepper for tests, and for nothing else",
    "SEALING_KEYS": "bm90IGEgc2VjcmV0LCAzMiBieXRlcyBmb3IgdGVzdHM=",
    "XYTE_BASE_URL": "https://hub.xyte.test",
    "DRAIN_S": "0.5",
}


def instructions(stage: int) -> list[tuple[str, str]]:
    """What a stage of the Dockerfile does, one instruction a pair."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages = re.split(r"^FROM .*\n", text, flags=re.MULTILINE)
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in stages[stage].splitlines() if line.strip()
    ]


def the(name: str) -> str:
    """The one instruction of this name in the last stage."""
    return next(rest for instruction, rest in instructions(2) if instruction == name)


@dataclass(frozen=True)
class Image:
    """A folder that stands for the image's root."""

    root: Path

    def inside(self, text: str) -> str:
        """Paths of the image as paths here."""
        for folder in FOLDERS:
            text = text.replace(folder, f"{self.root}{folder}")
        return text

    def build(self, path: str) -> None:
        """Carry out the first stage."""
        for instruction, rest in instructions(1):
            if instruction == "COPY":
                source, target = rest.split()
                copy(PROJECT / source, Path(self.inside(target)))
            elif instruction == "RUN":
                self.run_line(rest, path)

    def run_line(self, line: str, path: str) -> None:
        """Carry out a RUN; what it installs is kept for the next time, for the same lock and Python."""
        key = hashlib.sha256(f"{line}{sys.version}{(PROJECT / 'requirements.lock').read_text()}".encode()).hexdigest()[
            :16
        ]
        kept = PROJECT / ".dev" / "image-test" / key
        installed = Path(self.inside("/opt/xyte-mcp"))
        if "pip" in line and kept.exists():
            shutil.copytree(kept, installed, symlinks=True)
            return
        environment = os.environ | {"PATH": f"{path}:{os.environ['PATH']}"}
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", self.inside(line)], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode and re.search(r"No matching distribution|Could not find|connection|resolve", done.stderr):
            pytest.skip(f"NOT RUN: the image's packages cannot be had here: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr[-2000:]
        if "pip" in line:
            shutil.rmtree(kept.parent, ignore_errors=True)
            shutil.copytree(installed, kept, symlinks=True)

    def environment(self, **more: str) -> dict[str, str]:
        """What the last stage's ENV and the operator give."""
        given = dict(pair.split("=", 1) for pair in the("ENV").split())
        given["PATH"] = given["PATH"].replace("$PATH", os.environ["PATH"])
        return {name: self.inside(value) for name, value in given.items()} | SETTINGS | more

    def command(self, *arguments: str) -> list[str]:
        """The image's entry point with its arguments."""
        program, *first = json.loads(the("ENTRYPOINT"))
        return [self.inside(f"/opt/xyte-mcp/bin/{program}"), *first, *arguments]


def copy(source: Path, target: Path) -> None:
    """What COPY does."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The built image."""
    folder = tmp_path_factory.mktemp("image")
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if subprocess.run([base, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"NOT RUN: {base} has no pip, so the image's packages cannot be installed here")
    (folder / "bin").mkdir()
    shim = folder / "bin" / "python"
    shim.write_text(f'#!/bin/sh\nexec "{base}" "$@"\n')
    shim.chmod(0o755)
    built = Image(folder / "root")
    built.build(str(folder / "bin"))
    interpreter = Path(built.inside("/opt/xyte-mcp/bin/xyte-mcp"))
    interpreter.write_text(built.inside(interpreter.read_text()))
    return built


def own(servers: tuple[str, str]) -> dict[str, str]:
    """The stores, as an operator names them."""
    return {"DATABASE_URL": servers[0], "REDIS_URL": servers[1]}


@contextmanager
def process(image: Image, environment: dict[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A process of the image."""
    started = subprocess.Popen(
        image.command(*arguments), env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def free_port() -> int:
    """A port nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, running: subprocess.Popen[str]) -> httpx.Response:
    """The first answer."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if running.poll() is not None:
            pytest.fail(f"ended with {running.returncode}: {running.communicate()[0][-2000:]}")
        try:
            return httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"{url} did not answer")


def test_it_migrates(image: Image, servers: tuple[str, str]) -> None:
    environment = image.environment(**own(servers))

    done = subprocess.run(
        image.command("migrate"), env=environment, cwd="/", capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_it_serves_passes_its_health_check_and_drains(image: Image, servers: tuple[str, str]) -> None:
    port = str(free_port())
    verb, *_ = json.loads(the("CMD"))
    environment = image.environment(**own(servers))
    check = json.loads(the("HEALTHCHECK").split("CMD", 1)[1])
    with process(image, environment, verb, "--host", "127.0.0.1", "--port", port) as running:
        page = wait_for(f"http://127.0.0.1:{port}/", running)

        healthy = subprocess.run([word.replace("8000", port) for word in check], env=environment, check=False)
        running.send_signal(getattr(signal, the("STOPSIGNAL")))

        assert running.wait(10) in (0, -signal.SIGTERM)
        assert healthy.returncode == 0
        assert "Xyte gateway" in page.text


def test_its_health_check_fails_where_nothing_listens(image: Image) -> None:
    check = json.loads(the("HEALTHCHECK").split("CMD", 1)[1])
    command = [word.replace("8000", str(free_port())) for word in check]

    assert subprocess.run(command, env=image.environment(), capture_output=True, check=False).returncode != 0


def test_it_works_and_stops_when_told(image: Image, servers: tuple[str, str]) -> None:
    port = free_port()
    environment = image.environment(**own(servers), WORKER_METRICS_PORT=str(port))
    with process(image, environment, "worker") as running:
        metrics = wait_for(f"http://127.0.0.1:{port}/metrics", running)

        running.terminate()

        assert running.wait(30) == 0
        assert "xyte_tasks" in metrics.text


def test_a_missing_setting_is_one_clear_line(image: Image) -> None:
    done = subprocess.run(image.command("serve"), env=image.environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "xyte-mcp: setting DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_it_runs_is_compiled_since_it_cannot_write(image: Image) -> None:
    application = Path(image.inside("/srv/xyte-mcp/app"))

    assert all(list(folder.glob("__pycache__/*.pyc")) for folder in {path.parent for path in application.rglob("*.py")})


def test_the_dockerignore_lets_through_what_is_copied() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}

    copied = {
        rest.split()[0]
        for stage in (1, 2)
        for name, rest in instructions(stage)
        if name == "COPY" and "--from" not in rest
    }

    assert all(any(path == folder or path.startswith(f"{folder}/") for folder in allowed) for path in copied)


def test_it_runs_as_an_ordinary_account_by_number() -> None:
    assert the("USER") == "10001:10001"


def test_the_base_is_an_argument_with_a_pinned_version() -> None:
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)

    assert base is not None
    assert re.fullmatch(r"python:3\.(11|12|13)-slim-\w+", base[1])
