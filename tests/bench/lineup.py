"""Who takes part: how each contender is started, and the series it runs in each workload."""

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app import embedded
from tests.bench.environments import HERE, ROOT
from tests.bench.processes import Command, Server, free_port, serving
from tests.bench.workloads import LEGACY, MODERN, Checker, Exchange, exchange
from tests.tools import MissingError

GATEWAY, PASSTHROUGH, FASTAPI_MCP, FASTMCP = "gateway", "passthrough", "fastapi-mcp", "fastmcp"
CONTENDERS = (GATEWAY, PASSTHROUGH, FASTAPI_MCP, FASTMCP)
MODULES = {PASSTHROUGH: "passthrough", FASTAPI_MCP: "fastapi_mcp_app", FASTMCP: "fastmcp_app"}
EVERY_TOOL = "every tool"
NEVER_REACHED = "100000000"


@dataclass
class Series:
    """One contender in one workload and protocol: a row of a table."""

    workload: str
    contender: str
    protocol: str
    exchange: Exchange
    variant: str = ""
    checker: Checker = field(default_factory=Checker)

    @property
    def label(self) -> str:
        return " ".join(part for part in (self.contender, self.protocol, self.variant) if part)

    @property
    def label_in_workload(self) -> str:
        return f"{self.label} in {self.workload}"


def series_of(workload: str, contender: str) -> Iterator[Series]:
    if workload == "W3":
        if contender != FASTMCP:  # it offers no REST
            yield Series(workload, contender, "", exchange(workload, LEGACY))
        return
    modern = contender in (GATEWAY, FASTMCP) and workload != "W4"
    for protocol in (LEGACY, MODERN) if modern else (LEGACY,):
        yield Series(workload, contender, protocol, exchange(workload, protocol))
    if contender == GATEWAY and workload == "W2":
        every = exchange(workload, LEGACY, mcp_path="/mcp/x/all")
        yield Series(workload, contender, LEGACY, every, EVERY_TOOL)


@dataclass(frozen=True)
class Ground:
    """Where contenders are started."""

    upstream: str
    core: int
    directory: Path
    pythons: dict[str, Path]
    profile: Path | None = None

    def start(self, name: str) -> AbstractAsyncContextManager[Server]:
        return self.gateway() if name == GATEWAY else self.other(name)

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[Server]:
        """Ours with everything on; the limit is so high that each request is counted and none refused."""
        port = free_port()
        profiler = ["-m", "cProfile", "-o", str(self.profile)] if self.profile else []
        address = ["--host", "127.0.0.1", "--port", str(port)]
        words = [str(self.pythons[GATEWAY]), *profiler, "-m", "app.cli", "serve", *address]
        try:
            with embedded.servers(self.directory / "servers", durable=False) as servers:
                settings = {
                    "XYTE_BASE_URL": self.upstream,
                    "DATABASE_URL": servers.database_url,
                    "REDIS_URL": servers.redis_url,
                    "KEY_PEPPER": "a-pepper-for-the-benchmark-only-0000",
                    "SEALING_KEYS": "YSBzZWFsaW5nIGtleSBmb3IgdGhlIGJlbmNoIG9ubHk=",
                    "RATE_LIMIT_PER_MINUTE": NEVER_REACHED,
                    "RATE_LIMIT_BURST": NEVER_REACHED,
                    "LOG_LEVEL": "INFO",
                }
                async with self.serve(GATEWAY, port, Command(words, ROOT, kept_environment() | settings)) as server:
                    yield server
        except embedded.UnavailableError as problem:
            raise MissingError(str(problem)) from problem

    def other(self, name: str) -> AbstractAsyncContextManager[Server]:
        """The others without a log, which is to their advantage, on the same loop and parser as ours."""
        port = free_port()
        quick = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        words = [str(self.pythons[name]), "-m", "uvicorn", f"{MODULES[name]}:app", "--port", str(port), *quick]
        environment = kept_environment() | {"BENCH_UPSTREAM": self.upstream}
        return self.serve(name, port, Command(words, HERE / "contenders", environment))

    def serve(self, name: str, port: int, command: Command) -> AbstractAsyncContextManager[Server]:
        return serving(command, port, self.core, self.directory / f"{name}.log")


def kept_environment() -> dict[str, str]:
    """Nothing of the caller's own settings or proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}
