"""`dev.py conformance`: every required scenario against the fixtures, and against the product what needs none."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
from aiohttp import web
from pydantic import SecretBytes, SecretStr

from app.settings import Settings
from app.stack import free_port
from tests.conformance.fixture import create_fixture
from tests.conformance.suite import Found, Suite
from tests.service import Service, running_service
from tests.tools import MissingError
from tests.world import served

HERE = Path(__file__).parent
PRODUCT: Mapping[str, tuple[str, ...]] = {
    "2026-07-28": (
        "server-stateless",
        "completion-complete",
        "tools-list",
        "server-sse-multiple-streams",
        "resources-list",
        "sep-2164-resource-not-found",
        "prompts-list",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "http-custom-header-server-validation",
        "input-required-result-unsupported-methods",
    ),
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "dns-rebinding-protection",
    ),
}
"""The scenarios that need no fixture."""
OLDER = ("2025-06-18", "2025-03-26")


def main() -> int:
    try:
        suite = Suite()
    except MissingError as error:
        print(f"conformance: SKIPPED, no run was made: {error}", file=sys.stderr)
        return 3
    found = asyncio.run(fixtures(suite)) | asyncio.run(product(suite))
    print(f"{'run':<21} {'passed':>6} {'of':>4} {'excepted':>9} {'wire violations':>16}")
    return max([shown(name, result, excepted) for name, (result, excepted) in found.items()])


def shown(name: str, found: Found, excepted: set[str]) -> int:
    """A line of the table, and below it whatever should not be."""
    unexpected = found.without(excepted)
    lost = found.failed.keys() - unexpected.failed.keys()
    print(
        f"{name:<21} {len(found.passed):>6} {len(found.scenarios):>4} {len(lost):>9} {found.violations:>16}", flush=True
    )
    for scenario, checks in unexpected.failed.items():
        print(*(f"    {scenario}: {check}" for check in checks), sep="\n")
    if found.complaint and not unexpected.failed:
        print(found.complaint)
    return int(bool(unexpected.failed or found.violations or found.complaint))


def baseline(name: str) -> set[str]:
    """The scenarios that are excepted, or single checks of one."""
    lines = (HERE / name).read_text().splitlines()
    return {line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- ")}


async def fixtures(suite: Suite) -> dict[str, tuple[Found, set[str]]]:
    """The fixture server; of the versions before the newest handshake all that the suite has."""
    app, endpoint = create_fixture(settings())
    excepted = baseline("baseline-2025-11-25.yml")
    async with endpoint.running(), served(app) as address:
        url = f"{address}/mcp"
        new = await asyncio.to_thread(suite.run, url, "--requirements", "2026-07-28")
        expected = "--expected-failures", str(HERE / "baseline-2025-11-25.yml")
        old = await asyncio.to_thread(suite.run, url, "--requirements", "2025-11-25", *expected)
        older = {
            version: await asyncio.to_thread(suite.run, url, "--suite", "all", "--spec-version", version, *expected)
            for version in OLDER
        }
    found = {f"fixtures {version}": (seen, excepted) for version, seen in older.items()}
    found["fixtures 2025-11-25"] = old.only(suite.required("2025-11-25")), excepted
    found["fixtures 2026-07-28"] = new.only(suite.required("2026-07-28")), set()
    return found


async def product(suite: Suite) -> dict[str, tuple[Found, set[str]]]:
    """The whole service, with its key put in by a proxy."""
    found: dict[str, tuple[Found, set[str]]] = {}
    excepted = baseline("baseline-product.yml")
    with running_service(RATE_LIMIT_PER_MINUTE="60000", RATE_LIMIT_BURST="6000") as service:
        async with proxied(service) as url:
            for version, scenarios in PRODUCT.items():
                everything = await asyncio.to_thread(suite.run, url, "--suite", "all", "--spec-version", version)
                everything.complaint = ""  # that fixtures are missing
                found[f"product {version}"] = (everything.only(list(scenarios)), excepted)
    return found


def settings() -> Settings:
    """What the guard asks for; nothing is connected."""
    return Settings(
        database_url="postgresql://nobody@localhost/none",
        redis_url="redis://localhost",
        key_pepper=SecretStr("for the fixtures only, nothing is stored"),
        sealing_keys=(SecretBytes(b"for the fixtures only, 32 bytes."),),
    )


@asynccontextmanager
async def proxied(service: Service) -> AsyncGenerator[str]:
    """The service's endpoint for a caller that cannot send a key."""
    port = free_port(0)

    async def forward(request: web.Request) -> web.StreamResponse:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() != "content-length"]
        headers.append(("X-XYTE-API-KEY", service.key))
        async with session.request(
            request.method, service.url + request.path_qs, headers=headers, data=await request.read() or None
        ) as answer:
            passed = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    passed.headers.add(name, value)
            await passed.prepare(request)
            with suppress(ConnectionResetError):  # the suite hangs up on streams
                async for chunk in answer.content.iter_any():
                    await passed.write(chunk)
                await passed.write_eof()
            return passed

    proxy = web.Application()
    proxy.router.add_route("*", "/{path:.*}", forward)
    runner = web.AppRunner(proxy, access_log=None)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        await web.TCPSite(runner, "localhost", port).start()
        try:
            yield f"http://localhost:{port}/mcp"
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
