"""Two replicas behind the example proxies are restarted one after the other, under load, and no request fails."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.deploy.check import MissingError
from tests.deploy.replicas import PROXIES, Callers, proxy, replicas
from tests.service import Service, running_service

UNLIMITED = {"RATE_LIMIT_PER_MINUTE": "1000000", "RATE_LIMIT_BURST": "1000000"}


@pytest.fixture(scope="module")
def service() -> Generator[Service]:
    with running_service() as running:
        yield running


@pytest.mark.parametrize("name", PROXIES)
async def test_a_rolling_restart_loses_no_request(name: str, service: Service, tmp_path: Path) -> None:
    with replicas(service, 2, DRAIN_S="1", **UNLIMITED) as both:
        for replica in both:
            await replica.ready()
        try:
            async with proxy(name, tmp_path, both) as url:
                callers = Callers(url, service.key, 6)
                async with callers.calling():
                    for replica in both:
                        await replica.restart()
        except MissingError as missing:
            pytest.skip(f"NOT RUN: {missing}")

    assert set(callers.answers) == {"200"}, f"{callers.answers}\n{(tmp_path / 'log').read_text()[-1000:]}"
    assert callers.answers["200"] > 100
    print(f"{name}: {callers.answers['200']} requests while both replicas were restarted, none failed")
