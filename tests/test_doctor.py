"""`xyte-mcp doctor`: each illness is found, named and given advice, and no secret is shown."""

import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx
from redis.asyncio import Redis

from app import doctor
from app.cli import main
from app.doctor import Finding, Ill, ask, examine
from app.resources import Resources, open_resources
from app.settings import Settings, settings_alone
from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY
from app.stack import free_port

KEY = ORGANIZATION_KEYS[0]
SECRET = "planted-secret"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*doctor.SERVER_SETTINGS, "XYTE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XYTE_BASE_URL", f"http://127.0.0.1:{free_port(0)}")


@pytest.fixture
async def alone(cloud: respx.MockRouter) -> AsyncIterator[Resources]:
    async with open_resources(settings_alone({}), transport=httpx.MockTransport(cloud.async_handler)) as opened:
        yield opened


def named(findings: list[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


async def ill(question: Any) -> Ill:
    with pytest.raises(Ill) as raised:
        await question
    return raised.value


def test_a_user_of_stdio_needs_no_servers_but_the_cloud(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])

    said = capsys.readouterr()
    assert code == 1
    assert "skipped  postgres" in said.out
    assert "FAILED   cloud" in said.out
    assert "→ See whether this machine reaches XYTE_BASE_URL" in said.out
    assert said.err == "xyte-mcp doctor: cloud failed\n"


def test_findings_can_be_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])

    findings = json.loads(capsys.readouterr().out)
    assert {"name", "state", "said", "advice"} == findings[0].keys()


def test_nothing_failed_is_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def examined(_environment: object) -> list[Finding]:
        return [Finding("cloud", "ok", "fine")]

    monkeypatch.setattr(doctor, "examine", examined)

    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "ok       cloud       fine\n"


def test_each_mistake_in_the_settings_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://there")
    monkeypatch.setenv("KEY_PEPPER", SECRET)

    findings = [finding for finding in examine({"DATABASE_URL": "set"}) if finding.name == "settings"]

    assert [finding.said.partition(":")[0] for finding in findings] == ["REDIS_URL", "KEY_PEPPER", "SEALING_KEYS"]
    assert SECRET not in str(findings)


def test_what_is_away_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "DATABASE_URL": f"postgres://xyte:{SECRET}@127.0.0.1:{free_port(0)}/xyte",
        "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{free_port(0)}/0",
        "KEY_PEPPER": "a pepper for tests, and for nothing else",
        "SEALING_KEYS": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU=",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    findings = examine(environment)

    states = {finding.name: finding.state for finding in findings}
    assert (states["postgres"], states["redis"]) == ("failed", "failed")
    assert (states["migrations"], states["clock"]) == ("skipped", "skipped")
    assert SECRET not in str(findings)
    assert "Connect call failed" in named(findings, "postgres").said


async def test_all_is_well(resources: Resources) -> None:
    for name, question in {
        "PostgreSQL": doctor.look_at_postgres(resources),
        "at 2": doctor.look_at_migrations(resources),
        "V": doctor.look_at_redis(resources),
        "hub.xyte.test answers": doctor.look_at_cloud(resources),
        "PostgreSQL +": doctor.look_at_clock(resources),
        "of organization ": doctor.look_at_key(resources, KEY),
        "a partner's": doctor.look_at_key(resources, PARTNER_KEY),
    }.items():
        assert (await question).replace(" -", " +").startswith(name)


async def test_an_old_postgresql_an_empty_one_and_one_left_behind(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [140_005, None, "there", "20200101_old"]

    async def in_postgres(_resources: Resources, _query: str) -> Any:
        return answers.pop(0)

    monkeypatch.setattr(doctor, "in_postgres", in_postgres)

    old = await ill(doctor.look_at_postgres(resources))
    empty = await ill(doctor.look_at_migrations(resources))
    behind = await ill(doctor.look_at_migrations(resources))

    assert "PostgreSQL 14" in str(old)
    assert "empty" in str(empty)
    assert "xyte-mcp migrate" in empty.advice
    assert str(behind).startswith("at 20200101_old, this version needs ")


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        ({"redis_version": "6.2.1"}, "failed", "Redis 6.2.1"),
        ({"redis_version": "7.4.0", "maxmemory_policy": "allkeys-lru"}, "warning", "maxmemory-policy is allkeys-lru"),
    ],
)
async def test_a_redis_that_forgets_or_is_old(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, facts: dict[str, Any], state: str, said: str
) -> None:
    async def info(_redis: Redis) -> dict[str, Any]:
        return facts

    monkeypatch.setattr(Redis, "info", info)

    found = await ill(doctor.look_at_redis(resources))

    assert (found.state, str(found)) == (state, said)


