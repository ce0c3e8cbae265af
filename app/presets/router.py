"""Presets: start and shut down rooms, and keep presets of one's own."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.auth import tenant_of
from app.dependencies import Caller, KeyHeader, Report, Resources
from app.effects import DESTRUCTIVE, PHYSICAL, READ, UNLISTED, WRITE
from app.presets import service
from app.presets.schemas import (
    Difference,
    DiffQuery,
    PlanQuery,
    PresetDetails,
    PresetName,
    PresetPage,
    PresetRun,
    PresetRunStart,
    PresetSave,
    PresetVersions,
    RollBack,
    RoomRun,
    RoomShutdown,
    RunId,
    StepNumber,
    StepRerun,
    VersionQuery,
    WaitSeconds,
)

router = APIRouter(tags=["Presets"])


@router.post("/rooms/start", summary="Start a room with a preset", openapi_extra=PHYSICAL)
async def start_meeting_room_preset(
    resources: Resources, caller: Caller, header: KeyHeader, report: Report, start: RoomRun
) -> PresetRun:
    """Make a room ready: every device does what the preset says. Real equipment moves.

    Answers with a table of all steps and one sentence; if it has not ended by then, see get_preset_run. Asking again
    does no harm.
    """
    return await service.run(
        resources,
        caller,
        start.preset,
        start.room,
        start,
        header=header,
        wait_seconds=start.wait_seconds,
        report=report,
    )


@router.post("/rooms/shutdown", summary="Shut a room down", openapi_extra=PHYSICAL)
async def shutdown_meeting_room(
    resources: Resources, caller: Caller, header: KeyHeader, report: Report, shutdown: RoomShutdown
) -> PresetRun:
    """Turn a room off by the preset shutdown; a preset still running there is stopped first. Answers like a start."""
    return await service.run(
        resources,
        caller,
        "shutdown",
        shutdown.room,
        shutdown,
        header=header,
        wait_seconds=shutdown.wait_seconds,
        report=report,
    )


@router.post("/preset-runs", summary="Run a preset", openapi_extra=PHYSICAL | UNLISTED)
async def run_preset(
    resources: Resources, caller: Caller, header: KeyHeader, report: Report, start: PresetRunStart
) -> PresetRun:
    """The same as start_meeting_room_preset, also for a preset that needs no room. Real equipment moves."""
    return await service.run(
        resources,
        caller,
        start.preset,
        start.room,
        start,
        header=header,
        wait_seconds=start.wait_seconds,
        report=report,
    )


@router.get("/preset-runs/{run_id}", summary="Get a run", openapi_extra=READ)
async def get_preset_run(
    resources: Resources,
    caller: Caller,
    report: Report,
    run_id: RunId,
    wait_seconds: Annotated[WaitSeconds, Query()] = 0,
) -> PresetRun:
    """What became of a run, step by step; cancel_task stops it, rerun_preset_step runs one failed step again."""
    return await service.watch(resources, await tenant_of(resources, caller), run_id, wait_seconds, report)


@router.post(
    "/preset-runs/{run_id}/steps/{number}/rerun", summary="Run a step again", openapi_extra=PHYSICAL | UNLISTED
)
async def rerun_preset_step(
    resources: Resources, caller: Caller, report: Report, run_id: RunId, number: StepNumber, again: StepRerun
) -> PresetRun:
    """Run one step of a run that did not end well again, and no other. Real equipment moves."""
    return await service.rerun(resources, caller, run_id, number, again.wait_seconds, report)


@router.get("/presets", summary="List presets", openapi_extra=READ)
async def list_presets(resources: Resources, caller: Caller) -> PresetPage:
    """The presets there are: the organization's own and those that come with the service."""
    return await service.listed(resources, await tenant_of(resources, caller))


@router.get("/presets/{name}", summary="Get a preset", openapi_extra=READ | UNLISTED)
async def get_preset(
    resources: Resources, caller: Caller, name: PresetName, which: Annotated[VersionQuery, Query()]
) -> PresetDetails:
    """A preset with its stages and steps. What it does in a certain room, plan_preset tells."""
    return (await service.kept(resources, await tenant_of(resources, caller), name, which.version)).details()


@router.get("/presets/{name}/plan", summary="Plan a preset", openapi_extra=READ)
async def plan_preset(
    resources: Resources, caller: Caller, name: PresetName, wanted: Annotated[PlanQuery, Query()]
) -> PresetRun:
    """What a preset would do in a room: which device gets which command, and what is skipped. Nothing is sent."""
    return service.planned(await service.plan_for(resources, caller, name, wanted.room))


@router.put("/presets/{name}", summary="Save a preset", openapi_extra=WRITE | UNLISTED)
async def save_preset(resources: Resources, caller: Caller, name: PresetName, preset: PresetSave) -> PresetDetails:
    """Create or replace a preset of the organization's own; earlier versions are kept. Give yaml, or stages."""
    return await service.save(resources, caller, name, preset)


@router.delete("/presets/{name}", summary="Delete a preset", openapi_extra=DESTRUCTIVE | UNLISTED)
async def delete_preset(resources: Resources, caller: Caller, name: PresetName) -> PresetDetails:
    """Delete a preset of the organization's own. Its versions are kept: roll_back_preset brings it back."""
    return await service.add(resources, caller, name, None, "Deleted.")


@router.get("/presets/{name}/versions", summary="List versions of a preset", openapi_extra=READ | UNLISTED)
async def list_preset_versions(resources: Resources, caller: Caller, name: PresetName) -> PresetVersions:
    """The last hundred versions of a preset, newest first, with why each was made."""
    return await service.versions(resources, await tenant_of(resources, caller), name)


@router.get("/presets/{name}/diff", summary="Compare versions of a preset", openapi_extra=READ | UNLISTED)
async def diff_preset_versions(
    resources: Resources, caller: Caller, name: PresetName, wanted: Annotated[DiffQuery, Query()]
) -> Difference:
    """What differs between two versions of a preset, line by line."""
    return await service.difference(resources, await tenant_of(resources, caller), name, wanted)


@router.post("/presets/{name}/roll_back", summary="Roll a preset back", openapi_extra=WRITE | UNLISTED)
async def roll_back_preset(resources: Resources, caller: Caller, name: PresetName, back: RollBack) -> PresetDetails:
    """Make an earlier version of a preset the latest again, also of a deleted one."""
    return await service.roll_back(resources, caller, name, back.version)
