"""What the cloud said lately, for things that hardly change, such as a model's commands."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

BELIEVED_FOR_S = 300.0
REMEMBERED = 1_000
LISTS_REMEMBERED = 50


class Memory:
    """The latest answers, each under the key that may see it; the oldest one gives way."""

    def __init__(self, most: int = REMEMBERED, believed_for_s: float = BELIEVED_FOR_S) -> None:
        self._most = most
        self._believed_for_s = believed_for_s
        self._kept: OrderedDict[tuple[str | int, ...], tuple[float, Any]] = OrderedDict()
        self._under_way: dict[tuple[str | int, ...], asyncio.Task[Any]] = {}

    def recall(self, place: tuple[str | int, ...], believed_for_s: float | None = None) -> Any:
        """What was kept, or nothing when there is none or it is too old."""
        kept_at, value = self._kept.get(place, (float("-inf"), None))
        believed = self._believed_for_s if believed_for_s is None else believed_for_s
        return value if time.monotonic() - kept_at < believed else None

    async def fresh(
        self, place: tuple[str | int, ...], believed_for_s: float, look: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What was kept not so long ago, else one look for all who ask meanwhile."""
        if (known := self.recall(place, believed_for_s)) is not None:
            return known
        if place not in self._under_way:
            self._under_way[place] = asyncio.create_task(self._look(place, look))
        return await asyncio.shield(self._under_way[place])

    async def _look(self, place: tuple[str | int, ...], look: Callable[[], Awaitable[Any]]) -> Any:
        try:
            value = await look()
        finally:
            del self._under_way[place]
        self.keep(place, value)
        self._forget()
        return value

    def _forget(self) -> None:
        """Let go of what is too old to be believed; the oldest stand first."""
        while self._kept and time.monotonic() - next(iter(self._kept.values()))[0] > self._believed_for_s:
            self._kept.popitem(last=False)

    def keep(self, place: tuple[str | int, ...], value: Any) -> None:
        self._kept[place] = time.monotonic(), value
        self._kept.move_to_end(place)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
