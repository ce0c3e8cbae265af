"""The runs: each does one kind of harm and gives a verdict."""

import asyncio
import base64
import os
import random
import signal
import time
import urllib.parse
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from sqlalchemy import text

from app.tasks import service
from app.tasks.crashes import STEPS, Step
from app.tasks.models import FINAL
from app.tasks.schemas import CommandSubmit
from tests.faults.presets import preset
from tests.faults.stage import Stage, Verdict, eventually, is_alive, stage

Harm = Callable[[Stage], Coroutine[Any, Any, None]]


async def kills(
    commands: int = 10_000,
    deaths: int = 100,
    *,
    wakeup: str = "arq",
    harm: Harm | None = None,
    give_up_s: float = 900,
    durable: bool = True,
) -> Verdict:
    """Non-idempotent commands, three workers, and a SIGKILL each time another part of the work is done."""
    dice = random.Random(1)
    async with stage(wakeup=wakeup, durable=durable) as ours:
        started = time.monotonic()
        ours.total = commands
        for _ in range(3):
            ours.worker()
        next_kill = commands / (deaths + 1)
        async with asyncio.TaskGroup() as together:
            together.create_task(ours.submit(commands))
            if harm:
                together.create_task(harm(ours))
            while ours.kills < deaths and time.monotonic() - started < give_up_s:
                if await ours.progress() >= next_kill * (ours.kills + 1):
                    ours.kill(dice.choice(ours.workers))
                    ours.worker()
                    ours.kills += 1
                await asyncio.sleep(0.02)
        last_kill = time.monotonic()
        finished = await ours.finished(max(120.0, give_up_s - (last_kill - started)))
        verdict = await ours.judge(commands, started, finished=finished)
        verdict.more["final_after_last_kill_s"] = round(time.monotonic() - last_kill, 1)
        if verdict.unknown > deaths * 20:
            verdict.faults.append("more unknown than kills x concurrent sendings")
        if verdict.kills < deaths:
            verdict.faults.append(f"only {verdict.kills} kills")
        return verdict


async def flushed_twice(ours: Stage) -> None:
    """All of Redis is lost, two times."""
    for share in (0.3, 0.6):
        await ours.reached(share)
        async with ours.redis() as redis:
            await redis.execute_command("FLUSHALL")


async def redis_away(ours: Stage) -> None:
    """Redis stands still for ten seconds, and then goes on."""
    await ours.reached(0.3)
    async with ours.redis() as redis:
        info: Any = await redis.execute_command("INFO", "server")
        pid = int(info["process_id"])
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(10)
    os.kill(pid, signal.SIGCONT)


async def postgres_restarted(ours: Stage) -> None:
    """PostgreSQL falls over and recovers from its log, three times: it does so when one of its backends is killed."""
    for share in (0.2, 0.4, 0.6):
        await ours.reached(share)
        with suppress(Exception):
            async with ours.resources.engine.connect() as db:
                os.kill((await db.execute(text("SELECT pg_backend_pid()"))).scalar_one(), signal.SIGKILL)


async def crash_points(times: int = 50, steps: Sequence[Step] = STEPS, *, durable: bool = True) -> Verdict:
    """A worker, or an API, that dies at each step, so many times."""
    async with stage(durable=durable) as ours:
        started = time.monotonic()
        numbers = count()
        for step in steps:
            visit = crash_submitting if step.startswith("submit") else crash_working
            await visit(ours, step, times, numbers)
        ours.worker()
        finished = await ours.finished(60)
        total = next(numbers)
        verdict = await ours.judge(total, started, finished=finished)
        verdict.more["crash_points"] = len(steps)
        return verdict


async def crash_working(ours: Stage, step: Step, times: int, numbers: Any) -> None:
    """Let workers die at this step, each with one command of its own."""
    for _ in range(times):
        if step == "before_reconcile":  # there has to be something to find out
            await crash_working(ours, "after_send", 1, numbers)
        else:
            await ours.submit(1, first=next(numbers))
        pid = ours.worker(CRASH_AT=step)
        if not await eventually(lambda pid=pid: gone(pid), 30):
            raise AssertionError(f"no worker died at {step}")
        ours.kills += 1
        ours.workers.remove(pid)


