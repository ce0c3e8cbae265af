"""`dev.py sbom FOLDER` and `dev.py audit`."""

import argparse
import os
import sys
from pathlib import Path

from tests.supply.audit import NotRunError, audit
from tests.supply.inventory import PROJECT, bill, packages, table


def write_bill(folder: Path) -> int:
    """The list of what is in the image, with licences; fails on a licence that is not among those we take."""
    found = packages()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(bill(found))
    (folder / "licences.md").write_text(table(found))
    for package in (strange := [one for one in found if not one.is_free]):
        print(f"{package.name}: {package.licence} is not among the licences that we take", file=sys.stderr)
    print(f"{len(found)} packages: {folder / 'sbom.cdx.json'}, {folder / 'licences.md'}")
    return 1 if strange else 0


def look_for_weaknesses(*, required: bool) -> int:
    """Known weaknesses of what both locks name."""
    lock = PROJECT / "requirements-dev.lock"  # every extra, so everything that the other one names too
    try:
        found = audit(lock)
    except NotRunError as reason:
        print(f"audit: NOT RUN: {reason}", file=sys.stderr)
        return 1 if required else 0
    for line in (*found.weaknesses, *(f"skipped {one}" for one in found.skipped)):
        print(line, file=sys.stderr)
    print(f"{found.looked_up} packages looked up, {len(found.weaknesses)} weaknesses, {len(found.skipped)} skipped")
    return 1 if found.weaknesses or found.skipped else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py", description=__doc__)
    verbs = parser.add_subparsers(required=True, dest="verb")
    verbs.add_parser("sbom").add_argument("folder", type=Path)
    help_ = "fail where no advisories can be had; CI does"
    verbs.add_parser("audit").add_argument("--required", action="store_true", default="CI" in os.environ, help=help_)
    options = parser.parse_args()
    return write_bill(options.folder) if options.verb == "sbom" else look_for_weaknesses(required=options.required)


if __name__ == "__main__":
    sys.exit(main())
