"""Stops asking a cloud that keeps failing, so that callers hear so at once and it can recover."""

import time
from collections import deque
from math import ceil

from app.errors import UpstreamSuspended
from app.telemetry import BREAKER_OPEN


class Breaker:
    """Opens when at least half of the last calls failed; lets one through after a pause to see whether it is over.

    Only failures of the cloud itself count: no connection, no answer in time, 502, 503 or 504. What it refuses to one
    caller says nothing about the others.
    """

    def __init__(self, *, calls: int = 20, window_s: float = 10.0, pause_s: float = 5.0) -> None:
        self._calls = calls
        self._window_s = window_s
        self._pause_s = pause_s
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=200)
        self._open_until: float | None = None

    def check(self) -> None:
        """Raise while open; after the pause the next caller is the probe."""
        if self._open_until is None:
            return
        left = self._open_until - time.monotonic()
        if left > 0:
            raise UpstreamSuspended(ceil(left))
        self._open_until = time.monotonic() + self._pause_s

    def record(self, *, failed: bool) -> None:
        """Take note of one call's end."""
        now = time.monotonic()
        if not failed and self._open_until is not None:
            self._open_until = None
            self._outcomes.clear()
            BREAKER_OPEN.set(0)
        self._outcomes.append((now, failed))
        if failed and self._open_until is None and self._is_failing(now):
            self._open_until = now + self._pause_s
            BREAKER_OPEN.set(1)

    def _is_failing(self, now: float) -> bool:
        recent = [failed for at, failed in self._outcomes if now - at < self._window_s]
        return len(recent) >= self._calls and sum(recent) * 2 >= len(recent)
