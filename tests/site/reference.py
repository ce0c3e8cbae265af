"""Reference pages in Markdown, made from the application."""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.errors import Problem
from app.mcp.selection import DEFAULT_TOOLS
from app.settings import Settings
from tests.site.application import Described, Operation
from tests.supply.inventory import packages, table

EFFECTS = {
    "read": "reads",
    "write": "changes data",
    "physical": "moves real equipment",
    "access": "changes who may do what; asks for confirmation",
    "destructive": "cannot be undone; asks for confirmation",
}


def pages(described: Described) -> dict[str, str]:
    """Every generated page by its path."""
    return {
        "reference/operations.md": operations(described),
        "reference/tools.md": tools(described),
        "reference/settings.md": f"# Settings\n\nEnvironment variables; lists are separated by commas.\n\n{settings()}",
        "reference/errors.md": errors(),
        "reference/licences.md": f"# Licences\n\nWhat the image contains, from the lock file.\n\n{table(packages())}",
    }


def operations(described: Described) -> str:
    """Every operation, by tag."""
    parts = ["# Operations", "", "Made from `/openapi.json`. All paths but those under Service need a key.", ""]
    for tag, description in described.tags.items():
        if mine := [one for one in described.operations if one.tag == tag]:
            parts += [f"## {tag}", "", description, ""]
            parts += [line for one in mine for line in operation(described, one)]
    return "\n".join(parts)


def operation(described: Described, one: Operation) -> Iterator[str]:
    """One operation."""
    entry = one.entry
    yield from (f"### `{one.name}`", "", f"`{one.method} {one.path}`", "", cell(entry.get("description", "")), "")
    if effect := entry.get("x-effect"):
        yield from (f"Effect: {EFFECTS.get(effect, effect)}.", "")
    rows = [
        (parameter["name"], place, parameter.get("required", False), parameter["schema"], parameter.get("description"))
        for place in ("path", "query", "header")
        for parameter in one.parameters(place)
    ]
    body = described.body_of(one) or {}
    rows += [
        (name, "body", name in body.get("required", ()), schema, schema.get("description"))
        for name, schema in body.get("properties", {}).items()
    ]
    if rows:
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for name, place, required, schema, description in rows:
            needed = "**required** " if required else ""
            yield f"| `{name}` | {place} | {kind(described, schema)} | {needed}{cell(description or '')} |"
        yield ""
    yield from (f"Answers {answers(entry)}.", "")


def answers(entry: dict[str, Any]) -> str:
    """The statuses of an operation's success."""
    return ", ".join(status for status in entry["responses"] if status.startswith("2"))


def kind(described: Described, schema: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    schema = described.resolved(schema)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        kinds = dict.fromkeys(kind(described, choice) for choice in choices if choice.get("type") != "null")
        return " or ".join(kinds)
    if values := schema.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    if schema.get("type") == "array":
        return f"list of {kind(described, schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def tools(described: Described) -> str:
    """Every tool, by toolset."""
    catalogue = described.catalogue
    toolsets: dict[str, list[str]] = {}
    for name in sorted(catalogue.tools):
        toolsets.setdefault(catalogue.operations[name].toolset, []).append(name)
    parts = [
        "# Tools",
        "",
        "Made from the application. A star marks the tools that a client gets without a choice.",
        "",
    ]
    for toolset, names in sorted(toolsets.items()):
        parts += [f"## {toolset}", "", "| tool | does | arguments |", "|---|---|---|"]
        for name in names:
            tool = catalogue.tools[name]
            given: dict[str, Any] = tool.input_schema.get("properties", {})
            required = tool.input_schema.get("required", ())
            arguments = ", ".join(f"**`{one}`**" if one in required else f"`{one}`" for one in given)
            star = " ★" if name in DEFAULT_TOOLS else ""
            parts.append(f"| `{name}`{star} | {cell(tool.description or '')} | {arguments} |")
        parts.append("")
    return "\n".join(parts)


def errors() -> str:
    """Every failure."""
    rows = sorted({(problem.status, problem.error, problem.title) for problem in every(Problem)})
    lines = [f"| {status} | `{error}` | {cell(title)} |" for status, error, title in rows]
    return "\n".join(["# Error codes", "", "| status | `error` | |", "|---|---|---|", *lines]) + "\n"


def every(kind_of: type[Problem]) -> Iterable[type[Problem]]:
    """All kinds of a problem."""
    for one in kind_of.__subclasses__():
        yield one
        yield from every(one)


def settings() -> str:
    """The settings as they are."""
    rows = [
        f"| `{name.upper()}` | {shown(field)} | {(field.description or '').replace('|', '/')} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | |", "|---|---|---|", *rows]) + "\n"


def shown(field: FieldInfo) -> str:
    """A default as one would write it into the environment."""
    default: Any = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, tuple):
        default = ",".join(str(part) for part in default)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    text = (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )
    return f"`{text}`" if text else "empty"


def cell(text: str) -> str:
    """Text that fits into a table's cell and means in Markdown what it says."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
