"""A command that was sent, watched until it ends."""

import asyncio
from typing import Any, cast

import orjson

from app.errors import UpstreamProblem
from app.progress import Report
from app.xyte.client import Answer, XyteClient
from app.xyte.schemas.commands import Command

STAGES = {"scheduled": 0, "pending": 1, "in_progress": 2, "done": 3, "failed": 3, "aborted": 3}
END = 3
LOOK_AFTER_S = (0.25, 0.5, 1.0, 1.0, 2.0)


async def watched(
    xyte: XyteClient, device_id: str, sent: Answer[Command], seconds: float, report: Report
) -> Answer[Command]:
    """The command as soon as it has ended, and at the latest after so many seconds as it was last seen.

    A list that cannot be read is read again at the next look: the command is on its way, whatever the list says.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    latest, looks, told = sent, 0, -1
    while True:
        status = str(row_of(latest).get("status"))
        stage = STAGES.get(status, 0)
        if stage > told:
            told = stage
            await report(stage, END, status)
        left = until - loop.time()
        if stage == END or left <= 0 or "id" not in row_of(latest):
            return latest
        await asyncio.sleep(min(left, LOOK_AFTER_S[min(looks, len(LOOK_AFTER_S) - 1)]))
        looks += 1
        latest = await look(xyte, device_id, latest)


async def look(xyte: XyteClient, device_id: str, latest: Answer[Command]) -> Answer[Command]:
    """The command as the device's list shows it now, or as it was if it does not."""
    try:
        page = await xyte.page(Command, "devices", device_id, "commands", query={"per_page": 100})
    except UpstreamProblem:
        return latest
    rows: list[Any] = page.value["items"]
    for row in rows:
        if isinstance(row, dict) and cast("dict[str, Any]", row).get("id") == row_of(latest)["id"]:
            return Answer(orjson.dumps(row), row)
    return latest


def row_of(answer: Answer[Command]) -> dict[str, Any]:
    """The command in an answer; some answers of Xyte hold none."""
    return cast("dict[str, Any]", answer.value) if isinstance(answer.value, dict) else {}
