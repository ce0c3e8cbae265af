"""Clients that are commands: the Inspector, and curl without any client at all."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOT_OFFERED = "not offered"
WITHIN_S = 60.0


class Inspector:
    """The official Inspector's command line, one process per request."""

    def __init__(self, command: list[str | Path], task: Mapping[str, Any], era: str) -> None:
        self._command = command
        self._task = task
        self._era = era

    def run(self) -> dict[str, str]:
        """All columns; it shows progress to people only, so its call with a token has to end well."""
        seen: dict[str, str] = {}
        listed = self._ask("tools/list")
        seen["list"] = said(listed, '"list_devices"')
        seen["call"] = said(self._call("list_devices", per_page="2"), '"has_more"')
        seen["error"] = said(self._call("get_device", code=5, device_id="no-such-device"), "xyte_not_found")
        sent = self._call("send_command_async", device_id=self._task["device"], name="power_on")
        if not sent:
            return seen | {"progress": "no task"}
        task = json.loads(sent)["result"]["structuredContent"]
        seen["progress"] = said(self._call("get_task_status", task_id=task["id"], wait_seconds="5"), '"state"')
        seen["resource"] = self._first("resources/list", ["resources/read", "--uri"], "uri")
        seen["prompt"] = self._first("prompts/list", ["prompts/get", "--prompt-name"], "name")
        seen["401"] = said(self._ask("tools/list", key=None, code=3), "")
        refusal = self._ask("tools/list", key=self._task["exhausted"], code=None)
        is_told = said(refusal, "429", "times a minute") == "ok"
        seen["429"] = "ok" if is_told else "ok, without a word" if '"error"' in refusal else "was not refused"
        return seen

    def _first(self, method: str, read: list[str], name: str) -> str:
        listed = self._ask(method, code=None)
        rows = first_list(json.loads(listed)["result"]) if '"result"' in listed else []
        if not rows:
            return NOT_OFFERED
        given = [f"--prompt-args={argument['name']}=Board" for argument in rows[0].get("arguments", [])]
        return said(self._ask(*read, rows[0][name], *given), '"result"')

    def _call(self, tool: str, code: int = 0, **arguments: str) -> str:
        given = [word for name, value in arguments.items() for word in ("--tool-arg", f"{name}={value}")]
        return self._ask("tools/call", "--tool-name", tool, *given, code=code)

    def _ask(self, method: str, *words: str, key: str | None = "", code: int | None = 0) -> str:
        """What it prints; nothing where its exit code is another than the one expected."""
        chosen = self._task["key"] if key == "" else key
        header = ["--header", f"X-XYTE-API-KEY: {chosen}"] if chosen else []
        options = ["--transport", "http", "--stored-auth-only", "--protocol-era", self._era, "--format", "json"]
        done = subprocess.run(
            [*self._command, "--cli", self._task["url"], *options, *header, "--method", method, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return done.stdout + done.stderr + " " if code is None or done.returncode == code else ""


class Curl:
    """curl with its own Accept, at the root path, without any handshake."""

    def __init__(self, command: str, task: Mapping[str, Any]) -> None:
        self._command = command
        self._task = task

    def run(self) -> dict[str, str]:
        seen = {
            "list": said(self._ask("tools/list"), '"list_devices"'),
            "call": said(self._call("list_devices", per_page=2), '"has_more"'),
            "error": said(self._call("get_device", device_id="no-such-device"), "xyte_not_found"),
        }
        sent = json.loads(self._call("send_command_async", device_id=self._task["device"], name="power_on"))
        task_id = sent["result"]["structuredContent"]["id"]
        waited: dict[str, Any] = {"name": "get_task_status", "arguments": {"task_id": task_id, "wait_seconds": 5}}
        stream = self._ask("tools/call", waited | {"_meta": {"progressToken": "p"}}, "-H", "Accept: text/event-stream")
        seen["progress"] = said(stream, "notifications/progress")
        seen["resource"] = self._first("resources/list", "resources/read", "uri")
        seen["prompt"] = self._first("prompts/list", "prompts/get", "name")
        seen["401"] = said(self._ask("tools/list", key=None), "missing_xyte_key")
        seen["429"] = said(self._ask("tools/list", key=self._task["exhausted"]), "rate_limit")
        return seen

    def _first(self, method: str, read: str, name: str) -> str:
        listed = json.loads(self._ask(method))
        if "result" not in listed:
            return NOT_OFFERED
        rows = first_list(listed["result"])
        given = {argument["name"]: "Board" for argument in rows[0].get("arguments", [])}
        params = {name: rows[0][name]} | ({"arguments": given} if given else {})
        return said(self._ask(read, params), '"result"')

    def _call(self, tool: str, **arguments: Any) -> str:
        return self._ask("tools/call", {"name": tool, "arguments": arguments})

    def _ask(self, method: str, params: Mapping[str, Any] | None = None, *words: str, key: str | None = "") -> str:
        chosen = self._task["key"] if key == "" else key
        header = ["-H", f"X-XYTE-API-KEY: {chosen}"] if chosen else []
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}})
        root = self._task["url"].removesuffix("/mcp")
        done = subprocess.run(
            [self._command, "-sN", root, *header, "-H", "Content-Type: application/json", *words, "-d", body],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return done.stdout


def first_list(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a list's result."""
    lists: list[list[dict[str, Any]]] = [value for value in result.values() if isinstance(value, list)]
    return lists[0] if lists else []


def said(answer: str, *words: str) -> str:
    """Whether an answer holds one of the words."""
    if answer and (any(word in answer for word in words) or not words):
        return "ok"
    return f"unexpected: {answer.strip()[:200] or 'nothing'}"
