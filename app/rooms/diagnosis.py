"""What may be wrong with a room: facts, then what they point to, then what to do; rules only, so the same each time."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.auth import Caller, client_of
from app.resources import Resources
from app.rooms.fleet import Device
from app.rooms.names import words_of
from app.rooms.schemas import Cause, Complaint, Diagnosis, Fact, NextOperation
from app.rooms.service import Look, first_page, is_on, kinds_of, look_at
from app.xyte.capabilities import mapping

PICTURE = frozenset({"projector", "display", "screen", "switcher", "player", "codec", "computer"})
SOUND = frozenset({"audio", "speaker", "microphone", "codec", "display"})
CALL = frozenset({"codec", "camera", "microphone", "network"})
TOPICS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        frozenset({"picture", "image", "video", "black", "blank", "screen", "display", "projector", "hdmi", "signal"}),
        PICTURE,
    ),
    (frozenset({"sound", "audio", "hear", "mute", "muted", "volume", "microphone", "mic", "speaker", "silent"}), SOUND),
    (frozenset({"call", "conference", "zoom", "teams", "meeting", "camera", "remote"}), CALL),
)
RESTLESS = frozenset({"temperature", "uptime_seconds", "status", "lamp_hours", "fan_speed", "round_trip_ms"})
RECENT_CHANGES = 8
FAILED_SHOWN = 3
COMMANDS_READ = 20
SHORT = 200

Likelihood = dict[str, int]
ORDER: Likelihood = {"high": 0, "medium": 1, "low": 2}


@dataclass
class Case:
    """A room, what is said of it, and what was found so far."""

    look: Look
    topic: frozenset[str]
    facts: list[Fact] = field(default_factory=list[Fact])
    causes: list[Cause] = field(default_factory=list[Cause])
    next: list[NextOperation] = field(default_factory=list[NextOperation])

    def note(self, fact: Fact) -> int:
        """Its place among the facts."""
        self.facts.append(fact)
        return len(self.facts) - 1

    def blame(self, cause: str, evidence: Sequence[int], devices: Sequence[Device], *, strong: bool = True) -> None:
        """A cause; it counts less where the complaint is about something else."""
        concerned = not self.topic or any(device.kind.kind in self.topic for device in devices)
        likelihood = ("high" if strong else "medium") if concerned else "low"
        self.causes.append(Cause(cause=cause, likelihood=likelihood, evidence=list(evidence)))

    def advise(self, operation: str, why: str, **arguments: Any) -> None:
        self.next.append(NextOperation(operation=operation, arguments=arguments, why=why))


async def diagnose(resources: Resources, caller: Caller, complaint: Complaint) -> Diagnosis:
    """Look at a room and say what is wrong with it."""
    look = await look_at(resources, caller, complaint.room)
    case = Case(look, topic_of(complaint.issue))
    failed = await failed_commands(resources, caller, case)
    silence(case)
    errors(case)
    incidents(case)
    refusals(case, failed)
    settings(case)
    changes(case)
    conclude(case)
    return Diagnosis(
        room=look.room,
        summary=summary_of(case),
        facts=case.facts,
        causes=sorted(case.causes, key=lambda cause: ORDER[cause.likelihood]),
        next=case.next,
        notice=look.notice,
    )


def topic_of(issue: str | None) -> frozenset[str]:
    """The kinds of devices that a complaint may concern; none where it names none."""
    words = set(words_of(issue or ""))
    kinds: set[str] = set()
    for named, concerned in TOPICS:
        if named & words:
            kinds |= concerned
    return frozenset(kinds)


async def failed_commands(resources: Resources, caller: Caller, case: Case) -> list[tuple[Device, dict[str, Any]]]:
    """The latest commands of each device that failed."""
    xyte = client_of(resources, caller, "organization")
    devices = sorted(case.look.devices, key=lambda device: device.kind.kind not in case.topic)[:COMMANDS_READ]
    pages = await asyncio.gather(
        *(
            first_page(xyte, case.look.unread, "devices", device.id, "commands", status="failed", per_page=FAILED_SHOWN)
            for device in devices
        )
    )
    return [(device, row) for device, rows in zip(devices, pages, strict=True) for row in rows[:FAILED_SHOWN]]


def silence(case: Case) -> None:
    """Devices that cannot be reached; most of a room at once points elsewhere than to themselves."""
    away = [device for device in case.look.devices if device.away]
    evidence = [
        case.note(fact_of("offline", device, "Cannot be reached since then.", device.last_seen)) for device in away
    ]
    if len(away) >= 2 and len(away) * 2 > len(case.look.devices):
        case.blame("The room has lost power or network: most of its devices are offline.", evidence, away)
        case.advise("list_incidents", "See whether neighbouring rooms are concerned too.", status="active")
        return
    for place, device in zip(evidence, away, strict=True):
        what = device.kind.kind.replace("_", " ")
        case.blame(f"The {what} has lost power or network, or hangs.", [place], [device])
        case.advise("list_device_histories", "What it reported last.", device_id=device.id)


def errors(case: Case) -> None:
    for device in case.look.devices:
        if not device.away and (device.status == "error" or device.row.get("status") == "error"):
            place = case.note(fact_of("error", device, "It is in error.", device.last_seen))
            case.blame(f"The {device.kind.kind.replace('_', ' ')} is in error.", [place], [device])
            case.advise("get_device", "Its whole state.", device_id=device.id)


def incidents(case: Case) -> None:
    """Open incidents; those of offline devices say nothing new."""
    devices = {device.id: device for device in case.look.devices}
    for row in case.look.incidents:
        device = devices[str(row.get("device_id"))]
        details = {"title": row.get("title"), "priority": row.get("priority"), "issue": row.get("issue")}
        fact = fact_of("incident", device, "An incident is open.", row.get("created_at"), details)
        place = case.note(fact)
        if not device.away:
            what = device.kind.kind.replace("_", " ")
            strong = row.get("priority") in ("critical", "high")
            case.blame(f"What the incident of the {what} tells.", [place], [device], strong=strong)


def refusals(case: Case, failed: Sequence[tuple[Device, dict[str, Any]]]) -> None:
    """Commands that the devices did not carry out."""
    places: dict[str, tuple[Device, list[int]]] = {}
    for device, row in failed:
        details = {"command": row.get("name"), "message": str(row.get("message") or "")[:SHORT]}
        fact = fact_of("failed_command", device, "A command failed.", row.get("updated_at"), details)
        places.setdefault(device.id, (device, []))[1].append(case.note(fact))
    for device, evidence in places.values():
        what = device.kind.kind.replace("_", " ")
        case.blame(f"The {what} did not carry out what it was told.", evidence, [device], strong=False)
        case.advise("get_device_commands", "What it was told, and its words.", device_id=device.id)


Symptom = tuple[str, frozenset[str], str, Callable[[Device], bool], str, str | None]


def text(device: Device, name: str) -> str:
    return str(device.state.get(name, "")).casefold()


SYMPTOMS: tuple[Symptom, ...] = (
    ("power", PICTURE | SOUND | CALL, "is off", lambda device: is_on(device) is False, "power_on", None),
    ("picture_muted", PICTURE, "shows no picture: it is muted", lambda device: text(device, "picture_muted") == "true",
     "picture_unmute", None),
    ("muted", SOUND, "is muted", lambda device: text(device, "muted") == "true", "unmute", None),
    ("volume", SOUND, "is turned down", lambda device: text(device, "volume") in ("0", "0.0"), "set_volume", "level"),
    ("preset", frozenset({"audio"}), "is set to silence", lambda device: text(device, "preset") == "silent",
     "recall_preset", "preset"),
    ("position", frozenset({"screen"}), "is up", lambda device: text(device, "position") == "up", "lower_screen", None),
)  # fmt: skip
"""The key of a state, the kinds it concerns, what it means, when it is so, and the command that mends it."""


def settings(case: Case) -> None:
    """States that explain what people notice; only where they said what that is."""
    for key, kinds, meaning, holds, command, parameter in SYMPTOMS:
        for device in case.look.devices:
            if device.kind.kind not in kinds & case.topic or device.away or not holds(device):
                continue
            what = device.kind.kind.replace("_", " ")
            details = {key: device.state.get(key)}
            place = case.note(fact_of("state", device, "Its state.", device.last_seen, details))
            case.blame(f"The {what} {meaning}.", [place], [device])
            more: dict[str, Any] = {"extra_params": {parameter: "…"}} if parameter else {}
            case.advise(
                "send_command", f"If people want it: the {what} {meaning}.", device_id=device.id, name=command, **more
            )


def changes(case: Case) -> None:
    """What changed lately; measured values that never rest are left out."""
    for fact in list(changes_in(case.look))[:RECENT_CHANGES]:
        case.note(fact)


def changes_in(look: Look) -> Iterator[Fact]:
    """Each state of a device beside the one before it, newest first."""
    devices = {device.id: device for device in look.devices}
    later: dict[str, tuple[Any, Mapping[str, Any]]] = {}
    for row in look.histories:
        device = devices.get(str(row.get("device_id")))
        if device is None:
            continue
        before = mapping(row.get("state"))
        at, after = later.get(device.id, (None, before))
        names = sorted({*before, *after} - RESTLESS)
        found = {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}
        if found:
            yield fact_of("change", device, "Its state changed.", at, found)
        later[device.id] = row.get("created_at"), before


def conclude(case: Case) -> None:
    """What to do in any case."""
    room = case.look.room.path
    if not case.look.devices:
        case.advise("find_devices", "There are no devices in this room; they may be listed elsewhere.")
    elif not case.causes:
        case.advise("get_room_status", "Nothing points to a cause. See every device's state.", room=room)
        case.advise("list_tickets", "See whether people have reported something.")


def summary_of(case: Case) -> str:
    """One sentence, without the cloud's own words."""
    if not case.look.devices:
        return "There are no devices in this room."
    wrong = [device for device in case.look.devices if device.away or device.status == "error"]
    if not case.causes:
        return f"All {len(case.look.devices)} devices can be reached, and nothing points to a cause."
    best = min(case.causes, key=lambda cause: ORDER[cause.likelihood])
    told = f" Offline or in error: {kinds_of(wrong)}." if wrong else ""
    return f"Likeliest: {re.sub('[.]$', '', best.cause)}.{told}"


def fact_of(what: Any, device: Device, words: str, at: Any = None, details: dict[str, Any] | None = None) -> Fact:
    return Fact(
        what=what,
        text=words,
        device_id=device.id,
        device=device.name,
        at=str(at) if at else None,
        details=details,
    )
