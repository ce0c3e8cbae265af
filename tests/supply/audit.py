"""pip-audit on a lock. It reports success on packages that it could not look up; here that is a failure."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FINDINGS = (0, 1)
OPTIONS = ("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")


class NotRunError(Exception):
    """No advisory could be had."""


@dataclass(frozen=True)
class Findings:
    """What is known of the packages of a lock."""

    looked_up: int
    weaknesses: tuple[str, ...]
    skipped: tuple[str, ...]


def audit(lock: Path) -> Findings:
    """Ask for every package of the lock."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "-r", lock, *OPTIONS],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in FINDINGS or not done.stdout.strip():
        raise NotRunError((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:300])
    return findings(json.loads(done.stdout))


def findings(document: dict[str, Any]) -> Findings:
    """What pip-audit's report says; where nothing at all was found, there was nobody to ask."""
    entries: list[dict[str, Any]] = document["dependencies"]
    skipped = tuple(f"{entry['name']}: {entry['skip_reason']}" for entry in entries if "skip_reason" in entry)
    if len(skipped) == len(entries):
        raise NotRunError("the package index here knows no advisories, not even of one package")
    weaknesses = tuple(
        f"{entry['name']} {entry['version']}: {one['id']}, repaired in {', '.join(one['fix_versions']) or 'no version'}"
        for entry in entries
        for one in entry.get("vulns", ())
    )
    return Findings(len(entries) - len(skipped), weaknesses, skipped)
