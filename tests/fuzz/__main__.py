"""`dev.py fuzz`: generated requests, all checks of schemathesis, until there were enough of them or time is up."""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.openapi import TAGS
from tests.fuzz.aim import settings
from tests.fuzz.report import Report
from tests.service import Service, running_service
from tests.tools import MissingError, path_with, python_of

HERE = Path(__file__).parent
PLENTY = "1000000"
WITHOUT_LIMITS = {
    "RATE_LIMIT_PER_MINUTE": PLENTY,
    "RATE_LIMIT_BURST": PLENTY,
    "DEVICE_COMMANDS_PER_MINUTE": PLENTY,
    "XYTE_BUDGET_PER_MINUTE": PLENTY,
    "SIMULATOR_UPDATE_DEVICE_LIMIT": "0",
    "LOG_LEVEL": "WARNING",
}
# Requests that one example for each operation leads to by chance, and those that every corner takes.
ONE_EACH = 230
EVERY_CORNER = 3_000
TAGS_A_ROUND = 4
MOST_EACH = 4
LONGEST_S = 900.0
SEED = 20_261_122


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000, help="how many at least (default 5000)")
    parser.add_argument("--seconds", type=float, default=LONGEST_S, help="how long at most (default 900)")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed makes other requests")
    chosen = parser.parse_args()
    try:
        report = fuzz(chosen.requests, chosen.seconds, chosen.seed)
    except MissingError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 3
    print(report)
    if report.requests < chosen.requests:
        print(f"fuzz: only {report.requests} of {chosen.requests} requests fitted into the time", file=sys.stderr)
        return 1
    return 0 if report.is_clean else 1


def fuzz(requests: int, seconds: float = LONGEST_S, seed: int = SEED) -> Report:
    """Send at least so many requests if time allows, with the service's limits out of the way."""
    program = python_of("fuzz", HERE / "requirements.txt").with_name("schemathesis")
    report = Report()
    with running_service(**WITHOUT_LIMITS) as service, tempfile.TemporaryDirectory(prefix="xyte-fuzz-") as folder:
        began = time.monotonic()
        for words in rounds(requests, seed, report):
            if (left := seconds - (time.monotonic() - began)) < 1:
                break
            play(program, service, Path(folder), words, left, report)
            print(f"fuzz: {report.requests} requests", file=sys.stderr, flush=True)
        report.seconds = time.monotonic() - began
        report.errors += unforeseen(service)
    return report


def rounds(requests: int, seed: int, report: Report) -> Iterator[list[str]]:
    """Every corner of every schema where there is room for it, some tags at a time, and chance for the rest."""
    if requests >= EVERY_CORNER:
        for some in range(0, len(TAGS), TAGS_A_ROUND):
            tags = [word for tag in [*TAGS][some : some + TAGS_A_ROUND] for word in ("--include-tag", tag)]
            yield ["--phases", "examples,coverage", "--seed", str(seed), *tags]
    while report.requests < requests:
        each = min(MOST_EACH, math.ceil((requests - report.requests) / ONE_EACH))
        yield ["--phases", "fuzzing", "--max-examples", str(each), "--seed", str(seed)]
        seed += 1


def play(program: Path, service: Service, folder: Path, words: list[str], seconds: float, report: Report) -> None:
    """One run of schemathesis, added to the report."""
    config, told, events, accepted = (folder / name for name in ("s.toml", "told.json", "events.ndjson", "accepted"))
    config.write_text(settings(service))
    command: list[str | Path] = [
        *(program, "--no-color", "--config-file", config, "run", f"{service.url}/openapi.json"),
        # one worker: two of them meet a bug of CPython 3.11, whose parser of syntax trees is no place for threads
        *("--checks", "all", "--workers", "1", "--request-timeout", "60", "--suppress-health-check", "all"),
        *("--report", "json,ndjson", "--report-json-path", told, "--report-ndjson-path", events),
        *words,
    ]
    output = folder / "output"
    with output.open("w") as file:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PATH": path_with(program.parent), "FUZZ_ACCEPTED": str(accepted)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            report.errors.append("schemathesis was stopped, for time was up")
            return
    if not told.exists():
        report.errors.append(output.read_text()[-2000:])
        return
    report.add(json.loads(told.read_text()), events, accepted)
    if not report.is_clean:
        print(output.read_text(), file=sys.stderr)


def unforeseen(service: Service) -> list[str]:
    """What the service itself logged as an error meanwhile."""
    lines = (service.logs / "api.log").read_text().splitlines()
    return [line[:500] for line in lines if '"level":"ERROR"' in line]


if __name__ == "__main__":
    sys.exit(main())
