"""Alerts and dashboard name only metrics, labels and error codes that the running service emits."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.errors import Problem
from tests.world import call

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "xyte-mcp.json"
SELECTOR = re.compile(r"([a-z_][a-z0-9_]*)\{([^}]*)\}")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
GIVEN_BY_PROMETHEUS = {"job", "instance"}
OF_PROMETHEUS = {"up"}
FROM_ELSEWHERE = {"xyte_backup_last_success_timestamp_seconds", "probe_ssl_earliest_cert_expiry"}
"""The first is what backup.sh writes, see test_backup.py; the second is blackbox_exporter's."""


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel that asks something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if "targets" in panel]


def expressions() -> Iterator[str]:
    """Every query."""
    yield from (rule["expr"] for rule in alerts())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def used() -> dict[str, set[str]]:
    """Every metric that a query names, with the labels by which it chooses."""
    found: dict[str, set[str]] = {}
    for expression in expressions():
        for metric, labels in SELECTOR.findall(expression):
            found.setdefault(metric, set()).update(LABEL.findall(labels))
    return {metric: labels - GIVEN_BY_PROMETHEUS for metric, labels in found.items() if metric not in OF_PROMETHEUS}


async def emitted(client: httpx.AsyncClient) -> dict[str, set[str]]:
    """Every series that there is after a call that went well and one that did not, with its labels."""
    await client.get("/v1/devices")
    await call(client, "list_devices")
    await call(client, "get_device", device_id="there-is-no-such-device")
    await client.get("/v1/devices/there-is-no-such-device")
    text = (await client.get("/metrics")).text
    series: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name, set()).update(sample.labels)
        if not family.samples:
            series.setdefault(family.name + ("_total" if family.type == "counter" else ""), set())
    return series


async def test_every_metric_named_in_alerts_and_dashboard_is_emitted(client: httpx.AsyncClient) -> None:
    there = await emitted(client)

    assert set(used()) - set(there) == FROM_ELSEWHERE


async def test_every_label_by_which_a_query_chooses_exists(client: httpx.AsyncClient) -> None:
    there = await emitted(client)

    missing = {metric: labels - there[metric] for metric, labels in used().items() if there.get(metric)}

    assert not {metric: labels for metric, labels in missing.items() if labels}


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_happened(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert "for" in rule


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_shown_firing(rule: dict[str, Any]) -> None:
    text = Path(__file__).with_name("alerts.test.yaml").read_text()
    groups: list[dict[str, Any]] = yaml.safe_load(text)["tests"]

    fired = {test["alertname"] for group in groups for test in group["alert_rule_test"] if test.get("exp_alerts")}

    assert rule["alert"] in fired


def test_the_alerts_count_the_errors_that_are_not_the_callers() -> None:
    ours = {"internal_error"} | {problem.error for problem in every(Problem) if problem.status >= 500}

    listed = [set(codes.split("|")) for codes in re.findall(r'error=~"([a-z_|]+)"', ALERTS.read_text())]

    assert listed
    assert all({"internal_error", "xyte_unreachable", "xyte_timeout"} <= codes <= ours for codes in listed)


def every(problem: type[Problem]) -> Iterator[type[Problem]]:
    """All kinds of a problem."""
    for kind in problem.__subclasses__():
        yield kind
        yield from every(kind)


async def test_no_wait_that_was_asked_for_passes_for_slowness(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    waiting = dict(waits(document))
    left_out = {
        re.compile(words) for expression in expressions() for words in re.findall(r'handler!~"(.+?)"', expression)
    }
    tools = {re.compile(words) for expression in expressions() for words in re.findall(r'tool!~"(.+?)"', expression)}

    assert len(waiting) > 5
    assert len(left_out) == len(tools) == 1
    assert all(words.fullmatch(path) for words in left_out for path in ("/mcp", *waiting))
    assert not any(words.fullmatch(path) for words in left_out for path in ("/v1/devices", "/v1/rooms"))
    assert all(set(words.pattern.split("|")) == set(waiting.values()) - {"stream_events"} for words in tools)


def waits(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and name of every operation that can be told to wait, or whose answer has no end."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            fields = {parameter["name"] for parameter in operation.get("parameters", ())}
            for shape in re.findall(r"#/components/schemas/(\w+)", str(operation.get("requestBody"))):
                fields |= set(document["components"]["schemas"][shape].get("properties", ()))
            if "wait_seconds" in fields or "text/event-stream" in str(operation["responses"].get("200")):
                yield path, operation["operationId"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in cast("list[dict[str, Any]]", json.loads(DASHBOARD.read_text())["panels"]):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
