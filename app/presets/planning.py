"""A preset and a room become a plan: which device is told what, and what is skipped, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from app.errors import InvalidInput
from app.presets.models import PresetStep, StepState
from app.presets.schemas import Choice, Document, Step
from app.rooms.fleet import Device, Fleet, Space
from app.rooms.names import folded
from app.xyte.capabilities import Entry, body_of, commands_of_model
from app.xyte.client import XyteClient
from app.xyte.schemas.commands import CommandSend

MOST_COMMANDS = 500
NOT_NEEDED = ("did not need it", "was so already")
NOT_THERE = ("is not in the room", "is not there", "has no such command")


@dataclass
class Plan:
    """What a run would do; `mistakes` are why there can be none."""

    preset: str
    version: int
    title: str
    room: Space | None
    steps: list[PresetStep] = field(default_factory=list[PresetStep])
    mistakes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def add(self, step: Step, stage: int, device: Device | None, **values: Any) -> None:
        what = step.kind or step.device_name or step.model or (device.kind.kind if device else "device")
        state: StepState = values.get("state", "waiting")
        self.steps.append(
            PresetStep(
                number=len(self.steps) + 1,
                stage=stage,
                name=step.name or f"{what}: {step.command}",
                kind=device.kind.kind if device else step.kind,
                device_id=device.id if device else None,
                device=device.name if device else None,
                body=values.get("body"),
                condition={name: asked for name in ("when", "unless") if (asked := getattr(step, name))},
                delay_s=step.delay_seconds,
                timeout_s=step.timeout_seconds,
                tries=step.tries,
                stops=step.on_error == "stop",
                state=state,
                reason=values.get("reason"),
                attempt=0,
            )
        )

    @property
    def waiting(self) -> list[PresetStep]:
        return [step for step in self.steps if step.state == "waiting"]

    def checked(self) -> "Plan":
        """The plan, if it can be run."""
        if len(self.waiting) > MOST_COMMANDS:
            raise InvalidInput(f"The preset means {len(self.waiting)} commands here; {MOST_COMMANDS} are allowed.")
        if self.mistakes:
            told = "; ".join(f"{mistake['path']}: {mistake['message']}" for mistake in self.mistakes[:5])
            raise InvalidInput(f"{told} Nothing was sent.", self.mistakes)
        return self


async def expand(xyte: XyteClient, fleet: Fleet, plan: Plan, document: Document) -> Plan:
    """Fill the plan: each step for each device that it means, with the first command that the device's model has."""
    there = fleet.devices_in(plan.room) if plan.room else None
    for number, stage in enumerate(document.stages):
        for place, step in enumerate(stage.steps):
            path = f"stages.{number}.steps.{place}"
            devices = selected(step, fleet, there)
            if devices is None:
                plan.mistakes.append({"path": path, "message": "It means devices of a room, so a room is needed."})
            elif not devices:
                missing(plan, step, number + 1, path)
            for device in devices or ():
                await place_command(xyte, plan, step, number + 1, device, path)
    return plan


def selected(step: Step, fleet: Fleet, there: Sequence[Device] | None) -> list[Device] | None:
    """The devices that a step means; none at all where that takes a room and there is none."""
    if step.device_id is not None:
        return [device] if (device := fleet.device(step.device_id)) else []
    if there is None:
        return None
    return [device for device in there if is_meant(step, device)]


def is_meant(step: Step, device: Device) -> bool:
    if step.device_name is not None:
        return folded(step.device_name) == folded(device.name)
    if step.model is not None:
        return folded(step.model) in folded(device.model)
    return step.all or device.kind.kind == step.kind


def missing(plan: Plan, step: Step, stage: int, path: str) -> None:
    """No device is meant."""
    if step.device_id is not None:
        told = "No device has this id. find_devices lists those there are."
    else:
        told = f"The room has no {(step.kind or 'such device').replace('_', ' ')}."
    if step.must:
        plan.mistakes.append({"path": path, "message": told})
    else:
        plan.add(step, stage, None, state="skipped", reason=NOT_THERE[0] if step.kind else NOT_THERE[1])


async def place_command(xyte: XyteClient, plan: Plan, step: Step, stage: int, device: Device, path: str) -> None:
    """The command for one device, checked against its model."""
    commands = await commands_of_model(xyte, device.model_id)
    refusals: list[InvalidInput] = []
    for choice in (step, *step.or_else):
        try:
            body = body_for(choice, commands)
        except InvalidInput as refusal:
            refusals.append(refusal)
        else:
            plan.add(step, stage, device, body=body)
            return
    if step.must:
        plan.mistakes.append({"path": path, "message": refusals[0].detail})
    else:
        plan.add(step, stage, device, state="skipped", reason=NOT_THERE[2])


def body_for(choice: Choice, commands: list[Entry]) -> dict[str, Any]:
    return body_of(CommandSend.model_validate({"name": choice.command, "extra_params": choice.params}), commands)


# ── Conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def unmet(condition: Mapping[str, Mapping[str, Any]], state: Mapping[str, Any]) -> str | None:
    """Why a device in this state need not be told; nothing if it should be."""
    when, unless = condition.get("when", {}), condition.get("unless", {})
    if when and not all(is_value(state, name, wanted) for name, wanted in when.items()):
        return NOT_NEEDED[0]
    if unless and all(is_value(state, name, wanted) for name, wanted in unless.items()):
        return NOT_NEEDED[1]
    return None


def is_value(state: Mapping[str, Any], name: str, wanted: Any) -> bool:
    """Whether a state's value is the wanted one, or one of those wanted; 1, 1.0 and "1" are the same."""
    if name not in state:
        return False
    several: list[Any] = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
    return any(comparable(state[name]) == comparable(one) for one in several)


def comparable(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TOLD = 3


def sentence(steps: Sequence[PresetStep]) -> str:
    """What became of the steps, in our words alone."""
    so_already = sum(step.state == "skipped" and step.reason in NOT_NEEDED for step in steps)
    skipped = sum(step.state == "skipped" for step in steps)
    done = sum(step.state == "done" for step in steps)
    under_way = sum(step.state in ("waiting", "running") for step in steps)
    total = len(steps) - skipped
    parts = [f"{done} of {total} steps done" if total else "Nothing had to be done"]
    parts += [f"{under_way} to come"] if under_way else []
    parts += [f"{so_already} were so already"] if so_already else []
    parts += [f"{skipped - so_already} do not apply here"] if skipped > so_already else []
    wrong = [f"the {called(step)} {step.reason or 'failed'}" for step in steps if step.state in ("failed", "unknown")]
    different = list(dict.fromkeys(wrong))
    parts += different[:TOLD] if len(different) > 1 or len(wrong) <= 2 else [f"{different[0]} ({len(wrong)} steps)"]
    parts += ["and more went wrong"] if len(different) > TOLD else []
    for state, words in (("cancelled", "cancelled"), ("not_run", "not run")):
        count = sum(step.state == state for step in steps)
        parts += [f"{count} {words}"] if count else []
    return "; ".join(parts) + "."


def outlook(plan: Plan) -> str:
    """What a plan would do, in our words alone."""
    skipped = len(plan.steps) - len(plan.waiting)
    stages = len({step.stage for step in plan.waiting})
    told = f"{len(plan.waiting)} steps in {stages} stages" if plan.waiting else "There is nothing to do"
    return told + (f"; {skipped} do not apply here" if skipped else "") + ". Nothing was sent."


def called(step: PresetStep) -> str:
    return (step.kind or "device").replace("_", " ")
