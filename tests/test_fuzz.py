"""A few hundred generated requests; `python3 dev.py fuzz` sends thousands."""

import pytest

from tests.fuzz.__main__ import fuzz
from tests.tools import MissingError


def test_generated_requests_get_answers_that_are_documented() -> None:
    try:
        report = fuzz(200, seconds=300)
    except MissingError as error:
        pytest.skip(f"schemathesis cannot be had, so NOTHING WAS FUZZED, try `python3 dev.py fuzz`: {error}")

    assert report.requests >= 200
    assert report.is_clean, str(report)
