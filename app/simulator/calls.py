"""What a handler is given, what it may refuse, and the small rules all handlers share."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import parse_qs

import orjson

from app.simulator.records import Device, JsonObject, Organization, Partner

if TYPE_CHECKING:
    from app.simulator.simulator import Simulator

Row = TypeVar("Row")

NOT_FOUND = "Errors::NotFound"
NOT_AUTHORIZED = "Not authorized"
SUCCESS: JsonObject = {"success": True}


class Refusal(Exception):
    """The call is not done; the caller gets this status and body instead."""

    def __init__(self, status: int, body: str | JsonObject) -> None:
        super().__init__(status)
        self.status = status
        self.body: JsonObject = {"error": body} if isinstance(body, str) else body


class Call:
    """One request, with the caller it comes from."""

    __slots__ = (
        "_query",
        "base_url",
        "body",
        "device",
        "organization",
        "partner",
        "path",
        "query_string",
        "simulator",
        "world",
    )

    organization: Organization
    partner: Partner
    device: Device

    def __init__(
        self, simulator: "Simulator", path: dict[str, str], query_string: bytes, body: bytes, base_url: str
    ) -> None:
        self.simulator = simulator
        self.world = simulator.world
        self.path = path
        self.query_string = query_string
        self.body = body
        self.base_url = base_url
        self._query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name, parsed when first asked for."""
        if self._query is None:
            self._query = parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True)
        return self._query

    def text(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[-1] if values else None

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        return None if value is None else as_integer(value, name)

    def bounded(self, name: str, default: int, maximum: int | None = None) -> int:
        """A number from 1 to the maximum."""
        value = self.integer(name)
        if value is None:
            return default
        if value < 1 or (maximum is not None and value > maximum):
            raise Refusal(422, f"{name} must be between 1 and {maximum or 'any'}")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        if value is None:
            return None
        if value not in ("true", "false", "1", "0"):
            raise Refusal(422, f"{name} must be true or false")
        return value in ("true", "1")

    def choice(self, name: str, allowed: Iterable[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise Refusal(422, f"{name} is not valid")
        return value

    def moment(self, name: str) -> float | None:
        """An ISO time; without an offset it is UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise Refusal(422, f"{name} is not a valid time") from None
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()

    def json(self) -> JsonObject:
        """The body as an object; no body is an empty one."""
        value = self.any_json()
        if not isinstance(value, dict):
            raise Refusal(422, "A JSON object is required")
        return cast(JsonObject, value)

    def any_json(self) -> object:
        try:
            return orjson.loads(self.body) if self.body else {}
        except orjson.JSONDecodeError:
            raise Refusal(400, "The body is not valid JSON") from None


def as_integer(value: object, name: str) -> int:
    """A whole number, also when it came as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(cast(str, value))
    except (TypeError, ValueError):
        raise Refusal(422, f"{name} is not a number") from None


def required_text(body: JsonObject, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refusal(422, f"{label(name)} can't be blank")
    return value


def optional_text(body: JsonObject, name: str, default: str | None = None) -> str | None:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise Refusal(422, f"{label(name)} must be a string")
    return value


def optional_object(body: JsonObject, name: str) -> JsonObject | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Refusal(422, f"{label(name)} must be an object")
    return cast(JsonObject, value)


def text_list(body: JsonObject, name: str) -> list[str]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in cast(list[Any], value)):
        raise Refusal(422, f"{label(name)} must be a list of ids")
    return cast(list[str], value)


def label(name: str) -> str:
    """A field's name as the messages write it."""
    return name.replace("_", " ").capitalize()


def known(rows: dict[str, Row], key: str) -> Row:
    """The row of this id in the caller's tenant."""
    if (row := rows.get(key)) is None:
        raise Refusal(404, NOT_FOUND)
    return row


def page(
    call: Call,
    rows: Iterable[Row],
    render: Callable[[Row], JsonObject],
    *,
    size: int = 100,
    most: int = 100,
) -> JsonObject:
    """One page in the organization scope's envelope."""
    number = call.bounded("page", 1)
    per_page = call.bounded("per_page", size, most)
    taken = list(islice(rows, (number - 1) * per_page, number * per_page + 1))
    more = len(taken) > per_page
    envelope: JsonObject = {"items": [render(row) for row in taken[:per_page]]}
    if call.world.settings.page_continuation != "next_page":
        envelope["has_next_page"] = more
    if call.world.settings.page_continuation != "has_next_page":
        envelope["next_page"] = number + 1 if more else None
    return envelope


def partner_page(call: Call, rows: Sequence[Row], render: Callable[[Row], JsonObject], size: int = 100) -> JsonObject:
    """One page in the partner scope's envelope."""
    number = call.bounded("page", 1)
    start = (number - 1) * size
    return {
        "data": [render(row) for row in rows[start : start + size]],
        "page_info": {"has_next": len(rows) > start + size, "total_count": len(rows)},
    }
