"""Clients that others generate from the OpenAPI document: complete, well typed, and working."""

from pathlib import Path

import pytest

from tests.sdk.clients import build
from tests.service import running_service
from tests.tools import MissingError


def test_clients_are_generated_without_warnings_and_call_the_running_service(tmp_path: Path) -> None:
    outcomes = build(tmp_path, running_service)

    missing = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, MissingError)}
    assert {outcomes[name] for name in outcomes.keys() - missing} <= {"5 calls"}
    if missing:
        pytest.skip(f"{len(missing)} of {len(outcomes)} clients NOT TESTED, try `python3 dev.py sdk`: {missing}")
