"""Forks workers and APIs from one process that has imported everything, so that killing them often is cheap.

Each line on standard input is JSON: what to run, its environment, its log. Each answer is a pid.
"""

import ctypes
import json
import os
import signal
import sys
from typing import Any

import uvicorn

from app import main, worker


def serve() -> None:
    """The API, as `xyte-mcp serve` runs it."""
    uvicorn.run(
        main.create_app(),
        uds=os.environ["API_SOCKET"],
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
    )


def child(order: dict[str, Any]) -> None:
    """What a fork does: it dies with the nursery."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    {"worker": worker.run, "api": serve}[order["what"]]()


def nurse() -> None:
    """Fork until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                child(json.loads(line))
                code = 0
            finally:
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    nurse()
