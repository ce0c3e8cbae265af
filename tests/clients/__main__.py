"""`dev.py clients`: every client against two replicas behind a proxy that takes turns, as a table."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.command import NOT_OFFERED, Curl, Inspector
from tests.clients.stage import EXHAUSTED, Stage, stage
from tests.tools import MissingError, ToolError, node, node_modules, python_of, run

HERE = Path(__file__).parent
COLUMNS = ("list", "call", "error", "401", "429", "progress", "resource", "prompt")
WITHIN_S = 120.0

Task = dict[str, Any]
Seen = dict[str, str]


def python(name: str, folder: str | None, requirements: Path) -> Callable[[Task], Seen]:
    """A Python client in its environment; none is ours."""

    def see(task: Task) -> Seen:
        program = python_of(f"clients-{folder}", requirements) if folder else Path(sys.executable)
        return last_line([program, HERE / "callers" / "client.py", name], task)

    return see


def typescript(name: str) -> Callable[[Task], Seen]:
    def see(task: Task) -> Seen:
        modules = node_modules("clients", HERE / "node" / "package-lock.json")
        package = json.loads((modules / "@modelcontextprotocol" / "client" / "package.json").read_text())
        task = task | {"modules": str(modules), "client2": entry_of(package)}
        return last_line([node(), HERE / "callers" / "client.mjs", name], task)

    return see


def entry_of(package: dict[str, Any]) -> str:
    """Where a package's code for `import` lies."""
    entry: Any = package["exports"]["."]
    while not isinstance(entry, str):
        entry = entry.get("import") or entry["default"]
    return entry


def inspector(era: str) -> Callable[[Task], Seen]:
    def see(task: Task) -> Seen:
        package = node_modules("clients", HERE / "node" / "package-lock.json") / "@modelcontextprotocol" / "inspector"
        bins = json.loads((package / "package.json").read_text())["bin"]
        script = package / (bins if isinstance(bins, str) else next(iter(bins.values())))
        return Inspector([node(), script], task, era).run()

    return see


def curl(task: Task) -> Seen:
    command = shutil.which("curl")
    if command is None:
        raise MissingError("there is no curl")
    return Curl(command, task).run()


def last_line(words: list[str | Path], task: Task) -> Seen:
    """What a client's script says at its end."""
    said = run(words, folder=HERE, environment={"MATRIX": json.dumps(task)}, timeout_s=WITHIN_S)
    return json.loads(said.strip().splitlines()[-1])


FASTMCP = HERE.parent / "bench" / "requirements-fastmcp.txt"
CLIENTS: dict[str, Callable[[Task], Seen]] = {
    "mcp 2.3, auto": python("mcp2-auto", None, HERE),
    "mcp 2.3, legacy": python("mcp2-legacy", None, HERE),
    "mcp 1.30": python("mcp1", "mcp1", HERE / "requirements-mcp1.txt"),
    "fastmcp 4.1": python("fastmcp", "fastmcp", FASTMCP),
    "TypeScript 1.32": typescript("ts1"),
    "TypeScript 2.4": typescript("ts2"),
    "TypeScript 2.4, auto": typescript("ts2-auto"),
    "Inspector 2.12": inspector("legacy"),
    "Inspector 2.12, modern": inspector("modern"),
    "curl": curl,
}


def see(name: str, number: int, place: Stage) -> Seen:
    """One client's row; both replicas must have had their turns."""
    before = place.turns()
    place.exhaust()
    task: Task = {"url": f"{place.url}/mcp", "key": place.key, "exhausted": EXHAUSTED}
    try:
        seen = CLIENTS[name](task | {"device": place.devices[number % len(place.devices)]})
    except MissingError as missing:
        return dict.fromkeys(COLUMNS, "skipped") | {"why": str(missing)}
    except (ToolError, subprocess.TimeoutExpired, ValueError, LookupError) as error:
        return dict.fromkeys(COLUMNS, "FAILED") | {"why": str(error)[-1_500:]}
    if 0 in [after - had for after, had in zip(place.turns(), before, strict=True)]:
        seen["why"] = "FAILED: one replica was never asked"
    return seen


def main(names: list[str]) -> int:
    if unknown := set(names) - CLIENTS.keys():
        print(f"clients: there is no {', '.join(unknown)}; there are {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    os.environ.pop("PYTEST_VERSION", None)
    with stage() as place:
        print(row("", COLUMNS), flush=True)
        table: dict[str, Seen] = {}
        for number, name in enumerate(names or CLIENTS):
            table[name] = see(name, number, place)
            print(row(name, [shown(table[name].get(column, "FAILED")) for column in COLUMNS]), flush=True)
    return judge(table)


def row(name: str, cells: tuple[str, ...] | list[str]) -> str:
    return f"{name:<24}" + "".join(f"{cell:<13}" for cell in cells)


def shown(outcome: str) -> str:
    """A cell; what went wrong is told below the table."""
    if outcome in ("ok", NOT_OFFERED, "skipped"):
        return outcome
    return "ok, silent" if outcome.startswith("ok") else "FAILED"


def judge(table: dict[str, Seen]) -> int:
    """What went wrong, how often, and the exit code: 1 for a failure, 3 where a client could not be had."""
    failed = skipped = passed = absent = 0
    for name, seen in table.items():
        if why := seen.get("why"):
            print(f"\n{name}: {why}")
            failed += why.startswith("FAILED")
        for column in COLUMNS:
            outcome = seen.get(column, "FAILED: not reported")
            cell = shown(outcome)
            passed += cell.startswith("ok")
            skipped += cell == "skipped"
            absent += cell == NOT_OFFERED
            failed += cell == "FAILED"
            if cell == "FAILED" and outcome != "FAILED":
                print(f"\n{name}, {column}: {outcome[:1_000]}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped" + (f"; {absent} not offered" if absent else ""))
    return 1 if failed else 3 if skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
