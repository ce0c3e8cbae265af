"""Each operation once through each door: what it is asked, what the cloud gets, and what comes back."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast, get_args, get_type_hints
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

import httpx
import orjson
import respx
from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from jsonschema import Draft202012Validator

from app.mcp.selection import Catalogue
from app.simulator.records import EdgeJob
from app.xyte.schemas.shapes import Page
from tests.world import Simulator

SAME: Any = object()
ADDRESS = "10.20.0.9"


@dataclass(frozen=True)
class Forwarded:
    """One operation: a request to us, and the one that the cloud gets. `{device}` stands for an id of the world."""

    operation: str
    asked: str
    sent: str
    body: Any = None
    sent_body: Any = SAME

    def __str__(self) -> str:
        return self.operation

    def arguments(self, app: FastAPI, ids: Mapping[str, Any]) -> dict[str, Any]:
        """The flat arguments of the tool: those in the path, in the query and in the body."""
        _, url = request_of(self.asked, ids)
        parts = urlsplit(url)
        matched = re.fullmatch(pattern_of(str(route_of(app, self.operation).path)), parts.path)
        assert matched, (self.operation, parts.path)
        query = {name: values if len(values) > 1 else values[0] for name, values in parse_qs(parts.query).items()}
        in_path = {name: unquote(value) for name, value in matched.groupdict().items()}
        return in_path | query | (filled(self.body, ids) or {})

    def compare(self, request: httpx.Request, ids: Mapping[str, Any]) -> None:
        """The cloud got exactly what the row says, in whatever order its query has."""
        method, url = request_of(self.sent, ids)
        path, _, query = url.partition("?")
        assert (request.method, request.url.raw_path.decode().partition("?")[0]) == (method, path)
        assert sorted(parse_qsl(request.url.query.decode())) == sorted(parse_qsl(query))
        wanted = filled(self.body if self.sent_body is SAME else self.sent_body, ids)
        content = request.read()
        if isinstance(wanted, bytes):
            assert content == wanted
        else:
            assert (orjson.loads(content) if content else None) == wanted


@dataclass(frozen=True)
class Door:
    """One caller's way in, with the cloud behind it and the ids of things there."""

    app: FastAPI
    client: httpx.AsyncClient
    cloud: respx.MockRouter
    ids: Mapping[str, Any]

    async def rest(self, row: Forwarded) -> Any:
        """Ask over REST: the cloud gets what the row says, and all that it says comes back."""
        method, url = request_of(row.asked, self.ids)
        answer = await self.client.request(method, url, json=filled(row.body, self.ids))
        assert answer.status_code == 200, answer.text
        row.compare(self.requests[-1], self.ids)
        self.check(row, answer.json(), self.said())
        assert mistakes(answer.json(), promised(self.app, row.operation)) == []
        return answer.json()

    async def mcp(self, row: Forwarded) -> Any:
        """Ask by a tool call: the same, without nulls."""
        arguments = row.arguments(self.app, self.ids)
        catalogue: Catalogue = self.app.state.catalogue
        operation = catalogue.operations[row.operation]
        if operation.effect in ("access", "destructive"):
            arguments["confirm"] = operation.target(arguments)
        params = {"name": row.operation, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        result = (await self.client.post("/mcp/x/all", json=message)).json()["result"]
        assert not result.get("isError"), result
        row.compare(self.requests[-1], self.ids)
        self.check(row, result["structuredContent"], without_nulls(self.said()))
        assert mistakes(result["structuredContent"], catalogue.tools[row.operation].output_schema) == []
        return result["structuredContent"]

    @property
    def requests(self) -> list[httpx.Request]:
        """What the cloud was asked, oldest first."""
        return [call.request for call in cast("Any", self.cloud).calls]

    def said(self) -> Any:
        """The cloud's own answer to its last request."""
        content: bytes = cast("Any", self.cloud).calls.last.response.content
        return orjson.loads(content) if content.strip() else {"success": True}

    def check(self, row: Forwarded, answer: Any, said: Any) -> None:
        """The answer is all that the cloud said, in our one list shape."""
        (shape,) = get_args(get_type_hints(route_of(self.app, row.operation).endpoint)["return"])
        envelope = table(said)
        rows: Any = envelope.get("items", envelope.get("data")) if envelope else said
        if isinstance(shape, type) and issubclass(shape, Page):
            assert answer["items"] == rows
            assert (answer["page"], type(answer["has_more"])) == (1, bool)
        elif envelope and isinstance(rows, list):
            assert [answer] == rows
        else:
            assert answer == said


@cache
def promised(app: FastAPI, operation: str) -> Any:
    """The schema of an operation's success in OpenAPI."""
    document: Any = app.openapi()
    for method in (method for path in document["paths"].values() for method in path.values()):
        if method["operationId"] == operation:
            said = next(answer for status, answer in method["responses"].items() if status.startswith("2"))
            schema: Any = said.get("content", {}).get("application/json", {}).get("schema", True)
            return {"allOf": [schema], "components": document["components"]}
    raise LookupError(operation)


def mistakes(answer: Any, schema: Any) -> list[str]:
    """Where an answer is not what its schema says."""
    validator: Any = Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(answer)]


