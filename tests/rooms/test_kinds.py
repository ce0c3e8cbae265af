"""How a device becomes a projector."""

from typing import Any

import pytest

from app.rooms.kinds import Rule, kind_of


@pytest.mark.parametrize(
    ("device", "kind", "field"),
    [
        ({"model": {"name": "LX-7 Laser Projector"}, "name": "Thing"}, "projector", "model"),
        ({"model": "VG-75 Display"}, "display", "model"),
        ({"model": {"name": "Bar 40"}, "name": "Thames Soundbar"}, "speaker", "name"),
        ({"model": {"name": "X", "sub_model": "PTZ camera"}, "name": "Projector view"}, "camera", "type"),
        ({"details": {"type": "Displays"}, "name": "X"}, "display", "type"),
        ({"name": "Projector Screen"}, "screen", "name"),
        ({"name": "Lighting Controller"}, "lighting", "name"),
        ({"name": "Network Switch"}, "network", "name"),
        ({"name": "Highlight"}, "other", None),
        ({"name": None, "model": None}, "other", None),
    ],
)
def test_model_before_type_before_name_and_the_last_word_counts(
    device: dict[str, Any], kind: str, field: str | None
) -> None:
    told = kind_of(device)

    assert (told.kind, told.field, told.own_rule) == (kind, field, False)


def test_a_tenant_s_rule_comes_first_and_says_so() -> None:
    rule = Rule(kind="laser_wall", field="name", words="Großer Projektor")

    told = kind_of({"model": {"name": "LX-7 Laser Projector"}, "name": "Grosser Projektor 1"}, [rule])

    assert (told.kind, told.text, told.own_rule) == ("laser_wall", "Grosser Projektor 1", True)
