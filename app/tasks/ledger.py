"""Where the worker writes down what became of tasks: changes that come while others are being written go together."""

import asyncio
import logging
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.db import AWAY
from app.resources import Resources
from app.tasks import repository
from app.tasks.models import FINAL, State, Task
from app.tasks.outcomes import readable
from app.telemetry import TASK_OUTCOMES
from app.xyte.schemas.shapes import JsonObject

logger = logging.getLogger("app.tasks")

MOST_TOGETHER = 200


@dataclass(slots=True)
class Change:
    """A task as it shall be, if it still is as it was read: same state, and the same fence before it.

    A moment that is None stays as it is; the others lie so many seconds ahead by PostgreSQL's clock.
    """

    id: UUID
    tenant: str
    was: State
    fence: int | None
    state: State
    attempt: int
    followed: int
    upstream_id: str | None
    upstream_status: str | None
    message: str | None
    note: str | None
    problem: JsonObject | None
    evidence: JsonObject | None
    run_in_s: float | None = None
    lease_in_s: float | None = None
    follow_in_s: float | None = None
    follow_for_s: float | None = None
    keep_on: bool = False

    @classmethod
    def of(cls, task: Task, **values: Any) -> "Change":
        """The task with these values and otherwise as it is; `keep_on` takes a wish to cancel back."""
        same: dict[str, Any] = {
            "state": task.state,
            "attempt": task.attempt,
            "followed": task.followed,
            "upstream_id": task.upstream_id,
            "upstream_status": task.upstream_status,
            "message": task.message,
            "note": task.note,
            "problem": task.problem,
            "evidence": task.evidence,
        }
        given = same | values
        if given["problem"] is not None:
            given["problem"] = {name: storable(value) for name, value in given["problem"].items()}
        return cls(task.id, task.tenant, task.state, task.fence, **given)


def storable(value: Any) -> Any:
    """Text without what PostgreSQL cannot store."""
    return readable(value) if isinstance(value, str) else value


def answer(waiter: asyncio.Future[bool], told: bool | BaseException) -> None:
    """Tell the one who waits, if it still does."""
    if waiter.done():
        return
    if isinstance(told, BaseException):
        waiter.set_exception(told)
    else:
        waiter.set_result(told)


class Ledger:
    """Writes changes in the order they come, many at a time."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self._waiting: deque[tuple[Change, UUID | None, asyncio.Future[bool]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    def session(self) -> AsyncSession:
        """Each statement is a transaction of its own: one round trip, committed when it returns."""
        engine = self.resources.engine.execution_options(isolation_level="AUTOCOMMIT")
        return AsyncSession(engine, expire_on_commit=False, autobegin=True)

    async def change(self, task: Task, **values: Any) -> bool:
        """Change the task, if nobody else was faster; then tell those who wait for it or for its parent."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((Change.of(task, **values), task.parent_id, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await done

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                states = await self._apply([change for change, _, _ in batch])
            except AWAY as failure:
                for _, _, done in batch:
                    answer(done, failure)
                continue
            except Exception:
                logger.exception("changes were refused, so each goes alone")
                await self._one_by_one(batch)
                continue
            for change, _, done in batch:
                answer(done, change.id in states)
            await self._tell(states, {parent for change, parent, _ in batch if parent and change.id in states})

    def _next_batch(self) -> list[tuple[Change, UUID | None, asyncio.Future[bool]]]:
        """As many as go together; two changes of one task do not, for one statement changes a row once."""
        batch: dict[UUID, tuple[Change, UUID | None, asyncio.Future[bool]]] = {}
        while self._waiting and len(batch) < MOST_TOGETHER and self._waiting[0][0].id not in batch:
            entry = self._waiting.popleft()
            batch[entry[0].id] = entry
        return list(batch.values())

    async def _one_by_one(self, batch: list[tuple[Change, UUID | None, asyncio.Future[bool]]]) -> None:
        """One of them is refused: let the others through."""
        for change, _, done in batch:
            try:
                states = await self._apply([change])
            except AWAY as failure:
                answer(done, failure)
            except Exception as failure:
                logger.exception("a change was refused", extra={"task_id": str(change.id)})
                answer(done, failure)
            else:
                answer(done, change.id in states)

    async def _apply(self, changes: list[Change]) -> dict[UUID, State]:
        async with self.session() as db:
            return await repository.apply(db, [asdict(change) for change in changes])

    async def _tell(self, states: dict[UUID, State], parents: set[UUID]) -> None:
        for state in states.values():
            if state in FINAL:
                TASK_OUTCOMES.labels(state).inc()
        if states:
            await self.resources.doorbell.tell([*states, *parents])
