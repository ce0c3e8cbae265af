"""How far the work of a call is, told to a caller that waits and has asked to hear of it."""

from typing import Protocol


class Report(Protocol):
    """Tells so much done, of so much in all if that is known, and in a few words what it was; done only rises."""

    async def __call__(self, done: float, total: float | None = None, message: str | None = None) -> None: ...


async def unheard(done: float, total: float | None = None, message: str | None = None) -> None:
    """Nobody listens."""


async def get_report() -> Report:
    """Over REST nobody listens; the MCP server puts the caller's progress token in this place."""
    return unheard
