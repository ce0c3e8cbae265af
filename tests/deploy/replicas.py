"""Replicas of the API as processes, a proxy before them, and requests that come all the time."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from app.stack import free_port
from tests.deploy import check
from tests.service import Service
from tests.world import answers, program, until

PROJECT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60.0


class Replica:
    """One API process, which can be replaced by another on the same port."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port(0)
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = dict(environment)
        self._log = log
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(self.port)]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log)

    async def ready(self) -> None:
        """Wait until it can serve."""
        await until(lambda: answers(f"{self.url}/readyz"), READY_WITHIN_S, 0.05)

    async def restart(self) -> None:
        """What every orchestrator does: SIGTERM, wait for the end, start anew, wait until it is ready."""
        self._process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self._process.wait, READY_WITHIN_S)
        self._process = self._start()
        await self.ready()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def replicas(service: Service, count: int, **environment: str) -> Generator[list[Replica]]:
    """So many replicas on the service's stores."""
    given = {**os.environ, **service.environment, **environment, "REPLICAS": str(count)}
    started = [Replica(given, service.logs / f"replica-{number}.log") for number in range(count)]
    try:
        yield started
    finally:
        for replica in started:
            replica.kill()


def nginx_configuration(folder: Path, port: int, upstreams: list[Replica]) -> list[str | Path]:
    """The example of deploy/proxy on this machine, without TLS."""
    site = (PROJECT / "deploy" / "proxy" / "nginx.conf").read_text()
    for number, replica in enumerate(upstreams):
        site = site.replace(f"127.0.0.1:{8000 + number} ", f"127.0.0.1:{replica.port} ")
    site = "\n".join(line for line in site.splitlines() if "ssl_" not in line)
    site = site.replace("listen 80;", f"listen 127.0.0.1:{free_port(0)};")
    site = site.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    temporary = " ".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {temporary}\n{site}\n}}\n"
    )
    return [check.program("nginx", "nginx", "usr/sbin/nginx"), "-p", folder, "-c", file]


def caddy_configuration(folder: Path, port: int, upstreams: list[Replica]) -> list[str | Path]:
    """The Caddyfile of deploy/proxy on this machine: without TLS, and with addresses instead of a name for them."""
    text = (PROJECT / "deploy" / "proxy" / "Caddyfile").read_text()
    begin = text.index("\t\tdynamic a {")
    end = text.index("\t\t}\n", begin) + len("\t\t}\n")
    addresses = " ".join(f"127.0.0.1:{replica.port}" for replica in upstreams)
    text = text[:begin] + f"\t\tto {addresses}\n" + text[end:]
    text = text.replace("{\n", "{\n\tadmin off\n", 1).replace("{$DOMAIN}", f"http://127.0.0.1:{port}")
    file = folder / "Caddyfile"
    file.write_text(text)
    return [
        check.scratch_python(check.CADDY_WHEELS).with_name("caddy"),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        file,
    ]


PROXIES = {"caddy": caddy_configuration, "nginx": nginx_configuration}


@asynccontextmanager
async def proxy(name: str, folder: Path, upstreams: list[Replica]) -> AsyncGenerator[str]:
    """The example proxy before the replicas; gives its URL."""
    port = free_port(0)
    command = PROXIES[name](folder, port, upstreams)
    url = f"http://127.0.0.1:{port}"
    async with program(command, folder / "log", folder):
        await until(lambda: answers(f"{url}/healthz"), READY_WITHIN_S, 0.05)
        yield url


class Callers:
    """Callers that ask one thing after the other, over REST and as tools, each on connections of its own."""

    def __init__(self, url: str, key: str, count: int) -> None:
        self._url = url
        self._headers = {"X-XYTE-API-KEY": key}
        self._count = count
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []

    @asynccontextmanager
    async def calling(self) -> AsyncGenerator[None]:
        """They call while this is open."""
        tasks = [asyncio.create_task(self._call(number)) for number in range(self._count)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=30) as client:
            while True:
                began = time.perf_counter()
                self.answers[await self._ask(client, number)] += 1
                self.seconds.append(time.perf_counter() - began)
                number += 1

    async def _ask(self, client: httpx.AsyncClient, number: int) -> str:
        try:
            if number % 2:
                answer = await client.get("/v1/devices", params={"per_page": 1})
            else:
                parameters = {"name": "list_devices", "arguments": {"per_page": 1}}
                message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters}
                answer = await client.post("/mcp", json=message)
        except httpx.HTTPError as failure:
            return type(failure).__name__
        failed = answer.status_code == 200 and bool(number % 2 == 0 and answer.json()["result"].get("isError"))
        return "tool error" if failed else str(answer.status_code)
