"""With the stack running: every metric of alerts and dashboard is there, and a fault is seen on its panel."""

import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from tests.deploy.check import MissingError
from tests.deploy.test_metrics import FROM_ELSEWHERE, used
from tests.deploy.watched import Watched, load, panels, watched

# Nothing went wrong in these ways, so there is nothing to show.
MAY_BE_EMPTY = {"Refusals"}


def expression(title: str, row: str) -> str:
    """The first query of a panel."""
    place = ""
    for panel in panels():
        place = panel["title"] if panel["type"] == "row" else place
        if (panel["title"], place) == (title, row):
            return panel["targets"][0]["expr"]
    raise LookupError(title)


async def test_metrics_are_there_and_faults_are_seen(tmp_path: Path) -> None:
    try:
        async with watched(tmp_path) as stack, load(stack):
            await stack.submit(10)
            await every_metric_is_there(stack)
            await a_failing_cloud_is_seen(stack)
            await every_panel_shows_something(stack)
            await a_redis_that_is_away_is_seen(stack)
            await a_slow_cloud_is_seen(stack)
            await a_dead_worker_is_seen(stack)
    except MissingError as missing:
        pytest.skip(f"NOT RUN: {missing}")


async def every_metric_is_there(stack: Watched) -> None:
    for metric in used():
        if metric not in FROM_ELSEWHERE and not metric.endswith(("_errors_total", "_refusals_total")):
            await stack.until(f"count({metric})")


async def a_failing_cloud_is_seen(stack: Watched) -> None:
    await stack.let_cloud_fail(kind="status", status=500)
    await stack.until(f"sum({expression('Calls by outcome', 'Xyte cloud')}) > 0")
    await stack.until(f"{expression('Share of failed tool calls', 'Overview')} > 0.05")
    outcomes = {one["metric"]["outcome"] for one in await stack.ask(expression("Calls by outcome", "Xyte cloud"))}
    await stack.let_cloud_work()
    assert "500" in outcomes


async def every_panel_shows_something(stack: Watched) -> None:
    for panel in panels():
        for target in panel.get("targets", ()):
            if panel["title"] not in MAY_BE_EMPTY:
                await stack.until(target["expr"])


async def a_redis_that_is_away_is_seen(stack: Watched) -> None:
    (series,) = await stack.until(f"{expression('Limiter degraded', 'Limits')} == 1")
    assert series["metric"]["instance"] == f"127.0.0.1:{stack.replicas[1].port}"
    await stack.until('ALERTS{alertname="LimiterDegraded"}')


async def a_slow_cloud_is_seen(stack: Watched) -> None:
    await stack.let_cloud_fail(kind="latency", seconds=2.0)
    await stack.until(f"{expression('Time of a call', 'Xyte cloud')} > 1")
    await stack.let_cloud_work()


async def a_dead_worker_is_seen(stack: Watched) -> None:
    os.kill(cast("dict[str, Any]", stack.service.facts["pids"])["worker"], signal.SIGKILL)
    await stack.until('up{job="xyte-worker"} == 0')
    await stack.until('ALERTS{alertname="WorkerDown"}')
