"""JSON with comments: read as people write it, changed in one place, and otherwise the very same bytes."""

from typing import Any

import pytest

from app.jsonc import JsoncError, appended, parsed, placed

KEPT = """{
  // the servers
  "servers": {
    "other": {"url": "http://x//y"}, /* stays */
  },
  "n": [1, -2.5e3, true, null,],
}
"""


def test_comments_and_trailing_commas_are_read() -> None:
    assert parsed(KEPT).value == {"servers": {"other": {"url": "http://x//y"}}, "n": [1, -2500.0, True, None]}


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "// nothing yet\n"])
def test_nothing_is_an_empty_object(text: str) -> None:
    assert parsed(text).value == {}
    assert parsed(placed(text, ("a", "b"), 1)).value == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("{}", ("a",), '{\n  "a": 1\n}'),
        ('{"b": 2}', ("a",), '{\n  "a": 1,\n  "b": 2}'),
        ('{\n\t"b": 2\n}', ("a",), '{\n\t"a": 1,\n\t"b": 2\n}'),
        ('{\n  "a": 0, // old\n}', ("a",), '{\n  "a": 1, // old\n}'),
        ('{\n  "a": {}\n}', ("a", "b"), '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{"a": 1 }', ("a",), '{"a": 1 }'),
    ],
)
def test_a_value_is_put_in_its_place(text: str, path: tuple[str, ...], expected: str) -> None:
    assert placed(text, path, 1) == expected


def test_every_other_byte_stays() -> None:
    after = placed(KEPT, ("servers", "xyte"), {"url": "u"})

    added = '\n    "xyte": {\n      "url": "u"\n    },'
    assert after.replace(added, "") == KEPT
    assert parsed(after).value["servers"] == {"xyte": {"url": "u"}, "other": {"url": "http://x//y"}}


def test_a_list_gets_each_name_once() -> None:
    row: dict[str, Any] = {"id": "key"}

    made = appended("{}", ("inputs",), row, "id")
    longer = appended('{"inputs": [{"id": "other"}, 3]}', ("inputs",), row, "id")

    assert parsed(made).value == {"inputs": [row]}
    assert parsed(longer).value == {"inputs": [row, {"id": "other"}, 3]}
    assert appended(longer, ("inputs",), row, "id") == longer


@pytest.mark.parametrize(
    "text", ["{", '{"a"}', '{"a" 1}', "{1: 2}", "[1 2]", '{"a": nope}', "{} {}", '{"a": "x\n"}', "/", "{,}", '{"a":1']
)
def test_what_is_not_json_is_said_with_its_line(text: str) -> None:
    with pytest.raises(JsoncError, match=r"line \d is not JSON"):
        parsed(text)


def test_a_place_of_another_kind_is_left_alone() -> None:
    with pytest.raises(JsoncError, match="a is not an object"):
        placed('{"a": 1}', ("a", "b"), 1)
    with pytest.raises(JsoncError, match="the file is not an object"):
        placed("[]", ("a",), 1)
    with pytest.raises(JsoncError, match="inputs is not a list"):
        appended('{"inputs": {}}', ("inputs",), {"id": 1}, "id")
