"""The collections hold every operation, the same each time, and no key."""

import json
import re
from pathlib import Path
from typing import Any, cast

from tests.site.application import Described, described
from tests.site.collections import bruno, postman, write
from tests.site.hooks import packed
from tests.site.reference import pages

BLOCK = re.compile(r"^[a-z:-]+ \{$.*?^\}$", re.MULTILINE | re.DOTALL)


def requests(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [request for item in items for request in (requests(item["item"]) if "item" in item else [item["request"]])]


def test_postman_has_every_operation_with_its_path() -> None:
    collection = postman(described())

    found = {(one["method"], one["url"]["raw"]) for one in requests(collection["item"])}

    assert found == {(one.method, "{{url}}" + re.sub(r"\{(\w+)\}", r":\1", one.path)) for one in described().operations}
    for one in requests(collection["item"]):
        assert all(f":{variable['key']}" in one["url"]["path"] for variable in one["url"].get("variable", ()))
        assert "body" not in one or json.loads(one["body"]["raw"]) is not None


def test_bruno_has_every_operation_in_blocks_that_end() -> None:
    files = bruno(described())

    names = {Path(path).stem for path in files if path.count("/") == 1 and not path.startswith("environments")}

    assert names == {one.name for one in described().operations}
    for path, text in files.items():
        if path.endswith(".bru") and "/" in path and not path.startswith("environments"):
            assert not BLOCK.sub("", text).strip(), path


def test_the_same_application_gives_the_same_files(tmp_path: Path) -> None:
    again = Described()

    assert postman(again) == postman(described())
    assert packed(bruno(again)) == packed(bruno(described()))
    assert pages(again) == pages(described())
    assert len(write(described(), tmp_path)) == len(described().operations) + 4


def test_the_key_is_a_variable() -> None:
    values = {cast("str", one["key"]): one["value"] for one in postman(described())["variable"]}

    assert values["key"] == "YOUR_KEY"
    assert "vars:secret [\n  key\n]" in bruno(described())["environments/local.bru"]


def test_reference_has_every_operation_and_every_tool() -> None:
    made = pages(described())

    assert all(f"### `{one.name}`" in made["reference/operations.md"] for one in described().operations)
    assert all(f"| `{name}`" in made["reference/tools.md"] for name in described().catalogue.tools)
