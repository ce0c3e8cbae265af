"""Names as people type them."""

import pytest

from app.rooms.names import alike, begun, folded, words_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Salle Zürich", "salle zurich"),
        ("  HUDDLE_1 ", "huddle 1"),
        ("EMEA / London/Board  Room", "emea/london/board room"),
        ("Straße", "strasse"),
        (None, ""),
    ],
)
def test_case_accents_and_marks_do_not_count(text: object, plain: str) -> None:
    assert folded(text) == plain


@pytest.mark.parametrize(
    ("query", "fits"), [("board", True), ("boa roo", True), ("room 1", False), ("b", False), ("", False)]
)
def test_a_word_is_named_by_three_letters_or_whole(query: str, fits: bool) -> None:
    assert begun(words_of(query), words_of("Board Room")) is fits


def test_typing_errors_are_forgiven() -> None:
    names = ["Board Room", "Tower Auditorium", "Huddle 1"]

    assert alike("tower auditorum", names, lambda name: (name, name), 3)[0] == "Tower Auditorium"
    assert alike("xqzw", names, lambda name: (name, name), 3) == []
