"""What the MCP registry is told of us: by its rules, of this version, and no more than the command line takes."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.cli import parser
from app.connect import KEY_HEADER, KEY_VARIABLE

PROJECT = Path(__file__).parents[1]
SERVER: dict[str, Any] = json.loads((PROJECT / "server.json").read_text())
RULES: dict[str, Any] = json.loads((PROJECT / "tests" / "registry.schema.json").read_text())
PACKAGE, REMOTE = SERVER["packages"][0], SERVER["remotes"][0]
validator: Any = import_module("jsonschema").Draft202012Validator


def test_it_keeps_the_registry_s_rules() -> None:
    validator.check_schema(RULES)

    assert [error.message for error in validator(RULES).iter_errors(SERVER)] == []


@pytest.mark.parametrize(
    "change", [{"name": "gateway"}, {"version": "latest"}, {"titel": "x"}, {"packages": []}, {"description": "x" * 101}]
)
def test_the_rules_find_mistakes(change: dict[str, Any]) -> None:
    assert list(validator(RULES).iter_errors(SERVER | change))


def test_it_is_of_this_package_and_version() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    assert {SERVER["version"], PACKAGE["version"]} == {__version__, project["version"]}
    assert PACKAGE["identifier"] == project["name"]
    assert f"{project['name']}=={__version__}" in json.dumps(PACKAGE["runtimeArguments"])


def test_the_command_line_takes_its_arguments() -> None:
    words = [argument.get("value") or argument["name"] for argument in PACKAGE["packageArguments"]]

    assert parser().parse_args([*words, "devices"]).toolsets == "devices"


def test_the_key_is_a_secret_wherever_it_goes() -> None:
    secret = [row["name"] for row in (*PACKAGE["environmentVariables"], *REMOTE["headers"]) if row.get("isSecret")]

    assert secret == [KEY_VARIABLE, KEY_HEADER]


def test_every_variable_of_the_address_is_described() -> None:
    assert set(re.findall(r"\{(\w+)\}", REMOTE["url"])) == set(REMOTE["variables"])
