"""Conditions, and the words for what became of steps."""

from typing import Any

import pytest

from app.presets.models import PresetStep
from app.presets.planning import sentence, unmet


@pytest.mark.parametrize(
    ("condition", "state", "reason"),
    [
        ({}, {}, None),
        ({"when": {"muted": True}}, {"muted": True}, None),
        ({"when": {"muted": True}}, {"muted": "True"}, None),
        ({"when": {"muted": True}}, {"muted": False}, "did not need it"),
        ({"when": {"muted": True}}, {}, "did not need it"),
        ({"unless": {"power": "on"}}, {"power": "on"}, "was so already"),
        ({"unless": {"power": "on"}}, {}, None),
        ({"unless": {"power": ["off", "standby"]}}, {"power": "Standby"}, "was so already"),
        ({"unless": {"level": 80}}, {"level": 80.0}, "was so already"),
        ({"unless": {"a": 1, "b": 2}}, {"a": 1, "b": 3}, None),
    ],
)
def test_a_condition_asks_the_state(condition: Any, state: dict[str, Any], reason: str | None) -> None:
    assert unmet(condition, state) == reason


def step(state: Any, kind: str = "camera", reason: str | None = None) -> PresetStep:
    return PresetStep(state=state, kind=kind, reason=reason)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            [*[step("done")] * 7, step("failed", reason="is offline since 09:14 UTC")],
            "7 of 8 steps done; the camera is offline since 09:14 UTC.",
        ),
        ([step("skipped", reason="was so already")] * 2, "Nothing had to be done; 2 were so already."),
        (
            [step("done"), step("skipped", reason="is not in the room")],
            "1 of 1 steps done; 1 do not apply here.",
        ),
        ([step("running"), step("waiting")], "0 of 2 steps done; 2 to come."),
        (
            [step("failed", "touch_panel", "did not carry it out")] * 3,
            "0 of 3 steps done; the touch panel did not carry it out (3 steps).",
        ),
        (
            [step("failed", f"kind{n}", "failed") for n in range(5)],
            "0 of 5 steps done; the kind0 failed; the kind1 failed; the kind2 failed; and more went wrong.",
        ),
        ([step("cancelled"), step("not_run")], "0 of 2 steps done; 1 cancelled; 1 not run."),
    ],
)
def test_one_sentence_tells_it(steps: list[PresetStep], told: str) -> None:
    assert sentence(steps) == told
