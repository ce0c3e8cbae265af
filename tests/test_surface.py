"""Every operation keeps the promises that all operations make; a changed promise shows as a changed snapshot."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from mcp_types import Tool

from app.effects import Effect
from app.mcp.server import GatewayMCP
from app.resources import Resources
from tests.raw import ask

SNAPSHOTS = Path(__file__).parent / "snapshots"
METHODS = ("get", "post", "put", "patch", "delete")
NAME = re.compile(r"[a-z0-9_]{3,48}")
# Names that say all there is to say: a description would cost every model that reads the list.
PLAIN = frozenset(
    [
        "admin_contact_email",
        "admin_contact_name",
        "bound_device_sn",
        "category",
        "cloud_id",
        "comments",
        "config",
        "content",
        "custom_model_name",
        "custom_vendor_name",
        "description",
        "details",
        "device_id",
        "device_model",
        "device_model_id",
        "device_type",
        "devices",
        "display_name",
        "email",
        "encoding",
        "filename",
        "finance_contact_email",
        "finance_contact_name",
        "firmware_version",
        "host_address",
        "icon_name",
        "idempotency_key",
        "int_key_1",
        "int_key_2",
        "mac",
        "message",
        "model_id",
        "name",
        "order_short_id",
        "page",
        "per_page",
        "priority",
        "product_id",
        "property",
        "serial_number",
        "sn",
        "state",
        "status",
        "string_key_1",
        "string_key_2",
        "sub_model",
        "title",
        "transferable",
        "value",
        "warranty",
    ]
)
PROBLEM = "#/components/schemas/ProblemDocument"
KEY_NAMES = frozenset({"authorization", "x-xyte-api-key", "api_key", "xyte_key"})


@dataclass(frozen=True)
class Entry:
    """One operation as OpenAPI tells it, and its tool if it has one."""

    method: str
    path: str
    told: dict[str, Any]
    body: dict[str, Any] | None
    tool: Tool | None

    @property
    def name(self) -> str:
        return self.told["operationId"]

    @property
    def effect(self) -> str | None:
        return self.told.get("x-effect")

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return self.told.get("parameters", [])

    def url(self) -> str:
        return re.sub(r"\{[^}]*\}", "d1", self.path)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def entries(app: FastAPI) -> list[Entry]:
    return list(entries_of(app))


def entries_of(app: FastAPI) -> Iterator[Entry]:
    document = app.openapi()
    tools = {tool.name: tool for tool in GatewayMCP(app).tools}  # the application leaves out what nobody may choose
    for path, methods in document["paths"].items():
        for method in METHODS:
            if path.startswith("/v1/") and method in methods:
                told = methods[method]
                yield Entry(method.upper(), path, told, body_of(told, document), tools.get(told["operationId"]))


def body_of(told: dict[str, Any], document: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of an operation's JSON body."""
    content = told.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    return followed(content["application/json"]["schema"], document)


