"""Two replicas with their stores, a worker and the simulated cloud, behind the proxy."""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app import embedded
from app.simulator import ORGANIZATION_KEYS
from app.stack import HOST, Guard, answers, free_port
from tests.service import NOT_OURS

PROJECT = Path(__file__).parents[2]
READY_WITHIN_S = 90.0
BURST = 400
COMMAND = "power_on"
EXHAUSTED = "fake-exhausted-organization-key-for-tests-00001"


@dataclass(frozen=True)
class Stage:
    """Where the clients go, and with what."""

    url: str
    key: str
    devices: list[str]

    def turns(self) -> list[int]:
        """How many requests each replica has taken."""
        with urllib.request.urlopen(f"{self.url}/_turns", timeout=10) as answer:
            return json.load(answer)

    def exhaust(self) -> None:
        """Use up one key's limit, which fills again by one a minute."""
        with httpx.Client(headers={"X-XYTE-API-KEY": EXHAUSTED}, timeout=30) as client:
            for _ in range(BURST + 1):
                answer = client.post(f"{self.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
                if answer.status_code == 429:
                    return
        raise AssertionError("the limit was never reached")


@contextmanager
def stage() -> Generator[Stage]:
    """Everything on free ports; nothing is left."""
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="xyte-clients-"))
        guard.remove_folder(folder)
        servers = embedded.start(guard, folder, durable=False)
        cloud, proxy, *replicas = (free_port(0) for _ in range(4))
        environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS} | {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "KEY_PEPPER": secrets.token_urlsafe(48),
            "SEALING_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
            "XYTE_BASE_URL": f"http://{HOST}:{cloud}",
            "RATE_LIMIT_PER_MINUTE": "1",
            "RATE_LIMIT_BURST": str(BURST),
            "REPLICAS": "2",
        }

        def start(name: str, *words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-P", "-m", *words]
            return guard.start(command, folder / f"{name}.log", environment=environment, folder=PROJECT)

        start("simulator", "app.cli", "simulator", "--port", str(cloud))
        migrating = guard.start(
            [sys.executable, "-m", "app.cli", "migrate"],
            folder / "migrate.log",
            environment=environment,
            folder=PROJECT,
        )
        assert migrating.wait() == 0, (folder / "migrate.log").read_text()
        guard.ended(migrating)
        start("worker", "app.cli", "worker")
        for port in replicas:
            start(f"replica-{port}", "app.cli", "serve", "--port", str(port))
        start("proxy", "tests.clients.proxy", str(proxy), *(f"http://{HOST}:{port}" for port in replicas))
        wait_for(cloud, "/_simulator/health")
        for port in replicas:
            wait_for(port, "/readyz")
        wait_for(proxy, "/_turns")
        yield Stage(f"http://{HOST}:{proxy}", ORGANIZATION_KEYS[0], able(f"http://{HOST}:{replicas[0]}"))


def able(url: str) -> list[str]:
    """The devices that know the command which the clients will send."""
    with httpx.Client(base_url=url, headers={"X-XYTE-API-KEY": ORGANIZATION_KEYS[0]}, timeout=30) as client:
        rows = client.get("/v1/devices?per_page=20").raise_for_status().json()["items"]
        tries = [(row["id"], {"device_id": row["id"], "name": COMMAND, "dry_run": True}) for row in rows]
        params = [(device, {"name": "send_command", "arguments": arguments}) for device, arguments in tries]
        return [
            device
            for device, call in params
            if not client.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).json()[
                "result"
            ]["isError"]
        ]


def wait_for(port: int, path: str) -> None:
    """Return once it answers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not answers(port, path):
        assert time.monotonic() < deadline, f"{path} did not answer"
        time.sleep(0.05)
