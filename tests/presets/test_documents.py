"""Presets as text: what is read, and what is refused."""

import json
import time

import pytest

from app.errors import InvalidInput
from app.presets.documents import document_of, value_of
from app.presets.schemas import LONGEST

OLD = """
- device_id: proj-123
  command: power_on
- device_id: amp-555
  command: unmute
- device_id: switch-789
  command: select_hdmi1
  extra_params: {input: 1}
"""
STEP = "stages: [{steps: [{kind: projector, command: power_on}]}]"


def test_the_old_flat_form_loads_unchanged() -> None:
    document = document_of(OLD)

    steps = [stage.steps[0] for stage in document.stages]
    assert [(step.device_id, step.command) for step in steps] == [
        ("proj-123", "power_on"),
        ("amp-555", "unmute"),
        ("switch-789", "select_hdmi1"),
    ]
    assert steps[2].params == {"input": 1}
    assert all(step.must for step in steps)


def test_json_is_read_too() -> None:
    plain = {"title": "T", "stages": [{"steps": [{"kind": "projector", "command": "on", "unless": {"power": "on"}}]}]}

    assert document_of(json.dumps(plain)).plain() == plain
    assert document_of(json.dumps(plain, indent=2)).plain() == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("'true'", "true"),
        ("true", True),
        ("~", None),
        ("010", 10),
        ("-3", -3),
        ("1.5e3", 1500.0),
        ("12:30:00", "12:30:00"),
        ("2026-11-22", "2026-11-22"),
        ("<<", "<<"),
        ("=", "="),
        (".inf", ".inf"),
        ("9999999999999999999999", 1e22),
    ],
)
def test_plain_words_mean_what_they_show(text: str, value: object) -> None:
    assert value_of(text) == value


BOMB = "a: &a [x, x]\n" + "\n".join(f"b{n}: &b{n} [*a, *a, *a, *a, *a, *a, *a, *a]" for n in range(9))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" * (LONGEST + 1), "65536 bytes at most"),
        ("é" * (LONGEST // 2 + 1), "65536 bytes at most"),
        (BOMB, "Anchors and aliases"),
        ("stages: *x", "Anchors and aliases"),
        ("!!python/object/apply:os.system [ls]", "Tags are not taken"),
        ("stages: !!map {}", "Tags are not taken"),
        ("title: a\ntitle: b\n" + STEP, "stands twice in one place. Line 2."),
        ('{"title": "a", "title": "b"}', "stands twice"),
        ("? [a, b]\n: c", "A name is a plain text"),
        ("[" * 30_000, "nested more than"),
        ("stages: [", "no YAML. Line"),
        ("a: b: c", "no YAML. Line 1"),
        ("\x00", "no YAML"),
        ("\ud800", "no YAML"),
        ("", "empty"),
        ("# nothing", "empty"),
        (f"{STEP}\n---\n{STEP}", "several documents"),
        ("just words", "valid dictionary"),
        ("stages: []", "at least 1"),
        ("stages: [{steps: [{kind: projector}]}]", "command"),
        ("stages: [{steps: [{command: on}]}]", "give one of device_id"),
        ("stages: [{steps: [{command: on, kind: a_b, all: true}]}]", "give one of device_id"),
        ("stages: [{steps: [{command: on, kind: '../x'}]}]", "pattern"),
        ("stages: [{steps: [{command: on, device_id: '../../etc/passwd'}]}]", "pattern"),
        ("stages: [{steps: [{command: on, all: 'yes'}]}]", "boolean"),
        ("stages: [{steps: [{command: on, all: true, tries: 99}]}]", "less than or equal to 5"),
        ("stages: [{steps: [{command: on, all: true, delay_seconds: -1}]}]", "greater than or equal to 0"),
        ("stages: [{steps: [{command: on, all: true, on_error: explode}]}]", "'stop' or 'continue'"),
        ("stages: [{steps: [{command: on, all: true, colour: red}]}]", "Extra inputs"),
        ("stages: [{steps: [{command: on, all: true, when: {a: {b: c}}}]}]", "valid"),
        ("- {device_id: a, command: on}\n" * 1_000, "at most 200"),
        ("stages:\n" + "- {steps: [{all: true, command: a}, {all: true, command: a}]}\n" * 101, "200 steps at most"),
    ],
)
def test_refused_with_a_reason(text: str, why: str) -> None:
    began = time.monotonic()

    with pytest.raises(InvalidInput) as refusal:
        document_of(text)

    assert why in refusal.value.detail
    assert refusal.value.errors
    assert time.monotonic() - began < 1


def test_ten_thousand_steps_are_refused() -> None:
    text = "- {device_id: a, command: on}\n" * 2_100  # as many as fit into 64 KiB

    with pytest.raises(InvalidInput, match="at most 200"):
        document_of(text)
    with pytest.raises(InvalidInput, match="65536 bytes"):
        document_of("- {device_id: a, command: on}\n" * 10_000)
