"""`dev.py sdk FOLDER`: both clients into a folder, type-checked, and five calls with each on the running service."""

import argparse
import sys
from pathlib import Path

from tests.sdk.clients import MAKERS, build
from tests.service import running_service
from tests.tools import MissingError, ToolError


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py sdk", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the clients go: python/ and typescript/ in it")
    folder: Path = parser.parse_args().folder.resolve()
    missing = 0
    try:
        for name, outcome in build(folder, running_service).items():
            missing += isinstance(outcome, MissingError)
            print(f"{name:<10} {f'SKIPPED: {outcome}' if isinstance(outcome, MissingError) else outcome}")
    except ToolError as error:
        print(f"sdk: {error}", file=sys.stderr)
        return 1
    if missing:
        print(f"sdk: {missing} of {len(MAKERS)} clients skipped, for their tools cannot be had", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
