"""The story of the service in a terminal: a room is found, started, broken, diagnosed, mended and shut down."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from app import embedded
from app.embedded import Guard
from app.stack import HOST, Home, Options, Stack, StackError, Stopped, free_port, note, stop_on_signals

ROOM = "board"
CAMERA = "Board Room PTZ Camera"
NOT_OURS = ("DATABASE_URL", "REDIS_URL", "XYTE_BASE_URL", "XYTE_ENTRY_URL", "XYTE_DEVICE_HUB_URL")
MARKS = {"done": "✓", "skipped": "·", "failed": "✗", "unknown": "?", "cancelled": "-", "not_run": "-"}
QUICK = {"SIMULATOR_OFFLINE_AFTER_SECONDS": "20", "SIMULATOR_TELEMETRY_SECONDS": "4"}


class Guide:
    """Leads through the story as an MCP client, and tells it."""

    def __init__(self, client: Client, simulator: httpx2.AsyncClient) -> None:
        self._client = client
        self._simulator = simulator

    def say(self, line: str = "") -> None:
        print(line, flush=True)

    async def call(self, tool: str, *, live: bool = False, **arguments: Any) -> dict[str, Any]:
        """Call a tool and show the call; with `live` each step as it comes."""
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        self.say(f"\n→ {tool}({shown})")
        hear = self._hear if live else None
        result = await self._client.call_tool(tool, arguments, progress_callback=hear)
        if result.structured_content is None:
            raise StackError(f"{tool} failed: {getattr(result.content[0], 'text', '')}")
        return result.structured_content

    async def _hear(self, progress: float, total: float | None, message: str | None) -> None:
        width = 20
        filled = round(width * progress / total) if total else 0
        self.say(f"  {'█' * filled}{'░' * (width - filled)} {progress:3.0f}/{total or 0:.0f}  {message or ''}")

    def table(self, run: dict[str, Any]) -> None:
        for step in run["steps"]:
            mark = MARKS.get(step["state"], " ")
            what = f"{step.get('device') or step.get('kind') or ''}"
            told = f"{step.get('command') or ''} {step.get('params') or ''}".strip()
            reason = step.get("reason", "")
            self.say(f"  {mark} {step['stage']}.{step['number']:<3} {what:<32} {told:<38} {step['state']} {reason}")

    async def tell(self) -> None:
        """The story."""
        self.say("1. A person says: start the board room. Which room is that?")
        rooms = await self.call("find_rooms", query="bord room")
        for room in rooms["items"]:
            self.say(f"  {room['id']}  {room['path']}  {room['devices']} devices, {room['offline']} offline")

        self.say("\n2. What would happen? A dry run sends nothing.")
        plan = await self.call("start_meeting_room_preset", room=ROOM, preset="presentation", dry_run=True)
        self.table(plan)
        self.say(f"  {plan['summary']}")

        self.say("\n3. Do it, and watch.")
        run = await self.call("start_meeting_room_preset", live=True, room=ROOM, preset="presentation", wait_seconds=50)
        self.say(f"  {run['summary']}")
        status = await self.call("get_room_status", room=ROOM)
        self.say(f"  {status['summary']}")

        self.say("\n4. Somebody pulls the camera's plug.")
        camera = (await self.call("find_devices", query=CAMERA))["items"][0]
        await self._plug(camera["id"], plugged=False)
        await self._until(camera["id"], "offline")

        self.say("\n5. The next meeting is a video call.")
        run = await self.call("start_meeting_room_preset", live=True, room=ROOM, preset="video_call", wait_seconds=50)
        self.say(f"  {run['summary']}")
        diagnosis = await self.call("diagnose_av_issue", room=ROOM, issue="The others cannot see us in the call.")
        self.say(f"  {diagnosis['summary']}")
        for cause in diagnosis["causes"][:3]:
            self.say(f"  {cause['likelihood']:<7} {cause['cause']}")
            for place in cause["evidence"]:
                fact = diagnosis["facts"][place]
                self.say(f"          {fact['device']}: {fact['text']} {fact.get('at', '')}")

        self.say("\n6. The plug goes back in, and the step that failed runs again, alone.")
        await self._plug(camera["id"], plugged=True)
        await self._until(camera["id"], "ok")
        for step in run["steps"]:
            if step["state"] == "failed":
                arguments = {"run_id": run["id"], "number": step["number"], "wait_seconds": 50}
                again = await self.call("run_operation", operation="rerun_preset_step", arguments=arguments)
                self.table(again)
                self.say(f"  {again['summary']}")

        self.say("\n7. Everybody has gone.")
        run = await self.call("shutdown_meeting_room", live=True, room=ROOM, wait_seconds=50)
        self.say(f"  {run['summary']}")
        status = await self.call("get_room_status", room=ROOM)
        self.say(f"  {status['summary']}")

    async def _plug(self, device_id: str, *, plugged: bool) -> None:
        answer = await self._simulator.post(f"/_simulator/devices/{device_id}", json={"plugged": plugged})
        answer.raise_for_status()

    async def _until(self, device_id: str, status: str) -> None:
        """Wait until the cloud has noticed."""
        self.say(f"  … until the cloud sees it as {status}")
        until = time.monotonic() + 120
        while time.monotonic() < until:
            found = await self._client.call_tool("get_device", {"device_id": device_id})
            if found.structured_content and found.structured_content["effective_status"] == status:
                return
            await asyncio.sleep(1)
        raise StackError(f"the camera did not become {status} in time")


@contextmanager
def running() -> Generator[dict[str, object]]:
    """Everything in a folder of its own, on free ports, for the time of the story."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS} | QUICK
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="xyte-tour-"))
        guard.remove_folder(folder)
        home = Home(folder, folder / "logs", folder / "stack.json")
        servers = embedded.start(guard, home.data, durable=False)
        environment |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        stack = Stack(Options(data=home.data, environment=environment), home, guard)
        port = free_port(0)
        stack.start(port)
        yield stack.facts(port)


@asynccontextmanager
async def guide(facts: dict[str, object]) -> AsyncGenerator[Guide]:
    """A guide with a client of its own."""
    headers = {"X-XYTE-API-KEY": str(facts["organization_key"])}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=90) as http,
        httpx2.AsyncClient(base_url=str(facts["simulator_url"])) as simulator,
        Client(streamable_http_client(str(facts["mcp_url"]), http_client=http)) as client,
    ):
        yield Guide(client, simulator)


async def tell(facts: dict[str, object]) -> None:
    async with guide(facts) as leading:
        await leading.tell()


def main() -> int:
    """Tell the story once; the exit code."""
    print(f"starting everything on {HOST} …", flush=True)
    try:
        with stop_on_signals(), running() as facts:
            asyncio.run(tell(facts))
    except Stopped:
        return 130
    except StackError as error:
        note(error)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
