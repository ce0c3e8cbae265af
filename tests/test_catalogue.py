"""Our OpenAPI and the catalogue of Xyte's endpoints, compared both ways: nothing missing, nothing invented."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel

from tests.forwarding import Forwarded, routes_of

HERE = Path(__file__).parent
FACTS: dict[str, Any] = yaml.safe_load((HERE / "catalogue.yaml").read_text())
ENDPOINTS: dict[str, Any] = {endpoint["key"]: endpoint for endpoint in FACTS["endpoints"]}

OURS_FOR_THEIRS: dict[str, tuple[set[str], set[str]]] = {
    "organization.commands.sendCommand": ({"skip_validation"}, {"command"}),  # sent along with name
    "device.registration.bulkRegisterDevice": ({"devices"}, {"[]"}),  # a body is one object here
    "device.configuration.setConfig": ({"document"}, {"*"}),
    "device.telemetries.sendChildTelemetry": ({"messages"}, {"<child id>"}),
    "device.telemetries.sendMassTelemetry": ({"messages"}, {"<device id>"}),
    "device.file-dumps.sendDump": ({"content", "encoding"}, {"<raw bytes>"}),  # bytes, as JSON carries them
    "device.file-dumps.appendDumpFile": ({"content", "encoding"}, {"<raw bytes>"}),
}
IMPLIED = {
    "partner.devices.getCommands": {"page"},  # says the catalogue of its pages
    "organization.commands.sendCommand": {"wait_seconds"},  # ours: waits for its end
}
SEEN: dict[str, set[str]] = {  # in answers, though not among the entity's fields
    "DeviceState": {"device_id"},
    "StateRecord": {"device_id"},
    "FoundSpace": {"found"},
}


def theirs(path: str) -> str:
    """The catalogue's path of one of ours, without the names of its parameters."""
    if path == "/v1/organization":
        return "/core/v1/organization/info"
    if path.startswith("/v1/partner/"):
        return bare("/core" + path)
    if re.match(r"/v1/device(/|$)", path):
        return bare(path.replace("/v1/device", "/v1/devices", 1))
    return bare(path.replace("/v1/", "/core/v1/organization/", 1))


def bare(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


KEYS = {
    (call.split(" ")[0], bare(call.split(" ")[1])): key for key, call in ((k, e["call"]) for k, e in ENDPOINTS.items())
}


@pytest.fixture(scope="module")
def operations(app: FastAPI) -> Mapping[str, Any]:
    """What our OpenAPI says of each forwarded operation, by the catalogue's key; unknown ones under their path."""
    document = app.openapi()
    forwarded = {str(route.name): route for route in routes_of(app)}
    found: dict[str, Any] = {}
    for path, methods in document["paths"].items():
        for method, entry in methods.items():
            if route := forwarded.get(entry["operationId"]):
                key = KEYS.get((method.upper(), theirs(path)), f"{method} {path}")
                (shape,) = get_args(get_type_hints(route.endpoint)["return"])
                found[key] = entry | {"shape": shape, "fields": body_fields(document, entry)}
    return found


def body_fields(document: Mapping[str, Any], entry: Mapping[str, Any]) -> set[str]:
    """The names in an operation's body."""
    if "requestBody" not in entry:
        return set()
    schema = entry["requestBody"]["content"]["application/json"]["schema"]
    return set(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


@pytest.fixture(scope="module")
def rows() -> dict[str, Forwarded]:
    """The tables of the resources' tests."""
    files = sorted(path for scope in ("organization", "partner", "device") for path in (HERE / scope).glob("test_*.py"))
    modules = [importlib.import_module(f"tests.{path.parent.name}.{path.stem}") for path in files]
    return {row.operation: row for module in modules for row in getattr(module, "FORWARDED", ())}


def test_every_endpoint_is_an_operation_and_every_operation_an_endpoint(operations: Mapping[str, Any]) -> None:
    assert sorted(operations) == sorted(ENDPOINTS)
    assert [sum(key.startswith(scope) for key in operations) for scope in ("organization", "partner", "device")] == [
        64,
        14,
        30,
    ]


@pytest.mark.parametrize("key", ENDPOINTS)
def test_an_operation_has_the_fields_and_the_risk_of_its_endpoint(operations: Mapping[str, Any], key: str) -> None:
    endpoint, operation = ENDPOINTS[key], operations[key]
    ours, theirs_alone = OURS_FOR_THEIRS.get(key, (set(), set()))

    asked = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}

    assert operation["x-effect"] == endpoint["risk"]
    assert asked == set(endpoint.get("query", ())) | IMPLIED.get(key, set())
    assert operation["fields"] == set(endpoint.get("body", ())) - theirs_alone | ours


@pytest.mark.parametrize("key", [key for key, endpoint in ENDPOINTS.items() if "answer" in endpoint])
def test_an_answer_has_the_documented_fields(operations: Mapping[str, Any], key: str) -> None:
    shape = innermost(operations[key]["shape"])

    assert set(shape.model_fields) - SEEN.get(shape.__name__, set()) == set(FACTS["entities"][ENDPOINTS[key]["answer"]])


def innermost(shape: Any) -> type[BaseModel]:
    """The row of a page, the element of a list, the value of a map; or the shape itself."""
    arguments = getattr(shape, "__pydantic_generic_metadata__", {}).get("args") or get_args(shape)
    return innermost(arguments[-1]) if arguments else shape


@pytest.mark.parametrize("key", ENDPOINTS)
def test_an_operation_calls_its_endpoint(operations: Mapping[str, Any], rows: dict[str, Forwarded], key: str) -> None:
    method, path = ENDPOINTS[key]["call"].split(" ")
    sent = rows[operations[key]["operationId"]].sent.partition("?")[0]

    assert re.fullmatch(f"{method} " + re.sub(r"\{[^}]*\}", "[^/]+", path), sent)


def test_every_operation_is_called_in_the_tests(operations: Mapping[str, Any], rows: dict[str, Forwarded]) -> None:
    assert set(rows) == {operation["operationId"] for operation in operations.values()}
