"""What is believed for a while, and no longer."""

import pytest

from app.xyte import memory
from app.xyte.memory import Memory


def test_what_was_kept_is_recalled_under_its_own_key_only() -> None:
    kept = Memory()

    kept.keep(("a", "models", "m1"), {"commands": []})

    assert kept.recall(("a", "models", "m1")) == {"commands": []}
    assert kept.recall(("b", "models", "m1")) is None


def test_what_is_old_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Memory()
    kept.keep(("a",), 1)
    later = memory.time.monotonic() + memory.BELIEVED_FOR_S

    monkeypatch.setattr(memory.time, "monotonic", lambda: later)

    assert kept.recall(("a",)) is None


def test_the_oldest_gives_way() -> None:
    kept = Memory()
    for number in range(memory.REMEMBERED):
        kept.keep((number,), number)
    kept.keep((0,), "again")

    kept.keep(("one more",), 1)

    assert kept.recall((0,)) == "again"
    assert kept.recall((1,)) is None
    assert kept.recall(("one more",)) == 1
