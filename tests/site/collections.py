"""The operations as collections for Postman and Bruno, the same text for the same application."""

import json
import re
from pathlib import Path
from typing import Any

from tests.site.application import Described, Operation

POSTMAN = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES = {"url": "http://localhost:8000", "key": "YOUR_KEY"}
WITHOUT_KEY = "Service"


def write(described: Described, folder: Path) -> list[Path]:
    """Both collections into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {folder / "xyte.postman_collection.json": json.dumps(postman(described), indent=2) + "\n"}
    written |= {folder / "bruno" / path: text for path, text in bruno(described).items()}
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(written)


# ── Postman ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def postman(described: Described) -> dict[str, Any]:
    """One collection, a folder for each tag; the key is a variable."""
    folders = [
        {"name": tag, "description": text, "item": [postman_request(described, one) for one in mine]}
        for tag, text in described.tags.items()
        if (mine := [one for one in described.operations if one.tag == tag])
    ]
    header = [("key", "X-XYTE-API-KEY"), ("value", "{{key}}"), ("in", "header")]
    return {
        "info": {"name": "Xyte gateway", "description": described.document["info"]["description"], "schema": POSTMAN},
        "auth": {
            "type": "apikey",
            "apikey": [{"key": name, "value": value, "type": "string"} for name, value in header],
        },
        "variable": [{"key": name, "value": value} for name, value in VARIABLES.items()],
        "item": folders,
    }


def postman_request(described: Described, one: Operation) -> dict[str, Any]:
    """A request; what is optional is there and switched off."""
    path = re.sub(r"\{(\w+)\}", r":\1", one.path)
    query = [
        {
            "key": parameter["name"],
            "value": written(described.example(parameter["schema"])),
            "disabled": not parameter.get("required", False),
            "description": parameter.get("description", ""),
        }
        for parameter in one.parameters("query")
    ]
    variables = [
        {"key": parameter["name"], "value": "", "description": parameter.get("description", "")}
        for parameter in one.parameters("path")
    ]
    request: dict[str, Any] = {
        "method": one.method,
        "description": one.entry.get("description", ""),
        "header": [],
        "url": {"raw": "{{url}}" + path, "host": ["{{url}}"], "path": path.strip("/").split("/")}
        | ({"query": query} if query else {})
        | ({"variable": variables} if variables else {}),
    }
    if one.tag == WITHOUT_KEY:
        request["auth"] = {"type": "noauth"}
    if (body := described.body_of(one)) is not None:
        text = json.dumps(described.example(body), indent=2)
        request["body"] = {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}
    return {"name": one.entry.get("summary", one.name), "request": request, "response": []}


# ── Bruno ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bruno(described: Described) -> dict[str, str]:
    """One file for each request, in a folder for each tag."""
    about = {"version": "1", "name": "Xyte gateway", "type": "collection", "ignore": ["node_modules", ".git"]}
    header = block("auth:apikey", {"key": "X-XYTE-API-KEY", "value": "{{key}}", "placement": "header"})
    url = block("vars", {"url": VARIABLES["url"]})
    files = {
        "bruno.json": json.dumps(about, indent=2) + "\n",
        "collection.bru": f"{block('auth', {'mode': 'apikey'})}\n{header}",
        "environments/local.bru": f"{url}\nvars:secret [\n  key\n]\n",
    }
    for one in described.operations:
        place = sum(other.tag == one.tag for other in described.operations[: described.operations.index(one)]) + 1
        files[f"{one.tag}/{one.name}.bru"] = bruno_request(described, one, place)
    return files


def bruno_request(described: Described, one: Operation, place: int) -> str:
    """A request in Bruno's own format; a tilde switches off what is optional."""
    body = described.body_of(one)
    path = re.sub(r"\{(\w+)\}", r":\1", one.path)
    ways = {"url": "{{url}}" + path, "body": "none" if body is None else "json"}
    ways["auth"] = "none" if one.tag == WITHOUT_KEY else "inherit"
    parts = [block("meta", {"name": one.name, "type": "http", "seq": str(place)}), block(one.method.lower(), ways)]
    query = {
        f"{'' if parameter.get('required') else '~'}{parameter['name']}": written(
            described.example(parameter["schema"])
        )
        for parameter in one.parameters("query")
    }
    if query:
        parts.append(block("params:query", query))
    if variables := {parameter["name"]: "" for parameter in one.parameters("path")}:
        parts.append(block("params:path", variables))
    if body is not None:
        parts.append(text_block("body:json", json.dumps(described.example(body), indent=2)))
    if description := one.entry.get("description", ""):
        parts.append(text_block("docs", description))
    return "\n".join(parts)


def block(name: str, values: dict[str, str]) -> str:
    """A block of names and values."""
    lines = "".join(f"  {key}: {value}".rstrip() + "\n" for key, value in values.items())
    return f"{name} {{\n{lines}}}\n"


def text_block(name: str, text: str) -> str:
    """A block of text, which ends at the first line that begins with a brace; so its lines are indented."""
    return f"{name} {{\n" + "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines()) + "}\n"


def written(value: Any) -> str:
    """A value as it stands in a query."""
    return value if isinstance(value, str) else json.dumps(value)
