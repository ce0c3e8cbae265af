"""The shortened runs, so that a broken promise shows before anything lands."""

import pytest

from tests.faults import events
from tests.faults.runs import QUICK


@pytest.mark.parametrize("name", QUICK)
async def test_no_command_is_lost_or_sent_twice(name: str) -> None:
    verdict = await QUICK[name]()

    assert verdict.faults == [], verdict.line()


async def test_every_consumer_has_every_event_of_its_tenant_in_order() -> None:
    verdict = await events.QUICK["events-delivery"]()

    assert verdict.faults == [], verdict.line()
