"""The whole service as a caller meets it, running for a while: API, worker, simulator and servers of their own."""

import os
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app import embedded
from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY
from app.stack import HOST, Guard, Home, Options, Stack, free_port

# What would lead to the servers of somebody else, or to the real cloud.
NOT_OURS = ("DATABASE_URL", "REDIS_URL", "XYTE_BASE_URL", "XYTE_ENTRY_URL", "XYTE_DEVICE_HUB_URL")


@dataclass(frozen=True)
class Service:
    """Where it answers, the keys it knows, where its processes write, and what they were told."""

    url: str
    simulator_url: str
    key: str
    partner_key: str
    logs: Path
    environment: Mapping[str, str]
    facts: Mapping[str, object]


@contextmanager
def running_service(**environment: str) -> Generator[Service]:
    """Start everything on free ports of this machine; it answers from the first line on, and nothing is left."""
    own = {name: value for name, value in os.environ.items() if name not in NOT_OURS} | environment
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="xyte-service-"))
        guard.remove_folder(folder)
        home = Home(folder, folder / "logs", folder / "stack.json")
        servers = embedded.start(guard, home.data, durable=False)
        own |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
        stack = Stack(Options(data=home.data, environment=own), home, guard)
        port = free_port(0)
        stack.start(port)
        facts = stack.facts(port)
        yield Service(
            f"http://{HOST}:{port}",
            str(facts["simulator_url"]),
            ORGANIZATION_KEYS[0],
            PARTNER_KEY,
            home.logs,
            stack.environment,
            facts,
        )
