"""The worker process: the list of jobs that arq runs."""

import time


def run() -> None:
    """Placeholder until jobs exist."""
    while True:
        time.sleep(3600)
