"""The workflow calls verbs that there are, with nothing that it does not need."""

from pathlib import Path
from typing import Any

import yaml

import dev

WORKFLOWS = sorted((Path(__file__).resolve().parents[2] / ".github" / "workflows").glob("*.yml"))


def jobs() -> dict[str, Any]:
    return {name: job for file in WORKFLOWS for name, job in yaml.safe_load(file.read_text())["jobs"].items()}


def commands() -> list[str]:
    return [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]


def test_every_verb_it_calls_exists() -> None:
    called = [command.split()[2] for command in commands() if command.startswith("python3 dev.py ")]

    assert set(called) <= set(dev.VERBS)
    assert {"check", "test", "audit", "deploy-check", "docs", "sbom"} <= set(called)


def test_an_audit_that_could_not_be_run_fails_there() -> None:
    assert "python3 dev.py audit --required" in commands()


def test_it_may_read_and_no_more_and_no_job_runs_forever() -> None:
    assert WORKFLOWS
    assert all(yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"} for file in WORKFLOWS)
    assert all("timeout-minutes" in job for job in jobs().values())


def test_every_python_that_is_supported_is_tested() -> None:
    wanted = {
        f"{major}.{minor}" for major, minor in [(3, number) for number in range(dev.OLDEST[1], dev.NEWEST[1] + 1)]
    }

    assert set(jobs()["test"]["strategy"]["matrix"]["python"]) == wanted
