"""A preset as text: YAML 1.2 or JSON, without anything that refers, repeats or means more than it shows."""

import re
from collections.abc import Iterator
from typing import Any, cast

import yaml
from pydantic import ValidationError

from app.errors import InvalidInput, invalid
from app.presets.schemas import LONGEST, Document

DEEPEST = 12
NULL = frozenset({"", "null", "Null", "NULL", "~"})
TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
WHOLE = re.compile(r"[-+]?\d{1,18}", re.ASCII)
FRACTION = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d{1,3})?", re.ASCII)
OLD_NAMES = {"extra_params": "params", "parameters": "params"}
PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def document_of(text: str) -> Document:
    """The preset that a text tells, or a problem that says what is wrong with it."""
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise mistaken(f"A preset has {LONGEST} bytes at most.")
    try:
        plain = value_of(text)
    except (yaml.YAMLError, UnicodeEncodeError) as failure:
        mark = getattr(failure, "problem_mark", None)
        place = f" Line {mark.line + 1}, column {mark.column + 1}." if mark else ""
        raise mistaken(f"This is no YAML.{place}") from None
    return checked(modern(plain))


def checked(plain: Any) -> Document:
    """The preset that a value tells, or a problem that names every mistake in it."""
    try:
        return Document.model_validate(plain)
    except ValidationError as failure:
        raise invalid(failure.errors(include_url=False, include_input=False, include_context=False)) from None


def modern(plain: Any) -> Any:
    """The old form, a flat list of devices and commands, as stages of one step each; anything else as it is."""
    if not isinstance(plain, list):
        return plain
    rows = cast("list[Any]", plain)
    return {"stages": [{"steps": [renamed(row)]} for row in rows]}


def renamed(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    return {OLD_NAMES.get(name, name): value for name, value in cast("dict[str, Any]", row).items()}


def value_of(text: str) -> Any:
    """The one value in a YAML text."""
    events = yaml.parse(text, Loader=PARSER)
    for event in events:
        if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            value = read(event, events, 0)
            break
    else:
        raise mistaken("The text is empty.")
    if not isinstance(next(events), yaml.DocumentEndEvent) or not isinstance(next(events), yaml.StreamEndEvent):
        raise mistaken("The text holds several documents; a preset is one.")
    return value


def read(event: Any, events: Iterator[Any], depth: int) -> Any:
    """The value that begins with this event."""
    if depth > DEEPEST:
        raise mistaken(f"It is nested more than {DEEPEST} deep.", event)
    if isinstance(event, yaml.StreamEndEvent):
        raise mistaken("The text is empty.")
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise mistaken("Anchors and aliases are not taken: write it out.", event)
    if event.tag is not None:
        raise mistaken("Tags are not taken.", event)
    if isinstance(event, yaml.ScalarEvent):
        return scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        return list(rows(events, depth))
    return dict(fields(events, depth))


def rows(events: Iterator[Any], depth: int) -> Iterator[Any]:
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        yield read(event, events, depth + 1)


def fields(events: Iterator[Any], depth: int) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise mistaken("A name is a plain text.", event)
        read(event, events, depth)
        name = event.value
        if name in seen:
            raise mistaken("A name stands twice in one place.", event)
        seen.add(name)
        yield name, read(next(events), events, depth + 1)


def scalar(event: Any) -> Any:
    """As YAML 1.2 reads it: on and yes are words there, and so is a date."""
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in NULL:
        return None
    if text in TRUTH:
        return TRUTH[text]
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if FRACTION.fullmatch(text) else text


def mistaken(message: str, event: Any = None) -> InvalidInput:
    place = f" Line {event.start_mark.line + 1}." if event is not None and event.start_mark else ""
    return InvalidInput(message + place, [{"path": "yaml", "message": message + place}])
