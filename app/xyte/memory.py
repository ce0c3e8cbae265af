"""What the cloud said lately, for things that hardly change, such as a model's commands."""

import time
from collections import OrderedDict
from typing import Any

BELIEVED_FOR_S = 300.0
REMEMBERED = 1_000


class Memory:
    """The latest answers, each under the key that may see it; the oldest one gives way."""

    def __init__(self, believed_for_s: float = BELIEVED_FOR_S) -> None:
        self._believed_for_s = believed_for_s
        self._kept: OrderedDict[tuple[str | int, ...], tuple[float, Any]] = OrderedDict()

    def recall(self, place: tuple[str | int, ...]) -> Any:
        """What was kept, or nothing when there is none or it is too old."""
        kept_at, value = self._kept.get(place, (-self._believed_for_s, None))
        return value if time.monotonic() - kept_at < self._believed_for_s else None

    def keep(self, place: tuple[str | int, ...], value: Any) -> None:
        self._kept[place] = time.monotonic(), value
        self._kept.move_to_end(place)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)