async def gone(pid: int) -> bool:
    return not is_alive(pid)


async def crash_submitting(ours: Stage, step: Step, times: int, numbers: Any) -> None:
    """Let APIs die at this step, each under one request."""
    for _ in range(times):
        number = next(numbers)
        pid = ours.api(CRASH_AT=step)
        async with client_of(ours) as client:
            assert await eventually(lambda client=client: healthy(client), 90), "no API came up"
            answered = "nothing"
            with suppress(httpx.TransportError):
                answered = (await client.post("/v1/tasks", json=body(ours, number))).text
        if not await eventually(lambda pid=pid: gone(pid), 30):
            raise AssertionError(f"no API died at {step}, it answered {answered}")
        ours.kills += 1
        ours.apis.remove(pid)
        if step == "submit_before_commit":  # it was never recorded and never answered, so it is submitted again
            await ours.submit(1, first=number)


def body(ours: Stage, number: int) -> dict[str, Any]:
    return {
        "device_id": ours.devices[number % len(ours.devices)],
        "name": "reboot",
        "extra_params": {"number": number},
        "skip_validation": True,
        "deadline_seconds": 3600,
    }


@asynccontextmanager
async def client_of(ours: Stage) -> AsyncGenerator[httpx.AsyncClient]:
    """A caller of the stage's API."""
    transport = httpx.AsyncHTTPTransport(uds=ours.environment["API_SOCKET"])
    headers = {"X-XYTE-API-KEY": ours.key}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers, timeout=60
    ) as client:
        yield client


async def healthy(client: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get("/healthz")).status_code == 200
    return False


async def zombies(rounds: int = 3) -> Verdict:
    """A worker frozen past its lease and grace while it sends, then thawed."""
    async with stage() as ours:
        started = time.monotonic()
        await ours.simulator.post(
            "/_simulator/faults",
            json={"kind": "latency", "method": "POST", "path": "*/commands", "seconds": 0.5, "times": None},
        )
        numbers = 0
        for _ in range(rounds):
            pid = ours.worker()
            await ours.submit(40, first=numbers)
            numbers += 40
            await eventually(lambda: dispatching(ours), 20, every=0.01)
            os.kill(pid, signal.SIGSTOP)
            ours.kills += 1
            other = ours.worker()
            await ours.finished(60)
            os.kill(pid, signal.SIGCONT)
            ours.kill(other)
            await eventually(lambda: idle(ours), 10)
        finished = await ours.finished(30)
        await eventually(lambda: quiet(ours), 5)
        return await ours.judge(numbers, started, finished=finished)


async def dispatching(ours: Stage) -> bool:
    return (await ours.states())["dispatching"] > 0


async def idle(ours: Stage) -> bool:
    return not set(await ours.states()) - FINAL


async def quiet(ours: Stage) -> bool:
    """Whether the simulator's count of commands stands still."""
    before = await ours.seen()
    await asyncio.sleep(0.5)
    return before == await ours.seen()


async def same_key(parallel: int = 100) -> Verdict:
    """Equal submissions side by side: one task, one sending, and replays."""
    async with stage() as ours:
        started = time.monotonic()
        ours.worker()
        ours.api()
        async with client_of(ours) as client:
            await eventually(lambda: healthy(client), 30)
            headers = {"Idempotency-Key": "the same for all"}
            answers = await asyncio.gather(
                *(client.post("/v1/tasks", json=body(ours, 0), headers=headers) for _ in range(parallel))
            )
            other = await client.post("/v1/tasks", json=body(ours, 1), headers=headers)
        finished = await ours.finished(30)
        verdict = await ours.judge(1, started, finished=finished)
        replays = sum(1 for answer in answers if answer.headers.get("Idempotent-Replayed") == "true")
        tasks = {answer.json().get("id") for answer in answers}
        verdict.more |= {"parallel": parallel, "tasks": len(tasks), "replays": replays, "other_body": other.status_code}
        if len(tasks) != 1 or replays != parallel - 1 or other.status_code != 422:
            verdict.faults.append(f"not one task and {parallel - 1} replays")
        return verdict


