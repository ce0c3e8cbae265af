"""The steps at which a test may let the process die, so that each of them is proven to be survivable."""

import os
from typing import Literal, get_args

from app.settings import Settings

Step = Literal[
    "submit_before_commit",
    "submit_after_commit",
    "submit_after_ring",
    "before_fence",
    "after_fence",
    "before_send",
    "after_send",
    "before_record",
    "after_record",
    "before_reconcile",
    "before_follow",
    "after_follow",
]
STEPS: tuple[Step, ...] = get_args(Step)


def reach(settings: Settings, step: Step) -> None:
    """Die here if this is the step, as SIGKILL would have it."""
    if settings.crash_at == step:
        os._exit(137)
