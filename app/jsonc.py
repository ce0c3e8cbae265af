"""JSON as people keep it: with comments and trailing commas; changed in one place, every other byte as it was."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

BLANK = re.compile(r"(?:\s|\ufeff|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
SCALAR = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s,:\[\]{}"/]+')


class JsoncError(ValueError):
    """Why a text cannot be read, and where."""


@dataclass
class Node:
    """A value and where in the text it stands; an object's members by name, a list's by number."""

    start: int
    end: int
    value: Any
    members: dict[str | int, "Node"] = field(default_factory=dict[str | int, "Node"])


def parsed(text: str) -> Node:
    """The text as a tree; nothing at all is an empty object."""
    start = skip(text, 0)
    if start == len(text):
        return Node(start, start, {})
    node = read(text, start)
    if skip(text, node.end) != len(text):
        raise mistake(text, node.end)
    return node


def read(text: str, at: int) -> Node:
    if text[at : at + 1] in ("{", "["):
        return read_members(text, at)
    found = SCALAR.match(text, at)
    if found is None:
        raise mistake(text, at)
    try:
        return Node(at, found.end(), json.loads(found[0]))
    except ValueError:
        raise mistake(text, at) from None


def read_members(text: str, start: int) -> Node:
    is_object = text[start] == "{"
    node = Node(start, start, {} if is_object else [])
    at = skip(text, start + 1)
    while text[at : at + 1] != ("}" if is_object else "]"):
        name: Any = len(node.members)
        if is_object:
            name, at = read_name(text, at)
        member = read(text, at)
        node.members[name] = member
        if is_object:
            node.value[name] = member.value
        else:
            node.value.append(member.value)
        at = skip(text, member.end)
        if text[at : at + 1] == ",":
            at = skip(text, at + 1)
        elif text[at : at + 1] not in ("}", "]"):
            raise mistake(text, at)
    node.end = at + 1
    return node


def read_name(text: str, at: int) -> tuple[str, int]:
    name = read(text, at)
    colon = skip(text, name.end)
    if not isinstance(name.value, str) or text[colon : colon + 1] != ":":
        raise mistake(text, at)
    return name.value, skip(text, colon + 1)


def skip(text: str, at: int) -> int:
    """Past blanks and comments."""
    found = BLANK.match(text, at)
    return found.end() if found else at


def mistake(text: str, at: int) -> JsoncError:
    line = text.count("\n", 0, at) + 1
    return JsoncError(f"line {line} is not JSON")


def placed(text: str, path: Sequence[str], value: Any) -> str:
    """The text with the value at the path, whether there was one before or not."""
    node = parsed(text)
    if node.start == node.end:
        return text[: node.start] + json.dumps(nested(path, value), indent=2, ensure_ascii=False) + "\n"
    for depth, name in enumerate(path):
        if not isinstance(node.value, dict):
            raise JsoncError(f"{'.'.join(path[:depth]) or 'the file'} is not an object")
        if name not in node.members:
            return inserted(text, node, json.dumps(name) + ": ", nested(path[depth + 1 :], value))
        node = node.members[name]
    if node.value == value:
        return text
    return text[: node.start] + dumped(value, indent_at(text, node.start)) + text[node.end :]


def appended(text: str, path: Sequence[str], value: Any, known_by: str) -> str:
    """The text with the value in the list at the path, unless one of the same name is there."""
    node: Node | None = parsed(text)
    for name in path:
        node = node.members.get(name) if node else None
    if node is None:
        return placed(text, path, [value])
    if not isinstance(node.value, list):
        raise JsoncError(f"{'.'.join(path)} is not a list")
    names = [row.members.get(known_by) for row in node.members.values()]
    if any(name.value == value[known_by] for name in names if name):
        return text
    return inserted(text, node, "", value)


def inserted(text: str, node: Node, start: str, value: Any) -> str:
    """As the first member, where no comma of the others is in the way."""
    outer = indent_at(text, node.start)
    first = next(iter(node.members.values()), None)
    inner = indent_at(text, first.start) if first and "\n" in text[node.start : first.start] else outer + "  "
    entry = f"\n{inner}{start}{dumped(value, inner)}"
    after = node.start + 1
    if first:
        return text[:after] + entry + "," + ("" if "\n" in text[after : first.start] else f"\n{inner}") + text[after:]
    return text[:after] + entry + "\n" + outer + text[after:].lstrip(" \t\r\n")


def indent_at(text: str, at: int) -> str:
    """The blanks that begin the line."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def dumped(value: Any, indent: str) -> str:
    step = "\t" if "\t" in indent else 2
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", "\n" + indent)


def nested(path: Sequence[str], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value
