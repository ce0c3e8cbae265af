"""`xyte-mcp doctor`: what the service leans on, each looked at once, and what to do about what is wrong."""

import asyncio
import json
import os
import platform
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.auth import KEY_SHAPE, Caller, tenant_of
from app.db import AWAY
from app.errors import Problem, XyteRefusedKey
from app.resources import Resources, open_resources
from app.settings import NO_POSTGRES, NO_REDIS, Settings, settings_alone

State = Literal["ok", "warning", "failed", "skipped"]
EXPECTED = {"mcp": "2.", "fastapi-mcp": "0.4.", "redis": "5.", "httpx": "0.28."}
"""What the code was written for; another version of these has other names for what we use."""
SERVER_SETTINGS = ("DATABASE_URL", "REDIS_URL", "KEY_PEPPER", "SEALING_KEYS")
OLDEST_POSTGRES, OLDEST_REDIS = 15, 7
CERTIFICATE_DAYS = 14
WITHIN_S = 8.0
MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Finding:
    """How one thing is, and what to do where it is not well."""

    name: str
    state: State
    said: str
    advice: str = ""


class Ill(Exception):
    """What is wrong with a thing, and what to do."""

    def __init__(self, said: str, advice: str, state: State = "failed") -> None:
        super().__init__(said)
        self.advice = advice
        self.state: State = state


def run(*, as_json: bool) -> int:
    """Look at everything and say it: 0 if nothing failed."""
    findings = examine(os.environ)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(shown(finding) for finding in findings))
    failed = [finding.name for finding in findings if finding.state == "failed"]
    if failed:
        print(f"xyte-mcp doctor: {', '.join(failed)} failed", file=sys.stderr)
    return 1 if failed else 0


def shown(finding: Finding) -> str:
    """One line, and another one with the advice."""
    state = finding.state if finding.state in ("ok", "skipped") else finding.state.upper()
    advice = f"\n{'':<21}→ {finding.advice}" if finding.advice else ""
    return f"{state:<8} {finding.name:<12}{finding.said}{advice}"


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """All findings: first what can be said without asking anyone."""
    findings = [looked("python", look_at_python), looked("packages", look_at_packages)]
    is_server = any(environment.get(name) for name in SERVER_SETTINGS)
    try:
        # A user of stdio alone has set none of them, and needs none.
        settings = Settings.model_validate({}) if is_server else settings_alone(environment)
    except ValidationError as error:
        return [*findings, *mistakes(error)]
    findings.append(Finding("settings", "ok", "for serve and worker" if is_server else "for stdio"))
    return findings + asyncio.run(ask(settings, environment.get("XYTE_API_KEY", "").strip()))


