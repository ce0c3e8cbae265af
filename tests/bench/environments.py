"""A virtual environment for each contender that cannot live in ours, from pinned and hashed requirements."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLACE = ROOT / ".dev" / "bench"


class MissingError(Exception):
    """A contender cannot take part, and why."""


def python_of(name: str) -> Path:
    """The interpreter of a contender: ours, or its own, made on first use and again when its requirements change."""
    requirements = HERE / f"requirements-{name}.txt"
    if not requirements.exists():
        return Path(sys.executable)
    place = PLACE / name
    stamp = place / "bench-stamp"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"bench: making the environment of {name} ...", file=sys.stderr, flush=True)
        make(place, requirements)
        stamp.write_text(wanted)
    return place / "bin" / "python"


def make(place: Path, requirements: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    python = place / "bin" / "python"
    wanted = ["--require-hashes", "-r", str(requirements)]
    if uv := shutil.which("uv"):
        run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        run([uv, "pip", "install", "--quiet", "--python", str(python), *wanted])
    else:
        run([sys.executable, "-m", "venv", str(place)])
        quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
        run([str(python), "-m", "pip", "install", *quiet, *wanted])


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise MissingError(f"{Path(command[0]).name} failed: {said[-1] if said else done.returncode}")
