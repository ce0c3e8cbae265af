"""FastMCP's OpenAPI proxy, stateless over HTTP: the same 80 operations from a document, asking the cloud directly."""

import os
from typing import Any

import httpx2
from fastmcp import FastMCP

from operations import OPERATIONS, VERBS, name_of, path_of


# Written out in each operation: behind a $ref, FastMCP resolves it again for every list, which would only flatter us.
ITEM = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "name": {"type": "string"}},
    "required": ["id", "name"],
    "additionalProperties": True,
}


def described(verb: str, resource: str) -> dict[str, Any]:
    answer = {"type": "array", "items": ITEM} if verb == "list" else ITEM
    operation: dict[str, Any] = {
        "operationId": name_of(verb, resource),
        "summary": f"{verb.capitalize()} {resource}",
        "parameters": [],
        "responses": {"200": {"description": "Done", "content": {"application/json": {"schema": answer}}}},
    }
    if verb == "list":
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "integer", "default": default}}
            for name, default in (("page", 1), ("per_page", 25))
        ]
    elif verb != "create":
        operation["parameters"] = [
            {"name": f"{resource}_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    if verb in ("create", "update"):
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": ITEM}}}
    return operation


def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for verb, resource in OPERATIONS:
        path = path_of(verb, resource, "/core/v1/organization")
        paths.setdefault(path, {})[VERBS[verb].lower()] = described(verb, resource)
    return {"openapi": "3.1.0", "info": {"title": "cloud", "version": "1"}, "paths": paths}


cloud = httpx2.AsyncClient(base_url=os.environ["BENCH_UPSTREAM"])
app = FastMCP.from_openapi(document(), client=cloud, name="bench").http_app(stateless_http=True)