async def web_kills(deaths: int = 50) -> Verdict:
    """The API killed under load: whatever was answered 202 is there."""
    async with stage() as ours:
        started = time.monotonic()
        ours.worker()
        numbers = count()
        accepted: dict[str, int] = {}
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                number = next(numbers)
                with suppress(httpx.TransportError):
                    async with client_of(ours) as client:
                        answer = await client.post("/v1/tasks", json=body(ours, number))
                        if answer.status_code == 202:
                            accepted[answer.json()["id"]] = number
                await asyncio.sleep(0.01)

        loading = [asyncio.create_task(load()) for _ in range(4)]
        for _ in range(deaths):
            pid = ours.api()
            before = len(accepted)
            await eventually(lambda before=before: grown(accepted, before + 5), 30, every=0.01)
            ours.kill(pid)
            ours.kills += 1
        stop.set()
        await asyncio.gather(*loading)
        finished = await ours.finished(60)
        async with ours.resources.engine.connect() as db:
            known = {str(row[0]) for row in await db.execute(text("SELECT id FROM tasks"))}
        seen = await ours.seen()
        verdict = Verdict(commands=len(accepted), kills=ours.kills, seconds=round(time.monotonic() - started, 1))
        verdict.twice = sum(1 for number in seen.values() if number > 1)
        verdict.lost = len(set(accepted) - known)
        verdict.states = dict(await ours.states())
        verdict.faults += [f"{verdict.lost} answered tasks missing"] if verdict.lost else []
        verdict.faults += [f"{verdict.twice} sent twice"] if verdict.twice else []
        verdict.faults += [] if finished else ["unfinished"]
        return verdict


async def grown(accepted: dict[str, int], least: int) -> bool:
    return len(accepted) >= least


async def figures(*, wakeup: str = "arq", latencies: int = 200, drained: int = 1000) -> Verdict:
    """From enqueueing to running on an idle system, and how fast a queue drains."""
    async with stage(wakeup=wakeup) as ours:
        started = time.monotonic()
        pid = ours.worker()
        await ours.submit(20)
        await ours.finished(30)
        times: list[float] = []
        for number in range(latencies):
            asked = CommandSubmit.model_validate(body(ours, 100 + number))
            task = (await service.submit(ours.resources, ours.caller, asked)).task.id
            async with ours.resources.engine.connect() as db:
                query = text(
                    "SELECT extract(epoch FROM e.at - t.created_at) FROM task_events e JOIN tasks t ON t.id = e.task_id"
                    " WHERE t.id = :id AND e.to_state = 'running' LIMIT 1"
                )
                while (row := (await db.execute(query, {"id": task})).first()) is None:
                    await db.rollback()
                    await asyncio.sleep(0.02)
                times.append(float(row[0]) * 1000)
        ours.kill(pid)
        await ours.submit(drained, first=10_000)
        cpu = time.monotonic()
        pid = ours.worker()
        await eventually(lambda: begun(ours), 20, every=0.01)
        since = time.monotonic()
        await eventually(lambda: drained_all(ours), 120, every=0.05)
        took = time.monotonic() - since
        finished = await ours.finished(60)
        verdict = Verdict(commands=latencies + drained, seconds=round(time.monotonic() - started, 1))
        spent = cpu_seconds(pid)
        verdict.more = {
            "wakeup": wakeup,
            "median_ms": round(median(times), 1),
            "p99_ms": round(quantiles(times, n=100)[98], 1),
            "drained_per_s": round(drained / took),
            "worker_cpu_ms_per_task": round(spent / drained * 1000, 2),
            "worker_started_s": round(since - cpu, 2),
            "load": os.getloadavg()[0],
        }
        if not finished:
            verdict.faults.append("unfinished")
        if verdict.more["median_ms"] > 50 or verdict.more["p99_ms"] > 250:
            verdict.faults.append("slow to start")
        if verdict.more["drained_per_s"] < 200:
            verdict.faults.append("slow to drain")
        return verdict


