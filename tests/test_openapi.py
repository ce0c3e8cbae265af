"""The OpenAPI document says all that a generator of clients or a reader of /docs looks for."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.openapi import MEANINGS, TAGS, ProblemDocument
from app.simulator import ORGANIZATION_KEYS
from tests.world import Simulator


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def test_it_says_whom_it_is_from_and_how_to_get_in(document: dict[str, Any]) -> None:
    assert document["info"]["contact"]["name"]
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert document["servers"] == [{"url": "/", "description": "This gateway"}]
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {"XyteKey": "apiKey", "XyteBearer": "http"}


def test_every_tag_is_described_and_used(document: dict[str, Any]) -> None:
    used = {tag for operation in operations(document) for tag in operation["tags"]}

    assert used == TAGS.keys()
    assert [tag["name"] for tag in document["tags"]] == list(TAGS)


def test_every_operation_is_named_described_tagged_and_answers_something_of_a_shape(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert all(operation[name] for name in ("operationId", "summary", "description", "tags")), operation
        good = {status: told for status, told in operation["responses"].items() if status.startswith("2")}
        assert good, operation
        assert all(shape["schema"] for told in good.values() for shape in told["content"].values()), operation
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)


def test_no_parameter_is_null(document: dict[str, Any]) -> None:
    parameters = [one for operation in operations(document) for one in operation.get("parameters", ())]

    assert len(parameters) > 200
    assert [one["name"] for one in parameters if "null" in str(one["schema"])] == []
    assert all(one["schema"].keys() & {"type", "anyOf", "enum", "$ref", "const"} for one in parameters)


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    bodies = [
        operation["requestBody"]["content"]["application/json"]
        for operation in operations(document)
        if "requestBody" in operation
    ]
    named = {body["schema"]["$ref"].rpartition("/")[2] for body in bodies if "example" not in body}

    assert [name for name in sorted(named) if "'example" not in str(schemas[name])] == []


def test_every_problem_is_described_once_with_an_example_of_its_shape(document: dict[str, Any]) -> None:
    problems = document["components"]["responses"]

    assert sorted(problems) == sorted(f"Problem{status}" for status in MEANINGS)
    for name, problem in problems.items():
        example = ProblemDocument.model_validate(problem["content"]["application/problem+json"]["example"])
        assert name == f"Problem{example.status}"
    assert problems["Problem401"]["headers"] == {"WWW-Authenticate": {"schema": {"type": "string"}}}
    assert problems["Problem429"]["headers"] == {"Retry-After": {"schema": {"type": "string"}}}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/devices/claim", "POST"),
        ("PATCH", "/v1/devices/histories", "GET"),
        ("GET", "/v1/tasks/bulk", "POST"),
        ("OPTIONS", "/v1/spaces/find_or_create", "POST"),
        ("PUT", "/v1/spaces/notes", "GET"),
    ],
)
async def test_a_path_without_parameters_is_never_taken_for_an_id(
    client: httpx.AsyncClient, simulator: Simulator, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path, json={"name": "claim"})

    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert await simulator.requests() == []


async def test_the_key_still_comes_before_the_method(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.delete("/v1/devices/claim")

    assert answer.status_code == 401
    assert ORGANIZATION_KEYS[0] not in answer.text
