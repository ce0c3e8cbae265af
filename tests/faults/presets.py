"""A preset over many devices, some of which fail, while the workers that run it are killed."""

import random
import time
from collections import Counter
from typing import Any
from uuid import UUID

from app.auth import tenant_of
from app.presets import service
from app.presets.schemas import PresetRun, PresetSave
from app.progress import unheard
from app.tasks.schemas import TaskOptions
from tests.faults.stage import Stage, Verdict, eventually, stage

NAME = "fifty"
REAL = {"done": "done", "failed": "failed"}


async def preset(devices: int = 50, deaths: int = 5, share: float = 0.1) -> Verdict:
    """One step for each device; its table has to say what the simulator saw, and a step is run again alone."""
    dice = random.Random(1)
    async with stage(durable=False) as ours:
        started = time.monotonic()
        await ours.simulator.patch("/_simulator/settings", json={"failure_rate": share, "command_seconds": 0.5})
        for fault in ("status", "lost_answer"):
            rule = {"kind": fault, "method": "POST", "path": "*/commands", "rate": share / 2, "times": None}
            (await ours.simulator.post("/_simulator/faults", json=rule)).raise_for_status()
        await save(ours, ours.devices[:devices])
        await ours.simulator.delete("/_simulator/commands")
        for _ in range(3):
            ours.worker()
        run = await service.run(
            ours.resources, ours.caller, NAME, None, TaskOptions(), header=None, wait_seconds=0, report=unheard
        )
        assert run.id is not None
        while ours.kills < deaths and time.monotonic() - started < 120:
            latest = await look(ours, run.id)
            if latest.final:
                break
            if ended(latest) >= devices / (deaths + 1) * (ours.kills + 0.5):
                ours.kill(dice.choice(ours.workers))
                ours.worker()
                ours.kills += 1
        finished = await eventually(lambda: is_final(ours, run.id), 180, every=0.25)
        verdict = await judge(ours, await look(ours, run.id), devices, finished=finished)
        verdict.seconds = round(time.monotonic() - started, 1)
        if ours.kills < deaths:
            verdict.faults.append(f"only {ours.kills} kills")
        await run_again(ours, run.id, verdict)
        return verdict


async def save(ours: Stage, devices: list[str]) -> None:
    """The preset: a command that may not run twice, for each device."""
    steps = [{"device_id": device, "command": "reboot", "timeout_seconds": 60} for device in devices]
    asked = PresetSave(yaml=None, stages=[{"steps": steps}], title=None, description=None, note=None, based_on=None)
    await service.save(ours.resources, ours.caller, NAME, asked)


async def look(ours: Stage, run_id: Any) -> PresetRun:
    return await service.status(ours.resources, await tenant_of(ours.resources, ours.caller), run_id)


async def is_final(ours: Stage, run_id: Any) -> bool:
    return (await look(ours, run_id)).final


def ended(run: PresetRun) -> int:
    return sum(step.state not in ("waiting", "running") for step in run.steps)


async def taken(ours: Stage) -> dict[str, list[str]]:
    """What the simulator took, by device: how each command stands."""
    rows: list[dict[str, Any]] = (await ours.simulator.get("/_simulator/commands")).json()["commands"]
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["device_id"], []).append(row["status"])
    return found


async def judge(ours: Stage, run: PresetRun, devices: int, *, finished: bool) -> Verdict:
    """Hold the run's table against what the simulator saw."""
    seen = await taken(ours)
    verdict = Verdict(commands=devices, kills=ours.kills)
    verdict.states = dict(Counter(step.state for step in run.steps))
    verdict.twice = sum(len(statuses) > 1 for statuses in seen.values())
    verdict.unknown = verdict.states.get("unknown", 0)
    verdict.unknown_but_sent = sum(step.state == "unknown" and str(step.device_id) in seen for step in run.steps)
    verdict.more["run"] = run.state
    verdict.more["summary"] = run.summary
    for step in run.steps:
        real = seen.get(str(step.device_id), [])
        if step.state == "done" and real != ["done"]:
            verdict.faults.append(f"step {step.number} is done, the device says {real}")
        if step.state == "failed" and real not in ([], ["failed"]):
            verdict.faults.append(f"step {step.number} failed ({step.reason}), the device says {real}")
        if step.state not in ("done", "failed", "unknown"):
            verdict.faults.append(f"step {step.number} is {step.state}: {step.reason}")
    if len(run.steps) != devices:
        verdict.faults.append(f"{len(run.steps)} rows")
    if not finished:
        verdict.faults.append("unfinished")
    if verdict.twice:
        verdict.faults.append(f"{verdict.twice} sent twice")
    return verdict


async def run_again(ours: Stage, run_id: UUID, verdict: Verdict) -> None:
    """A failed step alone: one more command, for its device."""
    await ours.simulator.patch("/_simulator/settings", json={"failure_rate": 0.0})
    await ours.simulator.delete("/_simulator/faults")
    failed = next((step for step in (await look(ours, run_id)).steps if step.state == "failed"), None)
    if failed is None:
        verdict.faults.append("no step failed, so none was run again")
        return
    before = await taken(ours)
    again = await service.rerun(ours.resources, ours.caller, run_id, failed.number, 50, unheard)
    after = await taken(ours)
    more = {device: len(now) - len(before.get(device, [])) for device, now in after.items()}
    more = {device: count for device, count in more.items() if count}
    verdict.more["again"] = again.state
    if again.state != "done" or more != {str(failed.device_id): 1}:
        verdict.faults.append(f"run again: {again.summary} {more}")
