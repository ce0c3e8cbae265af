"""What an answer to a sent command means, and which commands may be sent again when that is not known."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from app.errors import Problem, UpstreamProblem
from app.tasks.models import Task
from app.xyte.schemas.shapes import JsonObject

# Setting a thing twice is setting it once. Whatever is not here might toggle, step, restart or erase.
IDEMPOTENT = frozenset(
    {
        "power_on",
        "power_off",
        "mute",
        "unmute",
        "mute_on",
        "mute_off",
        "set_mute",
        "set_volume",
        "set_level",
        "set_brightness",
        "select_input",
        "set_input",
        "input_select",
        "set_source",
        "display_on",
        "display_off",
        "screen_up",
        "screen_down",
        "shutter_open",
        "shutter_close",
    }
)

LONGEST_WAIT_S = 300.0

Kind = Literal["taken", "refused", "not_sent", "ambiguous"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sending."""

    kind: Kind
    problem: Problem | None = None
    retry_after_s: float = 1.0
    upstream_id: str | None = None
    upstream_status: str | None = None


def is_idempotent(body: JsonObject) -> bool:
    """Whether the command may be sent twice without harm; one known by its display name alone may not."""
    return body.get("name") in IDEMPOTENT and not body.get("file_id")


def taken(value: Any) -> Outcome:
    """A 2xx; without an id the follow-up finds it by the list."""
    said = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    upstream_id, status = said.get("id"), said.get("status")
    return Outcome(
        "taken",
        upstream_id=str(upstream_id)[:200] if upstream_id else None,
        upstream_status=status[:50] if isinstance(status, str) else None,
    )


def judged(problem: Problem) -> Outcome:
    """A POST that ended in a problem. When in doubt it is ambiguous: then the list of commands decides."""
    if not isinstance(problem, UpstreamProblem):
        return Outcome("refused", problem)
    if problem.retry_safe:
        wait_s = float(problem.headers.get("Retry-After", "2"))
        return Outcome("not_sent", problem, retry_after_s=min(LONGEST_WAIT_S, wait_s))
    status = problem.upstream_status
    if status is None or status == 408 or status >= 500:
        return Outcome("ambiguous", problem)
    if status < 300:
        return Outcome("taken")
    return Outcome("refused", problem)


def marker_of(task: Task) -> str:
    """What tells a command of ours from all others, if Xyte gives it back."""
    return f"[gw:{task.id.hex[-12:]}]"


def is_ours(row: JsonObject, task: Task, since: datetime, *, marker: bool) -> bool:
    """Whether a row of Xyte's command list is what this task sent, or looks the same."""
    if marker:
        return marker_of(task) in str(row.get("friendly_name"))
    names = (row.get("name"), row.get("command"), row.get("friendly_name"))
    wanted = task.body.get("name") or task.body.get("friendly_name")
    return (
        wanted in names
        and (row.get("params") or {}) == (task.body.get("extra_params") or {})
        and created_at(row, otherwise=since) >= since
    )


def created_at(row: JsonObject, *, otherwise: datetime) -> datetime:
    """When Xyte says that it took a command."""
    try:
        moment = datetime.fromisoformat(str(row.get("created_at")))
    except ValueError:
        return otherwise
    return moment if moment.tzinfo else moment.replace(tzinfo=otherwise.tzinfo)


def sent_since(task: Task, skew_s: float) -> datetime:
    """Commands that Xyte took before this moment are not of the task's latest sending."""
    assert task.dispatch_started_at is not None
    return task.dispatch_started_at - timedelta(seconds=skew_s)


def readable(text: object) -> str | None:
    """Words of the cloud, short and without what PostgreSQL does not store."""
    return re.sub("[\x00\ud800-\udfff]", "", str(text))[:500] if text else None
