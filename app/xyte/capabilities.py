"""Whether a device can do what it is told: a command is checked against the device's model before it is sent."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, cast

from app.errors import InvalidInput, UpstreamRefused
from app.xyte.client import XyteClient
from app.xyte.schemas.commands import CommandSend

Mistake = dict[str, Any]
Entry = Mapping[str, Any]

NAMES_IN_TEXT = 40


async def checked(xyte: XyteClient, device_id: str, command: CommandSend) -> dict[str, Any]:
    """The body for Xyte, or a problem that says what the device can do; without a known model it stays unchecked."""
    if command.skip_validation:
        return command.to_xyte()
    return body_of(command, await commands_of(xyte, device_id))


def body_of(command: CommandSend, commands: list[Entry]) -> dict[str, Any]:
    """The body for Xyte, or a problem that says which of these commands there are and what they take."""
    if not commands:
        return command.to_xyte()
    entry = found(command, commands)
    if mistakes := list(mistakes_in(command, entry)):
        summary = "; ".join(f"{mistake['path']}: {mistake['message']}" for mistake in mistakes)
        raise InvalidInput(f"{summary}. It takes {signature(entry)}. Nothing was sent.", mistakes)
    return command.to_xyte(entry.get("name"))


async def commands_of(xyte: XyteClient, device_id: str) -> list[Entry]:
    """What the device's model lists; nothing when Xyte does not show the model to this key."""
    device = await xyte.known(dict[str, Any], "devices", device_id)
    return await commands_of_model(xyte, mapping(mapping(device.value).get("model")).get("id"))


async def commands_of_model(xyte: XyteClient, model_id: Any) -> list[Entry]:
    """What a model lists, if it is known and Xyte shows it."""
    if not model_id:
        return []
    try:
        model = await xyte.known(dict[str, Any], "models", str(model_id))
    except UpstreamRefused:
        return []
    return entries(mapping(model.value).get("commands"))


def found(command: CommandSend, commands: list[Entry]) -> Entry:
    """The model's entry for a command; either selector may be its name or its friendly name."""
    selectors = [selector for selector in (command.name, command.friendly_name) if selector]
    for entry in commands:
        if all(selector in (entry.get("name"), entry.get("friendly_name")) for selector in selectors):
            return entry
    names = [name_of(entry) for entry in commands]
    known = names + [str(entry["friendly_name"]) for entry in commands if entry.get("friendly_name")]
    near = difflib.get_close_matches(selectors[0].lower(), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    listed = ", ".join(signature(entry) for entry in commands[:NAMES_IN_TEXT])
    raise InvalidInput(
        f"This device has no such command.{hint} It has: {listed}. Nothing was sent.",
        [
            {
                "path": "name" if command.name else "friendly_name",
                "message": "Not a command of this device's model.",
                "allowed": names,
            }
        ],
    )


def mistakes_in(command: CommandSend, entry: Entry) -> Iterator[Mistake]:
    """What is wrong with a command's values."""
    fields = {name_of(field): field for field in entries(entry.get("custom_fields"))}
    given = command.extra_params
    for name in given.keys() - fields.keys():
        yield {"path": f"extra_params.{name}", "message": "not a field of this command", "allowed": list(fields)}
    for name, field in fields.items():
        value = given.get(name)
        if value is not None and value != "":
            yield from mistakes_of(name, value, field)
        elif field.get("required"):
            yield {"path": f"extra_params.{name}", "message": "required"} | choices_of(field)
    if entry.get("with_file") and not command.file_id:
        yield {"path": "file_id", "message": "required, for this command needs a file"}
    if command.file_id and entry.get("with_file") is False:
        yield {"path": "file_id", "message": "this command takes no file"}


def mistakes_of(name: str, value: Any, field: Entry) -> Iterator[Mistake]:
    """What is wrong with one value: its kind, or that it is not one of those allowed."""
    path = f"extra_params.{name}"
    kind, list_type = str(field.get("type", "")), str(field.get("typeName", ""))
    several = list_type.endswith("Multi") or kind == "multiselect"
    if several and not isinstance(value, list):
        yield {"path": path, "message": "a list of values"} | choices_of(field)
        return
    allowed = options_of(field)
    values: list[Any] = cast("list[Any]", value) if several else [value]
    if allowed and not all(one in allowed for one in values):
        yield {"path": path, "message": "not an allowed value"} | choices_of(field)
    if kind == "number" and not is_within(value, field):
        yield {"path": path, "message": f"a number{bounds_of(field)}"}


def is_within(value: Any, field: Entry) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return field.get("min", value) <= value <= field.get("max", value)


def bounds_of(field: Entry) -> str:
    low, high = field.get("min"), field.get("max")
    return "" if low is None and high is None else f" {'' if low is None else low}..{'' if high is None else high}"


def options_of(field: Entry) -> list[Any]:
    """The values of a static list: an array of values or of objects, or a map, whose keys and values both count."""
    options = field.get("options")
    if isinstance(options, dict):
        table = cast("dict[str, Any]", options)
        return [*table, *(value for value in table.values() if value not in table)]
    if not isinstance(options, list):
        return []
    return [
        cast("dict[str, Any]", option).get("value") if isinstance(option, dict) else option
        for option in cast("list[Any]", options)
    ]


def choices_of(field: Entry) -> Mistake:
    """The allowed values as an error names them."""
    options = options_of(field)
    return {"allowed": options} if options else {}


def signature(entry: Entry) -> str:
    """A command as a person reads it: set_input(input: hdmi1|hdmi2)."""
    fields = ", ".join(
        name_of(field) + ("" if field.get("required") else "?") + kind_of(field)
        for field in entries(entry.get("custom_fields"))
    )
    return name_of(entry) + (f"({fields})" if fields else "") + (" with file_id" if entry.get("with_file") else "")


def kind_of(field: Entry) -> str:
    options = options_of(field)
    if options:
        return ": " + "|".join(str(option) for option in options[:12]) + ("|…" if len(options) > 12 else "")
    bounds = bounds_of(field)
    return f":{bounds}" if bounds else ""


def name_of(entry: Entry) -> str:
    return str(entry.get("name") or entry.get("friendly_name"))[:100]


def mapping(value: Any) -> Entry:
    """What should be an object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def entries(value: Any) -> list[Entry]:
    """What should be a list of objects, each with a name."""
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    return [row for row in map(mapping, rows) if row.get("name") or row.get("friendly_name")]
