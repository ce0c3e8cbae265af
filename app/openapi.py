"""What /openapi.json says besides the routes: whom it is from, what each tag holds, how each problem looks."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field

from app.errors import (
    BodyTimeout,
    BodyTooLarge,
    ConfirmationNeeded,
    ConflictingXyteKeys,
    InvalidInput,
    InvalidXyteKey,
    MissingXyteKey,
    Problem,
    RateLimited,
    TaskEnded,
    Unforeseen,
    UnknownHost,
    UnsupportedMediaType,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamSuspended,
    UpstreamTimeout,
)

DESCRIPTION = """\
A gateway to the Xyte cloud (device management for AV and IoT fleets): typed REST operations here, the same operations
as MCP tools at `/mcp`. Send your own Xyte API key with each request, in `X-XYTE-API-KEY` or as
`Authorization: Bearer`; the gateway keeps none. Failures are `application/problem+json` (RFC 9457).
"""
TAGS = {
    "Assets": "The inventory, connected or not, and its labels.",
    "Commands": "What devices are told to do, sent at once.",
    "Context": "Who calls, which operations there are, and a way to run any of them.",
    "Device API": "What a device says to the cloud with its own access key, and what it hears.",
    "Devices": "Devices of the organization: find, read, claim, change, move, merge, delete.",
    "Edges": "Proxies on a site through which the cloud reaches local devices.",
    "Events": "What happened, in order: read, follow, or hand in by webhook.",
    "Groups": "Who may see and do what.",
    "Incidents": "What is or was wrong with devices.",
    "Licenses": "What devices are licensed to do.",
    "Models": "Kinds of devices, with the commands they know.",
    "Notes": "What people wrote about devices and spaces.",
    "Organization": "The organization behind a key.",
    "Partner devices": "Devices of a vendor's models, over all customers. Needs a partner key.",
    "Partner organizations": "Customers of a vendor. Needs a partner key.",
    "Partner tickets": "Tickets of a vendor's customers. Needs a partner key.",
    "Presets": "What a room does at a word: shipped presets, the organization's own, and their runs.",
    "Rooms": "Rooms as people speak of them: find, see, diagnose, control.",
    "Search": "Search and fetch over everything that has a name.",
    "Service": "Whether this service lives and can serve. Needs no key.",
    "Spaces": "Sites, floors and rooms.",
    "Tasks": "Commands that are sent later and surely, and what became of them.",
    "Tickets": "Requests for help.",
    "Users": "People who may sign in.",
}
KEYS = {
    "XyteKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-XYTE-API-KEY",
        "description": "A Xyte organization or partner API key (in Xyte: Settings, API Keys). The gateway keeps none.",
    },
    "XyteBearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
}
"""Either will do. Declared here, and not by dependencies of FastAPI's, which each request would pay for."""
PROBLEM = "#/components/schemas/ProblemDocument"
EXAMPLES: tuple[Problem, ...] = (
    ConflictingXyteKeys(),
    MissingXyteKey(),
    InvalidXyteKey(),
    UpstreamRefused(404, "Device not found"),
    BodyTimeout(10),
    TaskEnded("The task ended as done; there is nothing to cancel."),
    BodyTooLarge(1_048_576),
    UnsupportedMediaType(),
    UnknownHost(),
    InvalidInput(
        "query.per_page: Input should be less than or equal to 100",
        [{"path": "query.per_page", "message": "Input should be less than or equal to 100"}],
    ),
    ConfirmationNeeded("This cannot be undone. Repeat it with confirm.", "c66308c8-1d12-4f0e-8f6e-0a1b2c3d4e5f"),
    RateLimited("This key may call 60 times a minute. Try again in 7 s.", 7),
    Unforeseen(),
    UpstreamFailed("Xyte failed with status 500.", upstream_status=500, retry_safe=True),
    UpstreamSuspended(20),
    UpstreamTimeout("Xyte did not answer within 15 s.", retry_safe=True),
)
MEANINGS = {
    400: "The request contradicts itself, or Xyte refused it.",
    401: "No key, or one that Xyte refuses.",
    403: "What was sent is no Xyte key, or the key may not do this.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "The state of the thing does not allow this now.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The gateway does not answer for this host.",
    422: "Something in the request is not valid.",
    428: "Nothing was done yet: confirm first.",
    429: "Too often; Retry-After says when to come back.",
    500: "Something went wrong here.",
    502: "Xyte failed, or could not be reached.",
    503: "Too much failed just now, so nothing was tried.",
    504: "Xyte took too long.",
}


class ProblemDocument(BaseModel):
    """A failure (RFC 9457)."""

    type: str = Field(examples=["urn:problem:MissingXyteKey"])
    title: str
    status: int
    detail: str = Field(description="What was wrong and what would be right.")
    error: str = Field(description="Short code.", examples=["missing_xyte_key"])
    request_id: str | None = Field(None, description="Finds the request in the log.")
    errors: list[dict[str, Any]] | None = Field(None, description="For 422: path, message, allowed values.")
    source: str | None = Field(None, description="xyte, where the cloud failed or refused.")
    retry_safe: bool | None = Field(None, description="Whether the same request may be sent again without harm.")
    upstream_status: int | None = Field(None, description="The status with which Xyte answered.")
    xyte_message: str | None = Field(None, description="Xyte's own words.")
    retry_after: int | None = Field(None, description="Seconds to wait.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems an operation may answer with; in the document they become references."""
    shape = {"application/problem+json": {"schema": {"$ref": PROBLEM}}}
    return {status: {"description": MEANINGS[status], "content": shape} for status in statuses}


def describe(app: FastAPI, url: str) -> None:
    """Complete what FastAPI makes of the routes."""
    app.openapi_tags = [{"name": name, "description": description} for name, description in TAGS.items()]
    app.contact = {"name": "The maintainers of the Xyte gateway"}
    app.servers = [{"url": url or "/", "description": "This gateway"}]
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            complete(generate())
        return generate()

    app.openapi = openapi


def complete(document: dict[str, Any]) -> None:
    """Say each problem and each kind of key once; a parameter is left out, never null."""
    components = document["components"]
    schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"].setdefault("ProblemDocument", schema)
    components["securitySchemes"] = KEYS
    components["responses"] = {f"Problem{problem.status}": response_of(problem) for problem in EXAMPLES}
    for path, operation in operations_of(document):
        if path.startswith("/v1/"):
            operation["security"] = [{name: []} for name in KEYS]
        responses = operation["responses"]
        for status, response in responses.items():
            if "application/problem+json" in response.get("content", {}):
                responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = without_null(parameter["schema"])


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its path."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that is there."""
    if "anyOf" not in schema:
        return schema
    others = {name: value for name, value in schema.items() if name != "anyOf"}
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    return (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | others


def response_of(problem: Problem) -> dict[str, Any]:
    """A problem with an example that its own class made."""
    body = problem.body("5f1c0d2e-7b1a-4c52-9a57-2f6d1e0b8c34")
    response: dict[str, Any] = {
        "description": MEANINGS[problem.status],
        "content": {"application/problem+json": {"schema": {"$ref": PROBLEM}, "example": body}},
    }
    if said := set(problem.headers) & {"WWW-Authenticate", "Retry-After"}:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in sorted(said)}
    return response
