"""The shortened runs, so that a broken promise shows before anything lands."""

import pytest

from tests.faults.runs import QUICK


@pytest.mark.parametrize("name", QUICK)
async def test_no_command_is_lost_or_sent_twice(name: str) -> None:
    verdict = await QUICK[name]()

    assert verdict.faults == [], verdict.line()
