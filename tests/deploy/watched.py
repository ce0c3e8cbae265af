"""A running stack with a Prometheus that watches it, and what the dashboard's panels show of it."""

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from app.stack import free_port
from tests.deploy import check
from tests.deploy.replicas import Callers, Replica, replicas
from tests.service import Service, running_service
from tests.world import answers, program, until

DASHBOARD = check.DEPLOY / "grafana" / "xyte-mcp.json"
EVERY_S = 1
UNLIMITED = {"RATE_LIMIT_PER_MINUTE": "1000000", "RATE_LIMIT_BURST": "1000000"}


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard."""
    return json.loads(DASHBOARD.read_text())["panels"]


def filled(expression: str) -> str:
    """A query as Grafana would send it for the last minutes of this short life."""
    for name, value in {"$__rate_interval": "10s", "$__range": "1m", "$instance": ".*"}.items():
        expression = expression.replace(name, value)
    return expression


@dataclass(frozen=True)
class Watched:
    """The stack, its replicas, and its Prometheus."""

    service: Service
    replicas: list[Replica]
    prometheus: str

    async def ask(self, expression: str, seconds: float | None = None) -> list[dict[str, Any]]:
        """The series of a query now, or over the last so many seconds."""
        asked: dict[str, Any] = {"query": filled(expression)}
        path = "query"
        if seconds is not None:
            now = time.time()
            asked |= {"start": now - seconds, "end": now, "step": EVERY_S}
            path = "query_range"
        async with httpx.AsyncClient() as client:
            answer = (await client.get(f"{self.prometheus}/api/v1/{path}", params=asked)).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    async def until(self, expression: str, within_s: float = 40.0) -> list[dict[str, Any]]:
        """The series of a query as soon as there are any."""
        return await until(lambda: self.ask(expression), within_s, EVERY_S / 2)

    async def let_cloud_fail(self, **fault: Any) -> None:
        """From now on its answers go wrong."""
        async with httpx.AsyncClient(base_url=self.service.simulator_url) as client:
            answer = await client.post("/_simulator/faults", json={"times": None} | fault)
        assert answer.status_code == 201, answer.text

    async def let_cloud_work(self) -> None:
        async with httpx.AsyncClient(base_url=self.service.simulator_url) as client:
            await client.delete("/_simulator/faults")

    async def submit(self, count: int) -> None:
        """Some long commands, so that there are tasks."""
        headers = {"X-XYTE-API-KEY": self.service.key}
        async with httpx.AsyncClient(base_url=self.replicas[0].url, headers=headers, timeout=30) as client:
            devices = (await client.get("/v1/devices", params={"per_page": 20})).json()["items"]
            for number in range(count):
                device = devices[number % len(devices)]
                await client.post("/v1/tasks", json={"device_id": device["id"], "name": "power_on"})


@asynccontextmanager
async def watched(folder: Path) -> AsyncGenerator[Watched]:
    """Two replicas and a worker under Prometheus; the second replica's Redis is away."""
    metrics = free_port(0)
    with running_service(WORKER_METRICS_PORT=str(metrics), **UNLIMITED) as service:
        away = {"REDIS_URL": "redis://127.0.0.1:1/0"}
        with replicas(service, 1, **UNLIMITED) as first, replicas(service, 1, **UNLIMITED, **away) as second:
            both = [*first, *second]
            for replica in both:
                await replica.ready()
            targets = {"xyte-gateway": [replica.port for replica in both], "xyte-worker": [metrics]}
            async with prometheus(folder, targets) as url:
                yield Watched(service, both, url)


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, list[int]]) -> AsyncGenerator[str]:
    """Debian's Prometheus with our rules, asking often."""
    binary = check.program("prometheus", "prometheus", "usr/bin/prometheus")
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
        for job, ports in targets.items()
    ]
    document = {
        "global": {"scrape_interval": f"{EVERY_S}s", "evaluation_interval": f"{EVERY_S}s"},
        "rule_files": [str(check.DEPLOY / "prometheus" / "alerts.yaml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(document))
    port = free_port(0)
    command = [binary, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    url = f"http://127.0.0.1:{port}"
    async with program(command, folder / "prometheus.log", folder):
        await until(lambda: answers(f"{url}/-/ready"), 30, 0.1)
        yield url


@asynccontextmanager
async def load(stack: Watched) -> AsyncGenerator[None]:
    """Callers at every replica."""
    first, second = (Callers(replica.url, stack.service.key, 2) for replica in stack.replicas)
    async with first.calling(), second.calling():
        yield
