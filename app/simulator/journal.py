"""The record of every request: what tests ask to learn what really reached the cloud."""

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import orjson

from app.simulator.clock import iso
from app.simulator.records import JsonObject

CAPACITY = 200_000
LONGEST_BODY = 16_384
SECRETS = frozenset(
    ("hardware_key", "access_key", "access_token", "api_key", "secret", "password", "signature", "custom_parameters")
)


@dataclass(slots=True)
class Entry:
    """One request; its body stays as it came until someone wants to read it."""

    at: float
    method: str
    path: str
    query: str
    scope: str
    tenant: str | None
    key_id: str | None
    body: bytes
    status: int | None = None
    fault: str | None = None
    sequence: int = 0

    def shown(self) -> JsonObject:
        return {
            "sequence": self.sequence,
            "time": iso(self.at),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "scope": self.scope,
            "tenant": self.tenant,
            "key_id": self.key_id,
            "status": self.status,
            "body": _readable(self.body),
            "fault": self.fault,
        }


class Journal:
    """The latest requests, and how many there were in all."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=CAPACITY)
        self.total = 0

    def write(self, entry: Entry) -> None:
        self.total += 1
        entry.sequence = self.total
        self.entries.append(entry)

    def read(self, method: str | None, path: str | None, since: int, limit: int) -> list[JsonObject]:
        """Requests after a sequence number, oldest first; the path is a part of the raw path."""
        first = self.entries[0].sequence if self.entries else 1
        later = islice(self.entries, max(0, since + 1 - first), None)
        wanted = (
            entry
            for entry in later
            if (method is None or entry.method == method.upper()) and (path is None or path in entry.path)
        )
        return [entry.shown() for entry in islice(wanted, limit)]

    def clear(self) -> None:
        self.entries.clear()


def _readable(body: bytes) -> object:
    try:
        return _masked(orjson.loads(body)) if 0 < len(body) <= LONGEST_BODY else None
    except orjson.JSONDecodeError:
        return None


def _masked(value: object) -> object:
    if isinstance(value, dict):
        fields = cast(JsonObject, value)
        return {name: "*****" if name in SECRETS else _masked(inner) for name, inner in fields.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in cast(list[Any], value)]
    return value
