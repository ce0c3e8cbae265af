#!/usr/bin/env python3
"""The one runner, by hand and in CI: it needs nothing but python3 and prepares everything else itself."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT = Path(__file__).resolve().parent
LOCK = PROJECT / "requirements-dev.lock"
OLDEST, NEWEST = (3, 11), (3, 13)
RUNNING = sys.version_info[:2]
PROBLEM_LINES = 15
# uv trusts the authorities that this machine trusts, as pip does; older and newer versions call it differently.
TRUSTED = {"UV_NATIVE_TLS": "true", "UV_SYSTEM_CERTS": "true"}

# Runs a command that ends when our end of its pipe closes, however we ended.
TIED = """
import os, signal, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
def watch():
    sys.stdin.read()
    os.killpg(child.pid, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
os._exit(child.wait() != 0)
"""


# ── The verbs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def up(arguments: list[str]) -> NoReturn:
    """Run everything on this machine until Ctrl-C [--port N] [--data DIR] [--fresh]."""
    become(python(), "-P", "-m", "app.stack", "up", *arguments)


def test(arguments: list[str]) -> NoReturn:
    """Run the tests against servers of their own, three side by side; further words go to pytest."""
    ours = not {"DATABASE_URL", "REDIS_URL"} & os.environ.keys()  # or the tests would need several databases there
    everything = not any("/" in word for word in arguments)
    side_by_side = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"] if ours and everything else []
    with_servers(python(), "-m", "pytest", *side_by_side, *arguments)


def check(_: list[str]) -> int:
    """Look at format, lint, types and import contracts; all of them, whatever the first says."""
    return max(
        report("format", "-m", "ruff", "format", "--check"),
        report("lint", "-m", "ruff", "check"),
        report("types", "-m", "basedpyright"),
        report("imports", "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"),
    )


def format_(_: list[str]) -> int:
    """Put all files into the one format, and repair what lint can."""
    return max(tool("-m", "ruff", "check", "--fix-only", "--quiet"), tool("-m", "ruff", "format"))


def snapshots(arguments: list[str]) -> NoReturn:
    """Write the snapshots of all operations anew; the difference shows what was promised."""
    os.environ["UPDATE_SNAPSHOTS"] = "1"
    with_servers(python(), "-m", "pytest", "--no-cov", "tests/test_surface.py", "tests/test_readme.py", *arguments)


def migration(arguments: list[str]) -> NoReturn:
    """Write a migration from the difference between the models and the migrations so far: migration "message"."""
    if len(arguments) != 1:
        fail('say what it does: python3 dev.py migration "add presets"', 2)
    alembic = f"{shlex.quote(python())} -m alembic"
    os.chdir(PROJECT)
    with_servers("/bin/sh", "-c", f'{alembic} upgrade head && {alembic} revision --autogenerate -m "$0"', arguments[0])


def tour(_: list[str]) -> NoReturn:
    """Show the story in this terminal: find a room, start it, break it, diagnose it, shut it down."""
    become(python(), "-P", "-m", "app.tour")


def bench(arguments: list[str]) -> NoReturn:
    """Measure the gateway beside its contenders; further words go to the bench."""
    os.chdir(PROJECT)
    become(python(), "-m", "tests.bench", *arguments)


def faults(arguments: list[str]) -> NoReturn:
    """Do harm to real processes and see that no command is lost or sent twice [--quick] [run ...]."""
    os.chdir(PROJECT)
    become(python(), "-m", "tests.faults", *arguments)


def sdk(arguments: list[str]) -> NoReturn:
    """Generate clients in Python and TypeScript, check and try them: sdk FOLDER."""
    become(python(), "-P", "-m", "tests.sdk", *arguments)


def clients(arguments: list[str]) -> NoReturn:
    """Try real clients against two replicas behind a proxy, and print the table; further words name single ones."""
    become(python(), "-P", "-m", "tests.clients", *arguments)


def conformance(arguments: list[str]) -> NoReturn:
    """Run the protocol's official suite against the endpoint's fixtures and the running service."""
    become(python(), "-P", "-m", "tests.conformance", *arguments)


def fuzz(arguments: list[str]) -> NoReturn:
    """Send 5,000 generated requests to the running service [--requests N] [--seconds N] [--seed N]."""
    become(python(), "-P", "-m", "tests.fuzz", *arguments)


def deploy_check(arguments: list[str]) -> NoReturn:
    """Look at deploy/ with the programs that will read it; further words name single checks."""
    os.chdir(PROJECT)
    become(python(), "-m", "tests.deploy.check", *arguments)


def docs(arguments: list[str]) -> NoReturn:
    """Build the documentation's site, strictly, into .dev/site or the folder that is named."""
    os.chdir(PROJECT)
    become(python(), "-m", "tests.site", "docs", *arguments)


def collections(arguments: list[str]) -> NoReturn:
    """Write collections for Postman and Bruno: collections FOLDER."""
    become(python(), "-P", "-m", "tests.site", "collections", *arguments)


def sbom(arguments: list[str]) -> NoReturn:
    """Write what the image contains, as CycloneDX and as a table of licences: sbom FOLDER."""
    become(python(), "-P", "-m", "tests.supply", "sbom", *arguments)


def audit(arguments: list[str]) -> NoReturn:
    """Ask for known weaknesses of what the locks name; a package that is skipped counts as one [--required]."""
    become(python(), "-P", "-m", "tests.supply", "audit", *arguments)


def dashboard(arguments: list[str]) -> NoReturn:
    """Draw the dashboard from a stack to which things happen: dashboard FILE.png."""
    become(python(), "-P", "-m", "tests.deploy.dashboard", *arguments)


def lock(_: list[str]) -> int:
    """Write the locks anew, from pyproject.toml (needs uv) and from each package.json (needs npm)."""
    uv = shutil.which("uv") or fail("lock needs uv: pip install uv")
    command = [uv, "pip", "compile", "-q", "--universal", "--generate-hashes", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--python-version", "3.11", "pyproject.toml", "-o"]
    for extra in (["requirements.lock", "--extra", "traces"], ["requirements-dev.lock", "--all-extras"]):
        if code := subprocess.run([*command, *extra], cwd=PROJECT, check=False).returncode:
            return code
    npm = shutil.which("npm") or fail("lock needs npm for the tests' packages")
    for file in (PROJECT / "tests").rglob("package-lock.json"):
        if code := subprocess.run([npm, "install", "--package-lock-only"], cwd=file.parent, check=False).returncode:
            return code
        file.write_text(without_addresses(file.read_text()))
    return 0


def without_addresses(lock: str) -> str:
    """A package-lock.json that names packages, versions and hashes, and no place where they may be had."""
    content = json.loads(lock)
    for package in content["packages"].values():
        for address in ("resolved", "funding"):
            package.pop(address, None)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def help_(_: list[str]) -> int:
    """Say what there is."""
    print("usage: python3 dev.py VERB [...]\n")
    for name, verb in VERBS.items():
        print(f"  {name:<12} {verb.__doc__}")
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "up": up,
    "test": test,
    "check": check,
    "format": format_,
    "snapshots": snapshots,
    "migration": migration,
    "tour": tour,
    "bench": bench,
    "faults": faults,
    "sdk": sdk,
    "clients": clients,
    "conformance": conformance,
    "fuzz": fuzz,
    "deploy-check": deploy_check,
    "docs": docs,
    "collections": collections,
    "sbom": sbom,
    "audit": audit,
    "dashboard": dashboard,
    "lock": lock,
    "help": help_,
}
"""Add a verb: a function with one sentence, and its line here."""


def main(arguments: Sequence[str]) -> int:
    if not OLDEST <= RUNNING <= NEWEST:
        fail(f"needs Python 3.11, 3.12 or 3.13; this is {RUNNING[0]}.{RUNNING[1]}", 2)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    name, *rest = arguments or ["help"]
    verb = VERBS.get("help" if name in {"-h", "--help"} else name)
    if verb is None:
        fail(f"there is no verb {name!r}; there are {', '.join(VERBS)}", 2)
    spare_the_project()
    return verb(rest)


def fail(message: str, code: int = 1) -> NoReturn:
    print(f"dev.py: {message}", file=sys.stderr)
    raise SystemExit(code)


# ── Running things in the virtual environment ────────────────────────────────────────────────────────────────────────


def become(*command: str) -> NoReturn:
    """Turn into a command, so that a signal to us is a signal to it."""
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  without a shell is how it is meant


def with_servers(*command: str) -> NoReturn:
    """Turn into a command that has a PostgreSQL and a Redis of its own."""
    os.chdir(PROJECT)
    become(python(), "-P", "-m", "app.stack", "run", *command)


def tool(*arguments: str) -> int:
    return subprocess.run([python(), *arguments], cwd=PROJECT, check=False).returncode


def report(name: str, *arguments: str) -> int:
    """Run a check: one line if all is well, everything it says if not."""
    began = time.monotonic()
    done = subprocess.run([python(), *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    print(f"{name:<8} {'failed' if done.returncode else 'ok'}  {time.monotonic() - began:.1f} s", flush=True)
    if done.returncode:
        print(done.stdout + done.stderr, flush=True)
    return min(done.returncode, 1)


# ── The virtual environment ──────────────────────────────────────────────────────────────────────────────────────────


def python() -> str:
    """The Python of a virtual environment in which everything the lock names is installed."""
    home = environment_folder()
    if not is_current(home):
        # Two of us would be in each other's way; the file that both want is as good a lock as any.
        with LOCK.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not is_current(home):
                build(home)
    return str(home / "bin" / "python")


def environment_folder() -> Path:
    """`.venv`, or a folder in the user's cache where the project is read-only."""
    if os.access(PROJECT, os.W_OK) or is_current(PROJECT / ".venv"):
        return PROJECT / ".venv"
    return cache_folder() / "venv"


def cache_folder() -> Path:
    """What we keep for this project outside of it."""
    digest = hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "xyte-mcp", digest)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        fail(f"cannot write to {PROJECT}, nor to {cache}: copy the project to where you may write", 2)
    return cache


def spare_the_project() -> None:
    """Where the project is read-only, let every tool keep its caches elsewhere."""
    if not os.access(PROJECT, os.W_OK):
        cache = cache_folder()
        os.environ["COVERAGE_FILE"] = str(cache / "coverage")
        os.environ["RUFF_CACHE_DIR"] = str(cache / "ruff")
        os.environ["PYTEST_ADDOPTS"] = f"-o 'cache_dir={cache / 'pytest'}'"


def stamp() -> str:
    """What a virtual environment is for, on two lines, and what is installed in it."""
    return f"{RUNNING[0]}.{RUNNING[1]}\n{PROJECT}\n{hashlib.sha256(LOCK.read_bytes()).hexdigest()}\n"


def is_current(home: Path) -> bool:
    return stamp_of(home) == stamp()


def is_ours(home: Path) -> bool:
    """Whether it fits this Python and this folder, so that installing is enough."""
    return stamp_of(home).splitlines()[:2] == stamp().splitlines()[:2]


def stamp_of(home: Path) -> str:
    with suppress(OSError):
        if (home / "bin" / "python").exists():
            return (home / "xyte.stamp").read_text()
    return ""


def stopped(number: int, _frame: object) -> NoReturn:
    fail("stopped", 128 + number)


def build(home: Path) -> None:
    """Make the environment, or bring one of ours up to the lock."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopped)
    make, uv, pip = commands(home)
    if not is_ours(home):
        shutil.rmtree(home, ignore_errors=True)
        run_quietly(f"making {home.name}", make)
    install(home, uv, pip)
    add_project(home)
    (home / "xyte.stamp").write_text(stamp())


def commands(home: Path) -> tuple[list[str], list[str], list[str]]:
    """How to make the environment, and the uv and the pip that this machine has to install into it."""
    outer, inner = base_python(), str(home / "bin" / "python")
    pip = [outer, "-m", "pip", "--python", inner] if importlib.util.find_spec("pip") else []
    if uv := shutil.which("uv"):
        return [uv, "venv", "--quiet", "--python", outer, str(home)], [uv], pip
    if pip:
        return [outer, "-m", "venv", "--without-pip", str(home)], [], pip
    for module, name in (("ensurepip", "venv"), ("virtualenv", "virtualenv")):
        if importlib.util.find_spec(module):
            return [outer, "-m", name, str(home)], [], [inner, "-m", "pip"]
    fail("this python3 has neither pip nor venv: install uv, or on Debian and Ubuntu: apt install python3-venv")


def install(home: Path, uv: list[str], pip: list[str]) -> None:
    """Install what the lock names: by uv, which takes a sixth of pip's time, and by pip where uv does not work."""
    by_pip = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "-r"]
    if not uv:
        own, only_uv = home / "bin" / "uv", home / "uv.txt"
        only_uv.write_text(locked("uv"))
        if own.exists() or run_quietly("fetching uv", [*pip, *by_pip, str(only_uv)], may_fail=True):
            uv = [str(own)]
    what = f"installing {sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())} packages"
    into = ["--compile-bytecode", "--python", str(home / "bin" / "python"), "--quiet", "--require-hashes", "-r"]
    if not (uv and run_quietly(what, [*uv, "pip", "install", *into, str(LOCK)], may_fail=bool(pip))):
        run_quietly(what, [*pip, *by_pip, str(LOCK)])


def locked(package: str) -> str:
    """What the lock says of one package."""
    found = re.search(rf"^{package}==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def base_python() -> str:
    """The Python that stays when the environment that may be running us is made anew."""
    base = Path(sys.base_prefix, "bin", f"python{RUNNING[0]}.{RUNNING[1]}")
    return str(base) if sys.prefix != sys.base_prefix and base.exists() else sys.executable


def run_quietly(what: str, command: list[str], *, may_fail: bool = False) -> bool:
    """Run a command that takes a while, and say whether it worked; it ends when we do.

    Its words are shown only if it fails and there is no other way.
    """
    began = time.monotonic()
    print(f"{what} …", end="", flush=True)
    kept_out = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", TIED, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=TRUSTED | {name: value for name, value in os.environ.items() if name not in kept_out},
            start_new_session=True,
        )
        with child:
            while child.poll() is None:
                show_progress(what, time.monotonic() - began)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(0.2)
        print(f" {time.monotonic() - began:.1f} s{' without success' if child.returncode else ''}")
        if child.returncode and not may_fail:
            output.seek(0)
            print("".join(output.readlines()[-PROBLEM_LINES:]).strip(), file=sys.stderr)
            fail(f"{what} failed")
    return child.returncode == 0


def show_progress(what: str, seconds: float) -> None:
    if sys.stdout.isatty():
        print(f"\r{what} … {seconds:.0f} s\r{what} …", end="", flush=True)


def add_project(home: Path) -> None:
    """Make `app` importable and `xyte-mcp` a command, without a build."""
    site = home / "lib" / f"python{RUNNING[0]}.{RUNNING[1]}" / "site-packages"
    (site / "xyte.pth").write_text(f"{PROJECT}\n")
    command = home / "bin" / "xyte-mcp"
    program = shlex.quote(str(home / "bin" / "python"))
    # The shell finds a Python in a path with spaces, which a first line cannot name; to Python it is a string.
    command.write_text(
        f"""#!/bin/sh
'''exec' {program} "$0" "$@"
' '''
import sys
from app.cli import main

sys.exit(main())
"""
    )
    command.chmod(0o755)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        fail("stopped", 130)
