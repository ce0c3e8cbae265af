"""What all shapes share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from app.xyte.schemas.shapes import NOT_TEXT, Identifier, Moment, Paging, Received, Sent, Success, Update, Window

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
WHOLE: TypeAdapter[int] = TypeAdapter(Annotated[int, NOT_TEXT])
IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class Query(Sent):
    name: str


class Change(Update):
    name: str | None = None


class Month(Window):
    longest: ClassVar[timedelta | None] = timedelta(days=31)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T10:00:00Z",
        "2026-11-22T12:00:00+02:00",
        "2026-11-22T10:00:00",
        1795341600,
        1795341600.0,
        "1795341600",
    ],
)
def test_a_moment_is_iso_8601_or_unix_seconds_and_utc_where_nothing_is_said(value: object) -> None:
    assert MOMENT.validate_python(value) == datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", [-1, 1795341600000, float("nan"), "inf", True, "soon", [1795341600]])
def test_milliseconds_and_what_is_neither_number_nor_text_are_no_moment(value: object) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(value)


def test_a_whole_number_in_a_body_is_a_number() -> None:
    assert [WHOLE.validate_python(value) for value in (7, 7.0)] == [7, 7]
    for value in ("7", True, 7.5):
        with pytest.raises(ValidationError):
            WHOLE.validate_python(value)


@pytest.mark.parametrize("value", ["a", "a-b_C9", "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f", "x" * 128])
def test_an_identifier_is_one_harmless_segment(value: str) -> None:
    assert IDENTIFIER.validate_python(value) == value


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a\\b", "a b", "a\n", "a%2e", "ä", "a?b", "a#b", "x" * 129, 7])
def test_anything_else_is_no_identifier(value: object) -> None:
    with pytest.raises(ValidationError):
        IDENTIFIER.validate_python(value)


def test_what_is_received_keeps_what_we_do_not_know() -> None:
    assert Received.model_validate({"new": {"a": 1}}).model_dump() == {"new": {"a": 1}}
    assert Success.model_validate({}).success is None


def test_what_is_sent_refuses_what_we_do_not_know() -> None:
    with pytest.raises(ValidationError):
        Query.model_validate({"name": "a", "nmae": "b"})


def test_what_is_sent_is_stripped() -> None:
    assert Query(name="  a ").name == "a"


@pytest.mark.parametrize(
    "wrong", [{"page": 0}, {"page": 100_001}, {"per_page": 0}, {"per_page": 101}, {"per_page": "x"}]
)
def test_pages_have_bounds(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Paging.model_validate(wrong)


@pytest.mark.parametrize("nothing", [{}, {"name": None}])
def test_a_change_changes_something(nothing: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Change.model_validate(nothing)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"to": 1795341600}, {"to": 1795341600}),
        ({"from": "2026-11-22T10:00:00Z", "to": "2026-12-23T10:00:00Z"}, {"from": 1795341600, "to": 1798020000}),
    ],
)
def test_a_span_is_sent_in_unix_seconds(asked: dict[str, object], sent: dict[str, int]) -> None:
    assert Month.model_validate(asked).model_dump(mode="json", by_alias=True, exclude_none=True) == sent


@pytest.mark.parametrize(
    "asked",
    [
        {"from": "2026-11-22", "to": "2026-11-21"},
        {"from": "2026-11-22", "to": "2026-12-24"},
        {"from": "2020-01-01"},
        {"from": "2999-01-01"},
    ],
)
def test_a_span_is_in_order_and_not_too_long(asked: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Month.model_validate(asked)


def test_a_span_without_a_limit_may_be_long() -> None:
    assert Window.model_validate({"from": "2020-01-01"}).from_ == datetime(2020, 1, 1, tzinfo=UTC)