def cpu_seconds(pid: int) -> float:
    """What a process has spent so far."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15])) / os.sysconf("SC_CLK_TCK")


async def begun(ours: Stage) -> bool:
    states = await ours.states()
    return states["dispatching"] + states["running"] > 0


async def drained_all(ours: Stage) -> bool:
    states = await ours.states()
    return not states["queued"] and not states["dispatching"]


async def planted_keys() -> Verdict:
    """No store, log or dump holds the caller's key, in any spelling; the scan finds one that was planted."""
    async with stage() as ours:
        started = time.monotonic()
        numbers = count(100)
        for step in ("after_fence", "after_send"):
            await crash_working(ours, step, 1, numbers)
        ours.worker(LOG_LEVEL="DEBUG")
        ours.api(LOG_LEVEL="DEBUG")
        async with client_of(ours) as client:
            await eventually(lambda: healthy(client), 30)
            for number in range(20):
                await client.post("/v1/tasks", json=body(ours, number), headers={"Idempotency-Key": f"key {number}"})
        finished = await ours.finished(60)
        verdict = Verdict(commands=21, kills=ours.kills, seconds=round(time.monotonic() - started, 1))
        async with ours.redis() as redis:
            await redis.execute_command("BGREWRITEAOF")
            names: Any = await redis.execute_command("KEYS", "*")
            dump = b"".join([await redis.dump(name) or b"" for name in names])
            append_only = Path((await redis.config_get("dir"))["dir"])
        async with ours.resources.engine.connect() as db:
            await db.execute(text("CHECKPOINT"))
            data = Path((await db.execute(text("SHOW data_directory"))).scalar_one())
        (ours.folder / "redis.dump").write_bytes(dump)
        with (ours.folder / "tables.sql").open("wb") as sql:
            sql.write(await tables(ours))
        places = [ours.folder, data, append_only]
        found = [one for place in places for one in scan(place, ours.key)]
        planted = ours.folder / "planted.log"
        planted.write_text(base64.b64encode(f"x{ours.key}".encode()).decode())
        verdict.more = {"found": len(found), "files_searched": sum(len(files(place)) for place in places)}
        verdict.faults += [f"key in {place}" for place in found]
        verdict.faults += [] if "planted.log" in scan(ours.folder, ours.key) else ["the planted key was not found"]
        verdict.faults += [] if finished else ["unfinished"]
        return verdict


async def tables(ours: Stage) -> bytes:
    """Every table as text, as a dump has it."""
    parts: list[str] = []
    async with ours.resources.engine.connect() as db:
        for table in ("tasks", "task_events", "task_secrets", "idempotency_records", "pg_stat_activity"):
            parts += [str(row[0]) for row in await db.execute(text(f"SELECT t::text FROM {table} t"))]
    return "\n".join(parts).encode()


def spellings(key: str) -> list[bytes]:
    """A key as it may lie about: raw, base64 at each alignment, hex, URL-encoded, backwards."""
    plain = key.encode()
    aligned = [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    urlsafe = [text.replace(b"+", b"-").replace(b"/", b"_") for text in aligned]
    return [plain, *aligned, *urlsafe, plain.hex().encode(), urllib.parse.quote(key, safe="").encode(), plain[::-1]]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def scan(folder: Path, key: str) -> list[str]:
    """Files that hold the key."""
    wanted = spellings(key)
    found: list[str] = []
    for path in files(folder):
        with suppress(OSError):
            content = path.read_bytes()
            if any(spelling in content for spelling in wanted):
                found.append(str(path.relative_to(folder)))
    return found


Run = Callable[[], Coroutine[Any, Any, Verdict]]

RUNS: dict[str, Run] = {
    "kills": kills,
    "flushed": lambda: kills(harm=flushed_twice),
    "redis-away": lambda: kills(harm=redis_away),
    "postgres": lambda: kills(harm=postgres_restarted),
    "poll": lambda: kills(wakeup="poll"),
    "crash-points": crash_points,
    "preset": preset,
    "zombies": zombies,
    "same-key": same_key,
    "web-kills": web_kills,
    "planted": planted_keys,
    "figures": figures,
    "figures-poll": lambda: figures(wakeup="poll"),
}
QUICK: dict[str, Run] = {
    "kills": lambda: kills(150, 3, durable=False, give_up_s=60),
    "flushed": lambda: kills(100, 1, durable=False, harm=flushed_twice, give_up_s=60),
    "postgres": lambda: kills(100, 1, harm=postgres_restarted, give_up_s=60),
    "poll": lambda: kills(100, 1, durable=False, wakeup="poll", give_up_s=60),
    "crash-points": lambda: crash_points(1, durable=False),
}
