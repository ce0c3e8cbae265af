"""One question to a process on this machine, for a container's health check: nothing heavy is loaded to ask it."""

import http.client
import json
import sys
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

HEALTHZ = "http://127.0.0.1:8000/healthz"
ANSWER_WITHIN_S = 3.0


def ask(url: str = HEALTHZ) -> int:
    """0 if it answers 200, else 1 and one line that says why."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        print(f"xyte-mcp doctor: {url} is not an http address of this machine, such as {HEALTHZ}", file=sys.stderr)
        return 2
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=ANSWER_WITHIN_S)
    try:
        with closing(connection):
            connection.request("GET", parts.path or "/healthz")
            answer = connection.getresponse()
            body = answer.read(65_536)
    except (OSError, http.client.HTTPException) as error:
        print(f"xyte-mcp doctor: {url} does not answer: {error or type(error).__name__}", file=sys.stderr)
        return 1
    if answer.status != http.HTTPStatus.OK:
        print(f"xyte-mcp doctor: {url} says {answer.status}{failing(body)}", file=sys.stderr)
        return 1
    return 0


def failing(body: bytes) -> str:
    """Which parts /readyz says are failing."""
    try:
        parts: dict[str, Any] = json.loads(body)["parts"]
        names = [name for name, part in parts.items() if part["status"] == "failing"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f": {', '.join(names)} failing"
