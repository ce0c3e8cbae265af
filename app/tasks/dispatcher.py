"""The worker's heart: takes commands whenever there is room, and looks after the rest now and then."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial

from opentelemetry.trace import SpanKind
from sqlalchemy.exc import IntegrityError

from app.db import AWAY
from app.doorbell import end
from app.resources import Resources
from app.tasks import jobs, repository
from app.tasks.crashes import reach
from app.tasks.jobs import Key
from app.tasks.ledger import Ledger
from app.tasks.models import Task
from app.telemetry import QUEUE_SECONDS, TASKS, TASKS_OLDEST_SECONDS

logger = logging.getLogger("app.tasks")

LOOK_EVERY_S = 1.0
PAUSE_S = 0.5


class Dispatcher:
    """Sends as many commands at a time as it has slots; a ring only makes it look sooner."""

    def __init__(self, resources: Resources, also: Sequence[Callable[[Ledger], Awaitable[None]]] = ()) -> None:
        self._resources = resources
        self._also = also
        self._ledger = Ledger(resources)
        self._bell = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._cursor = ""
        self._stopping = False

    def wake(self) -> None:
        """There may be something to do."""
        self._bell.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Work while this is open; then take nothing more, and wait for what is being sent."""
        loops = [
            self._take_on(),
            self._regularly(lambda: jobs.reconcile(self._ledger), LOOK_EVERY_S),
            self._regularly(self._follow, LOOK_EVERY_S / 2),
            self._regularly(lambda: jobs.sweep(self._ledger), LOOK_EVERY_S),
            self._regularly(self._census, 5.0),
            self._regularly(lambda: jobs.purge(self._ledger), 60.0),
            *(self._regularly(partial(look, self._ledger), LOOK_EVERY_S / 4) for look in self._also),
        ]
        running = [asyncio.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            await self._drain(running)

    async def _drain(self, loops: list[asyncio.Task[None]]) -> None:
        self._stopping = True
        self.wake()
        await end(*loops[1:])
        await asyncio.wait(loops)
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._resources.settings.tasks_drain_s)

    async def _take_on(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                while not self._stopping and await self.take_on():
                    pass
            except IntegrityError:
                continue  # two workers wanted the same device; the other one has it
            except AWAY as failure:
                logger.warning("PostgreSQL is away", extra={"failure": type(failure).__name__})
                await asyncio.sleep(PAUSE_S)
            except Exception:
                logger.exception("taking commands on failed")
                await asyncio.sleep(PAUSE_S)
            await self._rung(LOOK_EVERY_S)

    async def _rung(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def take_on(self) -> int:
        """Fence as many commands as there are slots, then start sending them; says how many there were."""
        settings = self._resources.settings
        slots = settings.tasks_at_once - len(self._sending)
        if slots <= 0:
            return 0
        reach(settings, "before_fence")
        claimed_at = time.monotonic()
        async with self._ledger.session() as db:
            tasks = await repository.claim(
                db,
                cursor=self._cursor,
                slots=slots,
                per_tenant=settings.tasks_at_once_per_tenant,
                lease_s=settings.tasks_lease_s,
            )
            keys = await repository.keys_of(db, self._resources, tasks) if tasks else {}
        for task in tasks:
            reach(settings, "after_fence")
            self._cursor = task.tenant
            self._start(task, keys[task.id], claimed_at)
        return len(tasks)

    def _start(self, task: Task, key: Key, claimed_at: float) -> None:
        assert task.dispatch_started_at is not None
        if task.attempt == 1:
            QUEUE_SECONDS.observe((task.dispatch_started_at - task.created_at).total_seconds())
        sending = asyncio.create_task(self._send(task, key, claimed_at))
        self._sending.add(sending)
        sending.add_done_callback(self._sent)

    def _traced(self, task: Task) -> AbstractContextManager[object]:
        """The trace of the request that submitted the task goes on here."""
        tracing = self._resources.tracing
        if tracing is None:
            return nullcontext()
        parent = {"traceparent": task.traceparent} if task.traceparent else {}
        return tracing.span("send command", SpanKind.CONSUMER, parent)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        self.wake()

    async def _send(self, task: Task, key: Key, claimed_at: float) -> None:
        try:
            with self._traced(task):
                await jobs.send(self._ledger, task, key, claimed_at)
        except AWAY as failure:
            logger.warning("an outcome could not be recorded", extra={"failure": type(failure).__name__})
        except Exception:
            logger.exception("sending failed")

    async def settled(self) -> None:
        """Wait until nothing is being sent."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def _follow(self) -> None:
        while await jobs.follow(self._ledger) >= 500:
            pass

    async def _census(self) -> None:
        async with self._ledger.session() as db:
            counts = await repository.census(db)
        for state in ("queued", "dispatching", "running"):
            count, age_s = counts.get(state, (0, 0.0))
            TASKS.labels(state).set(count)
            TASKS_OLDEST_SECONDS.labels(state).set(age_s)

    async def _regularly(self, look: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            try:
                await look()
            except AWAY as failure:
                logger.warning("PostgreSQL is away", extra={"failure": type(failure).__name__})
            except Exception:
                logger.exception("looking after tasks failed")
            await asyncio.sleep(seconds)
