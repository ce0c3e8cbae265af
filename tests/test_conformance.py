"""The protocol's own suite finds nothing, neither with fixtures on our endpoint nor with the product."""

import asyncio

import pytest

from tests.conformance.__main__ import fixtures, product
from tests.conformance.suite import Suite
from tests.tools import MissingError


def test_the_official_suite_passes_on_our_endpoint_and_on_the_product() -> None:
    try:
        suite = Suite()
    except MissingError as error:
        pytest.skip(f"NO conformance run was made, try `python3 dev.py conformance`: {error}")

    found = asyncio.run(fixtures(suite)) | asyncio.run(product(suite))

    failed = {name: result.without(excepted).failed for name, (result, excepted) in found.items()}
    assert not any(failed.values()), failed
    assert not any(result.violations for result, _ in found.values())
    passed = {name: len(result.passed) for name, (result, _) in found.items() if name.startswith("fixtures")}
    assert passed == {
        "fixtures 2026-07-28": 37,
        "fixtures 2025-11-25": 25,
        "fixtures 2025-06-18": 25,
        "fixtures 2025-03-26": 1,
    }
