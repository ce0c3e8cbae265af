"""The application as a document: nothing is connected and nothing is started."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import SecretBytes, SecretStr

from app.main import create_app
from app.mcp.selection import Catalogue
from app.settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        return self.entry["operationId"]

    @property
    def tag(self) -> str:
        return self.entry["tags"][0]

    def parameters(self, place: str) -> list[dict[str, Any]]:
        """Those in the path, the query or the headers."""
        return [one for one in self.entry.get("parameters", ()) if one["in"] == place]


class Described:
    """What the application says of itself."""

    def __init__(self) -> None:
        settings = Settings(
            database_url="postgresql://nobody@127.0.0.1/none",
            redis_url="redis://127.0.0.1",
            key_pepper=SecretStr("a pepper for documentation, and nothing else"),
            sealing_keys=(SecretBytes(bytes(32)),),
        )
        app = create_app(settings)
        self.document: dict[str, Any] = app.openapi()
        self.catalogue: Catalogue = app.state.catalogue
        self.tags: dict[str, str] = {tag["name"]: tag["description"] for tag in self.document["tags"]}
        self.operations = [
            Operation(method.upper(), path, entries[method])
            for path, entries in sorted(self.document["paths"].items())
            for method in METHODS
            if method in entries
        ]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What a reference refers to."""
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def body_of(self, operation: Operation) -> dict[str, Any] | None:
        """The schema of an operation's JSON body."""
        content = operation.entry.get("requestBody", {}).get("content", {})
        schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return self.resolved(schema) if schema else None

    def example(self, schema: dict[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911  one line for each kind
        """A value that fits a schema, the same each time."""
        schema = self.resolved(schema)
        if schema.get("examples"):
            return schema["examples"][0]
        for given in ("example", "default", "const"):
            if given in schema and schema[given] is not None:
                return schema[given]
        if schema.get("enum"):
            return schema["enum"][0]
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self.example(choices[0], depth)
        match schema.get("type"):
            case "object":
                fields: dict[str, Any] = schema.get("properties", {})
                wanted = schema.get("required", ()) if depth else fields
                return {name: self.example(fields[name], depth + 1) for name in wanted if name in fields}
            case "array":
                return [self.example(schema.get("items", {}), depth + 1)]
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return False
            case _:
                return ""


@cache
def described() -> Described:
    """The application, described once."""
    return Described()