def table(value: Any) -> dict[str, Any]:
    """What may be an object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def without_nulls(value: Any) -> Any:
    """A tool's result leaves nulls out."""
    if isinstance(value, list):
        return [without_nulls(inner) for inner in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in table(value).items() if inner is not None}
    return value


def request_of(text: str, ids: Mapping[str, Any]) -> tuple[str, str]:
    """A method and an address."""
    method, _, url = str(filled(text, ids)).partition(" ")
    return method, url


def filled(value: Any, ids: Mapping[str, Any]) -> Any:
    """A value with the world's ids in place of their names."""
    if isinstance(value, list):
        return [filled(inner, ids) for inner in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {filled(name, ids): filled(inner, ids) for name, inner in table(value).items()}
    if not isinstance(value, str):
        return value
    if (whole := re.fullmatch(r"\{(\w+)\}", value)) and whole[1] in ids:
        return ids[whole[1]]
    return re.sub(r"\{(\w+)\}", lambda found: quote(str(ids[found[1]]), safe=""), value)


def routes_of(app: FastAPI) -> Iterator[RouteContext]:
    """The routes that forward to the cloud."""
    for route in iter_route_contexts(app.routes):
        module = getattr(route.endpoint, "__module__", "")
        if (
            module.startswith(("app.organization.", "app.partner.", "app.device."))
            and module != "app.organization.search"
        ):
            yield route


def route_of(app: FastAPI, operation: str) -> RouteContext:
    return next(route for route in routes_of(app) if route.name == operation)


def pattern_of(template: str) -> str:
    """A route's path as a regular expression over encoded segments."""
    return re.sub(r"\{(\w+)(?::path)?\}", r"(?P<\1>[^/]+)", template)


def ids_of(simulator: Simulator) -> dict[str, Any]:
    """Something of each kind in the first organization."""
    world = simulator.app.state.simulator.world
    organization = next(iter(world.organizations.values()))
    devices = list(organization.devices.values())
    projector = next(device for device in devices if device.name == "Board Room Projector")
    edge_device = next(device for device in devices if device.custom_parameters)
    edge = next(iter(organization.edges.values()))
    edge.pings[ADDRESS] = edge.claims[ADDRESS] = EdgeJob(ready_at=0.0, result="success", looks=1)
    shadow = devices[20]
    shadow.primary, projector.shadows[shadow.id] = projector, shadow
    notes = list(organization.notes.values())
    queued = world.queue(projector, organization.name, projector.model.commands["power_on"], {}, None)
    unclaimed = next(device for device in world.devices.values() if device.organization is None and device.cloud_id)
    by_partner = next(device for device in devices if device.model.vendor == world.partner.name)
    tickets = [row for row in organization.tickets.values() if row.status == "open"]
    partner_ticket = next(row for row in tickets if row.device.model.vendor == world.partner.name)
    rooms = [space for space in organization.spaces.values() if space.space_type == "room"]
    groups = list(organization.groups.values())
    users = list(organization.users.values())
    return {
        "device": projector.id,
        "other_device": devices[1].id,
        "shadow": shadow.id,
        "unclaimed_cloud_id": unclaimed.cloud_id,
        "edge_device": edge_device.id,
        "edge_model": edge_device.model.id,
        "edge": edge.id,
        "command": queued.id,
        "room": rooms[0].id,
        "empty_room": next(room.id for room in rooms if room.name == "Quiet Room"),
        "device_note": next(note.id for note in notes if note.device_id == devices[0].id),
        "noted_device": devices[0].id,
        "space_note": next(note.id for note in notes if note.space_id == rooms[0].id),
        "ticket": tickets[0].id,
        "partner_ticket": partner_ticket.id,
        "partner_device": by_partner.id,
        "partner_model": by_partner.model.id,
        "model": projector.model.id,
        "asset": next(iter(organization.assets)),
        "label": next(iter(organization.labels["status"])),
        "incident": next(row.id for row in organization.incidents.values() if row.status == "active"),
        "group": groups[0].id,
        "user": users[0].id,
        "new_member": users[4].id,
    }
