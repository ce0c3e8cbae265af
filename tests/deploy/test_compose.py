"""compose.yaml keeps its promises: nothing open, nothing by default, everything checked."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.deploy.check import PROJECT, interpolated_compose

COMPOSE: dict[str, Any] = interpolated_compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("gateway", "worker", "migrate", "simulator")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@each_service
def test_a_service_is_closed(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@each_service
def test_a_service_has_limits_and_time_to_stop(service: dict[str, Any]) -> None:
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["pids_limit"] > 0
    assert service["stop_grace_period"] == "75s"


@each_service
def test_a_service_is_checked_unless_it_ends_by_itself(service: dict[str, Any]) -> None:
    ends = service["restart"] == "no"

    assert service["healthcheck"] == {"disable": True} if ends else "test" in service["healthcheck"]


@each_service
def test_an_image_is_pinned(service: dict[str, Any]) -> None:
    name, _, tag = service["image"].partition(":")

    assert name
    assert re.match(r"v?\d+\.\d+", tag)


@each_service
def test_nothing_waits_for_what_was_only_started(service: dict[str, Any]) -> None:
    for name, wait in service.get("depends_on", {}).items():
        assert wait["condition"] == ("service_completed_successfully" if name == "migrate" else "service_healthy")


def test_only_the_proxy_is_reachable_from_outside() -> None:
    published = {
        name: [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
        for name, service in SERVICES.items()
    }

    assert {name for name, ports in published.items() if ports} == {"proxy"}


def test_stores_have_no_way_out() -> None:
    for name in ("postgres", "redis"):
        assert all(COMPOSE["networks"][network].get("internal") for network in SERVICES[name]["networks"])


def test_every_password_is_required() -> None:
    text = (PROJECT / "compose.yaml").read_text()
    secret = re.findall(r"\$\{(\w*(?:PASSWORD|PEPPER|SEALING_KEYS)\w*)([^}]*)\}", text)

    assert secret
    assert all(rest.startswith(":?") for _, rest in secret)


@pytest.mark.parametrize("name", ["gateway", "worker", "migrate"])
def test_our_processes_are_given_settings_that_there_are(name: str) -> None:
    given = SERVICES[name]["environment"]

    assert {variable.lower() for variable in given} <= set(Settings.model_fields)
    assert Settings(**{variable.lower(): value for variable, value in given.items()}).redis_url.startswith("redis://")


def test_our_processes_share_one_image_and_one_set_of_settings() -> None:
    assert len({SERVICES[name]["image"] for name in OURS}) == 1
    assert SERVICES["gateway"]["environment"] == SERVICES["migrate"]["environment"]
    assert SERVICES["gateway"]["environment"].items() <= SERVICES["worker"]["environment"].items()


def test_redis_keeps_what_it_was_told_and_asks_for_a_password() -> None:
    command = SERVICES["redis"]["command"][-1]

    assert "--appendonly yes --appendfsync everysec" in command
    assert "--maxmemory-policy noeviction" in command
    assert "requirepass $REDIS_PASSWORD" in command


def test_every_file_that_is_mounted_exists() -> None:
    mounted = [
        volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith("./")
    ]

    assert mounted
    assert all((PROJECT / volume.split(":")[0]).exists() for volume in mounted)
    assert all(volume.endswith(":ro") for volume in mounted)


def test_the_example_names_what_the_generator_writes() -> None:
    example = (PROJECT / "deploy" / "compose.env.example").read_text()
    made = subprocess.run(
        [sys.executable, PROJECT / "deploy" / "make_env.py", "a.example"], capture_output=True, text=True, check=True
    )

    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == set(re.findall(r"^(\w+)=", made.stdout, re.MULTILINE))


def test_what_the_generator_writes_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "compose.env"
    before = os.umask(0o022)
    try:
        with path.open("w") as file:
            subprocess.run([sys.executable, PROJECT / "deploy" / "make_env.py", "a.example"], stdout=file, check=True)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600
