"""A headless Chromium that reaches no machine but this one: it is told what a person does, and asked what it shows."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.world import until

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
COMMAND = (
    str(PROGRAM),
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PATIENCE_S = 60.0


class Page:
    """One page, by the protocol of Chromium's developer tools."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.asked: list[str] = []
        """Every address it asked for."""
        self.failed: list[str] = []
        """What its scripts threw and did not catch."""
        self._socket = socket
        self._number = 0

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its result; what happens meanwhile is noted."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while (message := await self._socket.receive_json(timeout=PATIENCE_S)).get("id") != self._number:
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            elif message["method"] == "Runtime.exceptionThrown":
                self.failed.append(message["params"]["exceptionDetails"]["text"])
        assert "error" not in message, message
        return message["result"]

    async def see(self, script: str) -> Any:
        """The value of an expression in the page."""
        result = await self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def open(self, url: str) -> None:
        await self.send("Network.enable")
        await self.send("Runtime.enable")
        await self.send("Page.navigate", url=url)

    async def find(self, selector: str) -> None:
        """Wait until something is there."""
        await until(lambda: self.see(f"document.querySelector({json.dumps(selector)}) !== null"), PATIENCE_S)

    async def text(self, selector: str) -> str:
        await self.find(selector)
        return await self.see(f"document.querySelector({json.dumps(selector)}).innerText")

    async def click(self, selector: str) -> None:
        """As a person would, in its middle."""
        await self.find(selector)
        element = f"document.querySelector({json.dumps(selector)})"
        x, y = await self.see(
            f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}}),"
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])({element}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def write(self, selector: str, words: str) -> None:
        """Click into a field and type."""
        await self.click(selector)
        await self.send("Input.insertText", text=words)

    async def picture(self, file: Path) -> None:
        """The window, as PNG."""
        shot = await self.send("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def browsing(folder: Path, *, width: int = 1280, height: int = 1000) -> AsyncGenerator[Page]:
    """A browser with one empty page; its profile goes into the folder."""
    port = folder / "profile" / "DevToolsActivePort"
    words = [*COMMAND, f"--user-data-dir={port.parent}", "--remote-debugging-port=0", f"--window-size={width},{height}"]
    process = await asyncio.create_subprocess_exec(
        *words, "about:blank", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await until(lambda: port.exists() and port.read_text().count("\n"), PATIENCE_S)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port.read_text().split()[0]}") as session:
            async with session.get("/json/list") as answer:
                (target,) = [one for one in await answer.json() if one["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.kill()
        await process.wait()
