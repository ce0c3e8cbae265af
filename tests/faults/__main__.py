"""Runs them all, or those named: `python3 dev.py faults [--quick] [run ...]`."""

import argparse
import asyncio
import sys

from tests.faults import events
from tests.faults.runs import QUICK, RUNS


def main() -> int:
    """One line a run; not zero when a promise was broken."""
    parser = argparse.ArgumentParser(prog="dev.py faults")
    parser.add_argument("--quick", action="store_true", help="the most telling ones, shortened to a minute")
    every = RUNS | events.RUNS
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(every)}")
    options = parser.parse_args()
    runs = QUICK | events.QUICK if options.quick else every
    broken = 0
    for name in options.runs or runs:
        verdict = asyncio.run(runs[name]())
        print(
            f"{'BROKEN' if verdict.faults else 'kept'} {name}: {verdict.line()} {'; '.join(verdict.faults)}", flush=True
        )
        broken += bool(verdict.faults)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
