"""A lock names packages, versions and hashes: whoever installs chooses the place where they come from."""

import json
import re
from pathlib import Path

import pytest

import dev

PROJECT = Path(__file__).parents[2]
OF_NODE = [*PROJECT.glob("tests/**/package-lock.json")]
OF_PYTHON = [*PROJECT.glob("*.lock"), *PROJECT.glob("tests/**/requirements*.txt")]


def relative(file: Path) -> str:
    return str(file.relative_to(PROJECT))


def test_every_lock_is_looked_at() -> None:
    assert (len(OF_NODE), len(OF_PYTHON)) == (3, 7)


@pytest.mark.parametrize("lock", [*OF_NODE, *OF_PYTHON], ids=relative)
def test_no_lock_holds_an_address(lock: Path) -> None:
    assert not re.findall(r"\w+://\S*|--(?:extra-)?index-url|--find-links|--trusted-host", lock.read_text())


@pytest.mark.parametrize("lock", OF_PYTHON, ids=relative)
def test_every_python_package_has_one_version_and_hashes(lock: Path) -> None:
    requirements = re.split(r"\n(?=[^\s#])", re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE).strip())

    assert requirements
    assert not [one for one in requirements if not re.match(r"[\w.\[\]-]+==\S+[^\n]*\\\n(?:\s+--hash=sha256:)", one)]


@pytest.mark.parametrize("lock", OF_NODE, ids=relative)
def test_every_node_package_has_a_version_and_a_hash(lock: Path) -> None:
    packages: dict[str, dict[str, str]] = json.loads(lock.read_text())["packages"]

    installed = [package for place, package in packages.items() if place]
    assert installed
    assert all(package["version"] and package["integrity"].startswith("sha512-") for package in installed)


def test_addresses_are_taken_out_of_what_npm_writes() -> None:
    written = {"packages": {"a": {"version": "1", "resolved": "https://a.test", "funding": {"url": "https://b.test"}}}}

    assert json.loads(dev.without_addresses(json.dumps(written))) == {"packages": {"a": {"version": "1"}}}