def followed(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A schema without the reference it may be."""
    while "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        schema = document["components"][kind][name]
    return schema


def breaking(entries: list[Entry], promise: Callable[[Entry], object]) -> list[str]:
    """The operations that do not keep a promise."""
    return [f"{entry.name} ({entry.method} {entry.path})" for entry in entries if not promise(entry)]


def test_there_are_operations(entries: list[Entry]) -> None:
    assert len(entries) >= 14


def test_each_has_a_name_of_its_own_that_is_verb_noun(entries: list[Entry]) -> None:
    names = [entry.name for entry in entries]

    assert sorted(set(names)) == sorted(names)
    assert breaking(entries, lambda entry: NAME.fullmatch(entry.name)) == []


def test_each_says_in_its_name_which_scope_it_has(entries: list[Entry]) -> None:
    def says(entry: Entry) -> bool:
        scope = entry.path.split("/")[2]
        return scope not in ("partner", "device") or entry.name.startswith(f"{scope}_")

    assert breaking(entries, says) == []


def test_each_has_a_summary_without_a_full_stop_and_a_tag(entries: list[Entry]) -> None:
    assert breaking(entries, lambda entry: 3 <= len(entry.told.get("summary", "")) <= 60) == []
    assert breaking(entries, lambda entry: not entry.told["summary"].endswith(".")) == []
    assert breaking(entries, lambda entry: len(entry.told.get("tags", [])) == 1) == []


def test_each_is_described_in_at_most_300_characters_that_end_in_a_full_stop(entries: list[Entry]) -> None:
    def described(entry: Entry) -> bool:
        text = " ".join(entry.told.get("description", "").split())
        return 9 <= len(text) <= 300 and text.endswith(".")

    assert breaking(entries, described) == []


def test_each_declares_its_effect(entries: list[Entry]) -> None:
    assert breaking(entries, lambda entry: entry.effect in get_args(Effect)) == []
    assert breaking(entries, lambda entry: entry.effect == "read" or entry.method != "GET") == []
    assert breaking(entries, lambda entry: entry.method != "DELETE" or entry.effect != "read") == []


def test_each_wants_a_key_by_either_scheme(entries: list[Entry]) -> None:
    wanted = {"XyteKey", "XyteBearer"}

    assert breaking(entries, lambda entry: {n for one in entry.told.get("security", []) for n in one} == wanted) == []
    assert breaking(entries, lambda entry: not {one["name"].lower() for one in entry.parameters} & KEY_NAMES) == []


async def test_each_is_401_without_a_key(app: FastAPI, resources: Resources, entries: list[Entry]) -> None:
    for entry in entries:
        for body in (b"", b"{}", b"{"):
            headers = {"content-type": "application/json", "content-length": str(len(body))}

            answer = await ask(app, entry.method, entry.url(), headers=headers, key=None, pieces=[body])

            assert answer.status_code == 401, entry
            assert answer.json()["error"] == "missing_xyte_key"


def test_each_documents_its_problems(entries: list[Entry], document: dict[str, Any]) -> None:
    def documented(entry: Entry) -> bool:
        problems = {
            status: followed(told, document) for status, told in entry.told["responses"].items() if status[0] in "45"
        }
        return {"401", "403", "404", "422", "429", "502", "504"} <= set(problems) and all(
            set(told["content"]) == {"application/problem+json"}
            and told["content"]["application/problem+json"]["schema"] == {"$ref": PROBLEM}
            for told in problems.values()
        )

    assert breaking(entries, documented) == []


def test_each_has_flat_arguments(entries: list[Entry]) -> None:
    def flat(entry: Entry) -> bool:
        if entry.body is None:
            return True
        names = {parameter["name"] for parameter in entry.parameters}
        return entry.body.get("type") == "object" and not names & set(entry.body.get("properties", {}))

    assert breaking(entries, flat) == []


def test_each_parameter_and_field_is_described_unless_its_name_says_all(
    entries: list[Entry], document: dict[str, Any]
) -> None:
    def clear(name: str, schema: dict[str, Any]) -> bool:
        return name in PLAIN or bool(schema.get("description") or followed(schema, document).get("description"))

    missing = [
        f"{entry.name}: {name}"
        for entry in entries
        for name, schema in (
            *((one["name"], one["schema"] | one) for one in entry.parameters),
            *(entry.body or {}).get("properties", {}).items(),
        )
        if not clear(name, schema)
    ]

    assert missing == []


def test_each_tool_s_arguments_are_those_of_its_route(entries: list[Entry]) -> None:
    own = {"fields", "dry_run", "confirm", "idempotency_key"}

    def same(entry: Entry) -> bool:
        if entry.tool is None:
            return True
        names = {one["name"] for one in entry.parameters if one["in"] in ("path", "query")}
        names |= set((entry.body or {}).get("properties", {}))
        schema = entry.tool.input_schema
        return set(schema["properties"]) - own == names - own and schema["additionalProperties"] is False

    assert breaking(entries, same) == []


def test_each_tool_s_hints_follow_from_the_effect(entries: list[Entry]) -> None:
    def follows(entry: Entry) -> bool:
        if entry.tool is None or entry.tool.annotations is None:
            return entry.tool is None
        hints = entry.tool.annotations
        return (
            hints.read_only_hint is (entry.effect == "read")
            and hints.destructive_hint is (entry.effect in ("physical", "access", "destructive"))
            and hints.idempotent_hint is not None
            and hints.open_world_hint is not None
        )

    assert breaking(entries, follows) == []


def test_each_has_a_tool_unless_it_says_that_it_is_none(entries: list[Entry]) -> None:
    assert breaking(entries, lambda entry: (entry.tool is not None) is entry.told.get("x-tool", True)) == []


# ── Snapshots ────────────────────────────────────────────────────────────────────────────────────────────────────────


def snapshot_of(entry: Entry) -> str:
    """What outsiders rely on of an operation."""
    shown = {
        "method": entry.method,
        "path": entry.path,
        "summary": entry.told.get("summary"),
        "description": entry.told.get("description"),
        "effect": entry.effect,
        "parameters": entry.parameters,
        "body": entry.body,
        "tool": entry.tool and entry.tool.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def size_of(tool: Tool) -> int:
    return len(tool.model_dump_json(by_alias=True, exclude_none=True).encode())


def table_of(entries: list[Entry]) -> str:
    """What each tool costs whoever has to read the list."""
    sizes = {entry.name: size_of(entry.tool) for entry in sorted(entries, key=lambda one: one.name) if entry.tool}
    effects = {entry.name: entry.effect for entry in entries}
    lines = ["# Tools", "", "| tool | effect | bytes |", "|---|---|---:|"]
    lines += [f"| {name} | {effects[name]} | {size} |" for name, size in sizes.items()]
    lines += [f"| **{len(sizes)} tools** | | **{sum(sizes.values())}** |"]
    return "\n".join(lines) + "\n"


def test_the_promises_are_those_of_the_snapshots(entries: list[Entry]) -> None:
    """UPDATE_SNAPSHOTS=1 writes them anew."""
    promised = {f"{entry.name}.json": snapshot_of(entry) for entry in entries} | {"_tools.md": table_of(entries)}
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        rewrite(promised)

    kept = {path.name: path.read_text() for path in SNAPSHOTS.iterdir()}

    assert sorted(kept.keys() - promised.keys()) == [], "stale"
    assert sorted(promised.keys() - kept.keys()) == [], "missing"
    assert [name for name in sorted(promised) if kept[name] != promised[name]] == [], "different"


def rewrite(promised: dict[str, str]) -> None:
    SNAPSHOTS.mkdir(exist_ok=True)
    for path in SNAPSHOTS.iterdir():
        if path.name not in promised:
            path.unlink()
    for name, text in promised.items():
        (SNAPSHOTS / name).write_text(text)
