"""Simulated time: nothing happens between two ticks, and within one tick everything happens in order."""

import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

Action = Callable[[], None]


class Clock:
    """A queue of things to come and the number of simulated seconds gone by."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self.started = wall()
        self.elapsed = 0.0
        self._sequence = 0
        self._queue: list[tuple[float, int, Action]] = []

    def schedule(self, seconds: float, action: Action) -> None:
        """Do this so many simulated seconds from now."""
        self._sequence += 1
        heapq.heappush(self._queue, (self.elapsed + seconds, self._sequence, action))

    def tick(self, seconds: float) -> None:
        """Let simulated time pass, doing what falls due in it."""
        end = self.elapsed + seconds
        while self._queue and self._queue[0][0] <= end:
            due, _, action = heapq.heappop(self._queue)
            self.elapsed = due
            action()
        self.elapsed = end

    def timestamp(self) -> float:
        """The time to write into records: simulated, but never behind the wall clock its readers compare it with."""
        return max(self.started + self.elapsed, self.wall())

    def until(self, seconds: float) -> float:
        """The end of a window; whoever means "now" by it cannot know how far simulated time has run ahead."""
        return max(seconds, self.timestamp()) if seconds >= self.wall() - 60 else seconds


def iso(timestamp: float) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def iso_or_none(timestamp: float | None) -> str | None:
    """The same for a time that may not have come yet."""
    return None if timestamp is None else iso(timestamp)
