"""The spaces and devices that a key can see, and how one of them is found by what a person calls it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from app.errors import Ambiguous, NotFound
from app.rooms.kinds import Kind, Rule, kind_of
from app.rooms.names import alike, begun, folded, words_of
from app.xyte.capabilities import mapping
from app.xyte.client import XyteClient

NEAREST = 5
CANDIDATES = 20
AWAY = frozenset({"offline", "disconnected", "never_seen"})

Row = Mapping[str, Any]
Named = TypeVar("Named", "Device", "Space")


@dataclass(frozen=True)
class Device:
    """A device as a list or its own entry shows it."""

    row: Row
    kind: Kind

    @property
    def id(self) -> str:
        return str(self.row.get("id"))

    @property
    def name(self) -> str:
        return str(self.row.get("name") or self.id)

    @property
    def model(self) -> str | None:
        model = self.row.get("model")
        return mapping(model).get("name") or (model if isinstance(model, str) else None)

    @property
    def model_id(self) -> str | None:
        return mapping(self.row.get("model")).get("id")

    @property
    def serial(self) -> str | None:
        return self.row.get("sn")

    @property
    def space_id(self) -> int | None:
        return mapping(self.row.get("space")).get("id") or self.row.get("space_id")

    @property
    def path(self) -> str | None:
        return mapping(self.row.get("space")).get("full_path") or self.row.get("space_name")

    @property
    def status(self) -> str:
        """Its health as Xyte computes it, else what it says itself."""
        return str(self.row.get("effective_status") or self.row.get("status") or "never_seen")

    @property
    def away(self) -> bool:
        """Whether it cannot be reached."""
        return self.status in AWAY or self.row.get("status") == "offline"

    @property
    def last_seen(self) -> str | None:
        return self.row.get("last_seen_at")

    @property
    def state(self) -> Row:
        return mapping(self.row.get("state"))


@dataclass(frozen=True)
class Space:
    """A place in the tree, with all that is under it."""

    row: Row
    within: frozenset[int]
    is_room: bool

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def name(self) -> str:
        return str(self.row.get("name") or self.id)

    @property
    def path(self) -> str:
        return str(self.row.get("full_path") or self.row.get("path") or self.name)


class Fleet:
    """What a key saw of spaces and devices within the last half minute."""

    def __init__(self, spaces: Sequence[Row], devices: Sequence[Row], rules: Sequence[Rule]) -> None:
        self._spaces = spaces
        self._devices = devices
        self.rules = rules

    @classmethod
    async def seen_by(cls, xyte: XyteClient, rules: Sequence[Rule]) -> "Fleet":
        spaces, devices = await asyncio.gather(xyte.whole("spaces"), xyte.whole("devices"))
        return cls(spaces, devices, rules)

    @cached_property
    def spaces(self) -> list[Space]:
        rows = [row for row in self._spaces if isinstance(row.get("id"), int)]
        children: dict[Any, list[int]] = {}
        for row in rows:
            children.setdefault(row.get("parent_id"), []).append(row["id"])
        return [
            Space(row, under(row["id"], children), row.get("space_type") == "room" or is_leaf(row, children))
            for row in rows
        ]

    @property
    def rooms(self) -> list[Space]:
        return [space for space in self.spaces if space.is_room]

    @cached_property
    def devices(self) -> list[Device]:
        return [Device(row, kind_of(row, self.rules)) for row in self._devices if row.get("id")]

    def devices_in(self, space: Space) -> list[Device]:
        return [device for device in self.devices if device.space_id in space.within]

    def device(self, device_id: str) -> Device | None:
        return next((device for device in self.devices if device.id == device_id), None)

    def rooms_like(self, query: str, limit: int) -> list[Space]:
        """Rooms that the words name, else those that look alike."""
        return named(query, self.rooms) or alike(query, self.rooms, lambda room: (room.name, room.path), limit)

    def room(self, query: str) -> Space:
        """The one room that is meant: by id, path, end of a path, name, or the beginnings of its words."""
        hits = named(query, self.rooms)
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise Ambiguous("Several rooms are called so. Take one by its id or path.", candidates(hits))
        wider = named(query, self.spaces)
        inside = [room for room in self.rooms if any(room.id in space.within for space in wider)]
        if inside:
            raise Ambiguous("That is not one room, but a place with several. Take one of them.", candidates(inside))
        near = alike(query, self.rooms, lambda room: (room.name, room.path), NEAREST)
        hint = " See nearest." if near else ""
        raise NotFound(f"No room is called so.{hint} find_rooms finds those there are.", candidates(near))

    def one_device(self, query: str, room: Space | None, kind: str | None = None) -> Device:
        """The one device that is meant: by id, serial, name, kind, or the beginnings of its words."""
        there = self.devices_in(room) if room else self.devices
        there = [device for device in there if kind is None or device.kind.kind == kind]
        hits = devices_named(query, there)
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise Ambiguous("Several devices are called so. Take one by its id, or name the room.", candidates(hits))
        near = alike(query, there, lambda device: (device.name, device.path or ""), NEAREST)
        place, hint = " in this room" if room else "", " See nearest." if near else ""
        raise NotFound(f"No device is called so{place}.{hint} find_devices finds those there are.", candidates(near))


def under(space_id: int, children: Mapping[Any, Sequence[int]]) -> frozenset[int]:
    """A space and all below it."""
    found: set[int] = set()
    open_: list[int] = [space_id]
    while open_:
        if (one := open_.pop()) not in found:
            found.add(one)
            open_ += children.get(one, ())
    return frozenset(found)


def is_leaf(row: Row, children: Mapping[Any, Sequence[int]]) -> bool:
    """Whether a place of another type is a room all the same: nothing lies below it."""
    return row["id"] not in children and row.get("space_type") not in ("root", "customer")


def named(query: str, spaces: Sequence[Space]) -> list[Space]:
    """Those that are called so, by the strictest reading that fits any."""
    wanted, words = folded(query).strip("/ "), words_of(query)
    readings: tuple[Callable[[Space], bool], ...] = (
        lambda space: str(space.id) == wanted,
        lambda space: folded(space.path) == wanted,
        lambda space: "/" in wanted and folded(space.path).endswith("/" + wanted),
        lambda space: folded(space.name) == wanted,
        lambda space: begun(words, words_of(space.name)),
        lambda space: begun(words, words_of(space.path)),
    )
    return first_hits(spaces, readings)


def devices_named(query: str, devices: Sequence[Device]) -> list[Device]:
    """Likewise; a kind names a device where it is the only one of it."""
    wanted, words = folded(query).strip(), words_of(query)
    kind = wanted.replace(" ", "_")
    readings: tuple[Callable[[Device], bool], ...] = (
        lambda device: query.strip() in (device.id, device.serial),
        lambda device: folded(device.name) == wanted,
        lambda device: device.kind.kind in (kind, kind.removesuffix("s")),
        lambda device: begun(words, words_of(device.name)),
        lambda device: begun(words, words_of(f"{device.name} {device.path} {device.model}")),
    )
    return first_hits(devices, readings)


def first_hits(things: Sequence[Named], readings: Iterable[Callable[[Named], bool]]) -> list[Named]:
    """What the first reading finds that finds anything."""
    for reading in readings:
        if hits := [thing for thing in things if reading(thing)]:
            return hits
    return []


def candidates(things: Iterable[Named]) -> list[dict[str, Any]]:
    """What tells things of one name apart."""
    return [{"id": thing.id, "name": thing.name, "path": thing.path} for thing in things][:CANDIDATES]