async def test_a_redis_by_its_own_name(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    async def info(_redis: Redis) -> dict[str, Any]:
        return {"redis_version": "7.4.0"}

    monkeypatch.setattr(Redis, "info", info)

    assert (await doctor.look_at_redis(resources)).startswith("Redis 7.4.0")


async def test_a_cloud_that_fails_and_a_clock_that_is_off(alone: Resources, cloud: respx.MockRouter) -> None:
    cloud.routes.clear()
    cloud.route().respond(503, headers={"Date": "Wed, 01 Jan 2020 00:00:00 GMT"})

    failing = await ill(doctor.look_at_cloud(alone))
    off = await ill(doctor.look_at_clock(alone))

    assert "answers 503" in str(failing)
    assert off.state == "warning"
    assert "NTP" in off.advice


async def test_without_a_date_there_is_nobody_to_compare_with(alone: Resources, cloud: respx.MockRouter) -> None:
    cloud.routes.clear()
    cloud.route().respond(200)

    assert (await ill(doctor.look_at_clock(alone))).state == "skipped"


@pytest.mark.parametrize(
    ("key", "said"),
    [("short", "does not hold a key"), ("x" * 40, "does not accept it"), ("", "is not set")],
)
async def test_a_key_that_is_none_or_refused(alone: Resources, key: str, said: str) -> None:
    found = await ill(doctor.look_at_key(alone, key))

    assert said in str(found)
    assert not key or key not in str(found)


async def test_a_key_cannot_be_checked_while_the_cloud_is_away(alone: Resources, cloud: respx.MockRouter) -> None:
    cloud.routes.clear()
    cloud.route().mock(side_effect=httpx.ConnectError)

    assert "See what the look at the cloud says." in (await ill(doctor.look_at_key(alone, KEY))).advice


async def test_keys_in_the_clear_are_a_warning_except_on_this_machine() -> None:
    found = await ill(doctor.look_at_certificates(["http://gateway.example.test"]))
    here = await doctor.look_at_certificates(["http://127.0.0.1:9000", "http://localhost"])

    assert found.state == "warning"
    assert here == "127.0.0.1:9000 is this machine; localhost is this machine"


@pytest.mark.parametrize(("days", "state"), [(100, None), (3, "warning")])
async def test_how_long_a_certificate_is_good(monkeypatch: pytest.MonkeyPatch, days: int, state: str | None) -> None:
    class Writer:
        def get_extra_info(self, _name: str) -> dict[str, Any]:
            return {"notAfter": "Jan  5 09:34:43 2018 GMT"}

        def close(self) -> None: ...

    async def connected(*_: object, **__: object) -> tuple[None, Writer]:
        return None, Writer()

    def seconds(_text: str) -> float:
        return doctor.time.time() + days * 86_400 + 60

    monkeypatch.setattr(doctor.asyncio, "open_connection", connected)
    monkeypatch.setattr(doctor.ssl, "cert_time_to_seconds", seconds)

    if state is None:
        assert await doctor.look_at_certificates(["https://here.test"]) == "here.test for 100 days"
    else:
        assert (await ill(doctor.look_at_certificates(["https://here.test"]))).state == state


@pytest.mark.parametrize("error", [ssl.SSLCertVerificationError(1, "not trusted"), OSError("refused")])
async def test_a_certificate_that_cannot_be_seen(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    async def failing(*_: object, **__: object) -> None:
        if isinstance(error, ssl.SSLCertVerificationError):
            error.verify_message = "self-signed certificate"
        raise error

    monkeypatch.setattr(doctor.asyncio, "open_connection", failing)

    assert str(await ill(doctor.look_at_certificates(["https://here.test"]))).startswith("here.test: ")


def test_python_and_packages_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(doctor, "EXPECTED", {"mcp": "1.", "no-such-package": "1."})

    python, packages = (
        doctor.looked("python", doctor.look_at_python),
        doctor.looked("packages", doctor.look_at_packages),
    )

    assert (python.state, packages.state) == ("failed", "failed")
    assert "no-such-package missing" in packages.said


async def test_what_hangs_or_breaks_is_a_finding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs() -> str:
        await doctor.asyncio.Event().wait()
        return "never"

    async def breaks() -> str:
        raise KeyError(SECRET)

    monkeypatch.setattr(doctor, "WITHIN_S", 0.01)

    assert "no answer within" in (await doctor.asked("redis", hangs())).said
    assert (await doctor.asked("redis", breaks())).said == "unforeseen: KeyError"


async def test_all_questions_are_asked_at_once(settings: Settings) -> None:
    findings = await ask(settings.model_copy(update={"public_url": "http://localhost:1"}), "")

    assert {finding.name for finding in findings} == {
        "postgres", "migrations", "redis", "cloud", "tls", "clock", "key"
    }  # fmt: skip
