"""The list of packages is whole, the same each time, and valid; an audit that looked nothing up is no success."""

from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply.audit import NotRunError, findings
from tests.supply.inventory import Package, bill, packages, table


def locked() -> int:
    lock = Path(__file__).resolve().parents[2] / "requirements.lock"
    return sum(line[:1].isalnum() for line in lock.read_text().splitlines())


def test_every_package_of_the_lock_is_in_the_bill_once_and_the_document_is_valid() -> None:
    found = packages()

    text = bill(found)

    assert len({one.name for one in found}) == len(found) == locked()
    assert all(f"pkg:pypi/{one.name}@{one.version}" in text for one in found)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text == bill(packages())


def test_every_licence_is_one_that_we_take() -> None:
    assert not [f"{one.name}: {one.licence}" for one in packages() if not one.is_free]
    assert table(packages()).count("\n") == locked() + 2


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("(MPL-2.0 AND MIT)", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("unknown", False),
        (None, True),
    ],
)
def test_of_a_choice_one_licence_is_enough_and_of_a_sum_all_count(licence: str | None, free: bool) -> None:
    assert Package("a", "1", (), licence).is_free is free


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1"} | more


def test_a_skipped_package_is_told() -> None:
    document = {"dependencies": [entry("a", vulns=[]), entry("b", skip_reason="not found")]}

    found = findings(document)

    assert (found.looked_up, found.weaknesses, found.skipped) == (1, (), ("b: not found",))


def test_a_weakness_is_told_with_the_version_that_has_it_no_more() -> None:
    weakness = {"id": "PYSEC-1", "fix_versions": ["2"]}

    assert findings({"dependencies": [entry("a", vulns=[weakness])]}).weaknesses == ("a 1: PYSEC-1, repaired in 2",)


def test_where_nothing_was_found_nobody_was_asked() -> None:
    with pytest.raises(NotRunError, match="no advisories"):
        findings({"dependencies": [entry("a", skip_reason="not found")]})