def looked(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", look())
    except Ill as ill:
        return Finding(name, ill.state, str(ill), ill.advice)


def look_at_python() -> str:
    """The interpreter's version."""
    here = platform.python_version()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Ill(f"Python {here}", "Run it with Python 3.11, 3.12 or 3.13.")
    return f"Python {here}, gateway {__version__}"


def look_at_packages() -> str:
    """The packages whose versions matter most."""
    there: dict[str, str] = {}
    for name in EXPECTED:
        try:
            there[name] = version(name)
        except PackageNotFoundError:
            there[name] = "missing"
    listed = ", ".join(f"{name} {number}" for name, number in there.items())
    if any(not there[name].startswith(start) for name, start in EXPECTED.items()):
        raise Ill(listed, "Install what requirements.lock names: pip install --require-hashes -r requirements.lock")
    return listed


def mistakes(error: ValidationError) -> list[Finding]:
    """What is wrong with the settings; nothing they hold is shown."""
    return [
        Finding(
            "settings",
            "failed",
            f"{'.'.join(map(str, mistake['loc'])).upper() or 'together'}: {mistake['msg']}",
            "Set it in the environment; the README lists every setting.",
        )
        for mistake in error.errors(include_url=False, include_input=False)
    ]


# ── What has to be asked ─────────────────────────────────────────────────────────────────────────────────────────────


async def ask(settings: Settings, key: str) -> list[Finding]:
    """Everything at once, since each may have to be waited for."""
    async with open_resources(settings) as resources:
        public = settings.public_url
        questions: dict[str, Awaitable[str]] = {
            "postgres": look_at_postgres(resources),
            "migrations": look_at_migrations(resources),
            "redis": look_at_redis(resources),
            "cloud": look_at_cloud(resources),
            "tls": look_at_certificates([url for url in (settings.xyte_base_url, public) if url]),
            "clock": look_at_clock(resources),
            "key": look_at_key(resources, key),
        }
        return list(await asyncio.gather(*(asked(name, question) for name, question in questions.items())))


async def asked(name: str, question: Awaitable[str]) -> Finding:
    try:
        async with asyncio.timeout(WITHIN_S):
            return Finding(name, "ok", await question)
    except Ill as ill:
        return Finding(name, ill.state, str(ill), ill.advice)
    except TimeoutError:
        return Finding(name, "failed", f"no answer within {WITHIN_S:g} s", "See whether a firewall is in between.")
    except Exception as error:  # noqa: BLE001  a doctor who dies of an illness helps nobody
        return Finding(name, "failed", f"unforeseen: {type(error).__name__}", "Please report this.")


def place(url: str) -> str:
    """Where a URL leads, without who goes there."""
    parts = urlsplit(url)
    where = parts.hostname or parts.query.partition("host=")[2].partition("&")[0] or parts.path
    return f"{where}:{parts.port}" if parts.port else where


async def look_at_postgres(resources: Resources) -> str:
    """Whether it answers, and is new enough."""
    if resources.settings.database_url == NO_POSTGRES:
        raise Ill("not set", "stdio forwards without one; serve, worker and stdio's long commands need it.", "skipped")
    began = time.perf_counter()
    number = int(await in_postgres(resources, "SHOW server_version_num"))
    took_ms = (time.perf_counter() - began) * 1000
    major = number // 10_000
    if major < OLDEST_POSTGRES:
        raise Ill(f"PostgreSQL {major}", f"Use PostgreSQL {OLDEST_POSTGRES} or later.")
    return f"PostgreSQL {major}.{number % 10_000} at {place(resources.settings.database_url)}, {took_ms:.0f} ms"


async def in_postgres(resources: Resources, query: str) -> Any:
    try:
        async with resources.engine.connect() as connection:
            return await connection.scalar(text(query))
    except (*AWAY, SQLAlchemyError, Problem) as error:
        why = reason(error, resources.settings.database_url)
        raise Ill(
            f"{place(resources.settings.database_url)}: {why}",
            "See that it runs and that DATABASE_URL names its host, database, user and password.",
        ) from None


def reason(error: BaseException, url: str) -> str:
    """The innermost words of an error, without what a URL keeps secret."""
    inner = getattr(error, "orig", None) or error
    said = (str(inner).splitlines() or [""])[0].rpartition("'>: ")[2] or type(inner).__name__
    password = urlsplit(url).password
    return said.replace(password, "…") if password else said


async def look_at_migrations(resources: Resources) -> str:
    """Whether the database is at this version's revision."""
    if resources.settings.database_url == NO_POSTGRES:
        raise Ill("no PostgreSQL to look into", "", "skipped")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    try:
        is_empty = await in_postgres(resources, "SELECT to_regclass('alembic_version')::text") is None
    except Ill:
        raise Ill("PostgreSQL does not answer", "", "skipped") from None
    if is_empty:
        raise Ill("the database is empty", "Run `xyte-mcp migrate`.")
    current = await in_postgres(resources, "SELECT version_num FROM alembic_version")
    if current != head:
        raise Ill(f"at {current}, this version needs {head}", "Run `xyte-mcp migrate` with this version.")
    return f"at {head}"


async def look_at_redis(resources: Resources) -> str:
    """Whether it answers, is new enough, and throws nothing away."""
    url = resources.settings.redis_url
    if url == NO_REDIS:
        raise Ill("not set", "stdio limits for itself without one; serve and worker need it.", "skipped")
    redis: Any = resources.redis
    began = time.perf_counter()
    try:
        facts: dict[str, Any] = await redis.info()
    except (RedisError, OSError, TimeoutError) as error:
        raise Ill(
            f"{place(url)}: {reason(error, url)}", "See that it runs and that REDIS_URL names its host and password."
        ) from None
    took_ms = (time.perf_counter() - began) * 1000
    number = str(facts.get("valkey_version") or facts["redis_version"])
    if int(number.partition(".")[0]) < OLDEST_REDIS:
        raise Ill(f"Redis {number}", f"Use Redis {OLDEST_REDIS} or later, or Valkey.")
    if facts.get("maxmemory_policy", "noeviction") != "noeviction":
        raise Ill(
            f"maxmemory-policy is {facts['maxmemory_policy']}",
            "Set it to noeviction: limits and wake-ups must not be thrown away.",
            "warning",
        )
    return f"{'Valkey' if 'valkey_version' in facts else 'Redis'} {number} at {place(url)}, {took_ms:.0f} ms"


async def answer_of(resources: Resources) -> httpx.Response:
    """Whatever the cloud says to somebody without a key."""
    url = resources.settings.xyte_base_url
    try:
        request = httpx.Request("GET", f"{url}/core/v1/organization/info", headers={"Accept": "application/json"})
        return await resources.cloud.transport.handle_async_request(request)
    except (httpx.TransportError, OSError) as error:
        raise Ill(
            f"{place(url)}: {reason(error, url) or type(error).__name__}",
            "See whether this machine reaches XYTE_BASE_URL: name, firewall, proxy, certificates.",
        ) from None


async def look_at_cloud(resources: Resources) -> str:
    """Whether the cloud can be reached at all."""
    began = time.perf_counter()
    answer = await answer_of(resources)
    took_ms = (time.perf_counter() - began) * 1000
    await answer.aclose()
    where = place(resources.settings.xyte_base_url)
    if answer.status_code >= 500:
        raise Ill(f"{where} answers {answer.status_code}", "Wait, or ask Xyte; nothing is wrong here.")
    return f"{where} answers, {took_ms:.0f} ms"


async def look_at_certificates(urls: list[str]) -> str:
    """Whether keys travel under TLS, and for how long the certificates are good."""
    said = [await certificate(url) for url in urls]
    return "; ".join(said)


async def certificate(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        if host in LOOPBACK:
            return f"{place(url)} is this machine"
        raise Ill(f"{place(url)} is http: keys travel in the clear", "Use an https address.", "warning")
    try:
        _, writer = await asyncio.open_connection(host, parts.port or 443, ssl=ssl.create_default_context())
    except ssl.SSLCertVerificationError as error:
        raise Ill(
            f"{host}: {error.verify_message}", "Renew the certificate, or trust its issuer with SSL_CERT_FILE."
        ) from None
    except OSError as error:
        raise Ill(f"{host}: {reason(error, url)}", "See that it is reached and speaks TLS.") from None
    found: dict[str, Any] = writer.get_extra_info("peercert")
    writer.close()
    days = (datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC) - datetime.now(UTC)).days
    if days < CERTIFICATE_DAYS:
        raise Ill(f"{host}: the certificate ends in {days} days", "Renew it.", "warning")
    return f"{host} for {days} days"


async def look_at_clock(resources: Resources) -> str:
    """How far this machine's clock is from the cloud's, and from PostgreSQL's."""
    skews: dict[str, float] = {}
    with suppress(Ill):  # which the look at PostgreSQL says
        then = await in_postgres(resources, "SELECT extract(epoch FROM clock_timestamp())")
        skews["PostgreSQL"] = float(then) - time.time()
    with suppress(Ill):  # which the look at the cloud says
        answer = await answer_of(resources)
        await answer.aclose()
        if date := answer.headers.get("date"):
            skews["Xyte"] = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()
    if not skews:
        raise Ill("nobody to compare with", "", "skipped")
    said = ", ".join(f"{name} {skew:+.1f} s" for name, skew in skews.items())
    if any(abs(skew) > resources.settings.tasks_clock_skew_s for skew in skews.values()):
        raise Ill(said, "Set the clock by NTP, or raise TASKS_CLOCK_SKEW_S to more than this.", "warning")
    return said


async def look_at_key(resources: Resources, key: str) -> str:
    """Whether the cloud takes the key in the environment, if there is one."""
    if not key:
        raise Ill("XYTE_API_KEY is not set", "Set it for this one check; a service needs none of its own.", "skipped")
    if not KEY_SHAPE.fullmatch(key):
        raise Ill(
            "XYTE_API_KEY does not hold a key", "It has 32 to 512 visible characters: in Xyte, Settings, API Keys."
        )
    try:
        tenant = await tenant_of(resources, Caller(key, resources.fingerprint(key)))
    except XyteRefusedKey:
        raise Ill("Xyte does not accept it", "Make a new one: in Xyte, Settings, API Keys.") from None
    except Problem as problem:
        raise Ill(problem.detail, "See what the look at the cloud says.") from None
    return "a partner's" if tenant.startswith("partner-") else f"of organization {tenant}"
