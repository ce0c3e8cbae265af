"""Every endpoint of the cloud answers its documented shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app.simulator import ORGANIZATION_KEYS, PARTNER_KEY, Simulator
from app.simulator.fleet import device_called
from app.simulator.products import HEARTBEAT_MODEL_ID
from app.simulator.records import Device, EdgeJob, JsonObject, Organization

TABLE: JsonObject = yaml.safe_load(Path(__file__).with_name("endpoints.yaml").read_text(encoding="utf-8"))
ENDPOINTS: list[JsonObject] = TABLE["endpoints"]


@pytest.fixture
def values(simulator: Simulator, harbor_light: Organization, codec: Device, projector: Device) -> dict[str, str | int]:
    """What the placeholders of the table stand for: one thing of each kind."""
    world = simulator.world
    child = world.register(codec.model, "child", name=None, firmware_version="1.0.0")
    child.parent = codec
    codec.children[child.id] = child
    shadow = device_called(harbor_light, "Board Room PTZ Camera")
    shadow.primary = codec
    codec.shadows[shadow.id] = shadow
    waiting = next(row for row in harbor_light.licenses.values() if row.state == "remove")
    waiting.device, waiting.change = codec, "remove"
    edge = next(iter(harbor_light.edges.values()))
    edge.pings["10.0.0.1"] = edge.claims["10.0.0.1"] = EdgeJob(0, "success")
    command = world.send(codec, harbor_light.name, "mute", {}, None)
    incident = world.open_incident(codec, "Cover open", None, "low", "cover_open")
    codec.dumps["dump"] = bytearray(b"first")
    assert command is not None
    assert incident is not None
    space = device_called(harbor_light, "Reception Display").space
    assert space is not None
    ticket = next(
        one for one in harbor_light.tickets.values() if one.device and one.device.model.vendor == codec.model.vendor
    )
    notes = list(harbor_light.notes.values())
    return {
        "asset_id": next(iter(harbor_light.assets)),
        "category": "manufacturer",
        "device_id": codec.id,
        "other_device_id": projector.id,
        "shadow_device_id": shadow.id,
        "child_id": child.id,
        "command_id": command.id,
        "open_command_id": command.id,
        "incident_id": incident.id,
        "waiting_license_id": waiting.id,
        "access_key": codec.access_key,
        "unclaimed_cloud_id": next(
            one.cloud_id or "" for one in world.devices.values() if one.name == "New Video Codec"
        ),
        "proxy_id": edge.id,
        "edge_model_id": HEARTBEAT_MODEL_ID,
        "space_id": space.id,
        "user_id": next(iter(harbor_light.users)),
        "ticket_id": ticket.id,
        "file_id": codec.model.files[0]["id"],
        "dump_id": "dump",
        "mime_type": "text%2Fplain",
        "filename": "boot.log",
        "device_note_id": next(note.id for note in notes if note.device_id is not None),
        "noted_device_id": next(note.device_id for note in notes if note.device_id is not None),
        "space_note_id": next(note.id for note in notes if note.space_id is not None),
        "noted_space_id": next(note.space_id for note in notes if note.space_id is not None),
        "empty_space_id": next(space.id for space in harbor_light.spaces.values() if space.name == "Quiet Room"),
        "groups": next(iter(harbor_light.groups)),
        "users": next(iter(harbor_light.users)),
        "incidents": incident.id,
        "models": codec.model.id,
    }


def placed(endpoint: JsonObject, values: dict[str, str | int]) -> tuple[str, str]:
    """The method and the path with values in it; {id} means a thing of the path's own kind."""
    method, path = endpoint["request"].split(" ")
    own: dict[str, str | int] = {}
    if path.endswith("_id}/notes") or "/notes/{id}" in path:
        kind = "device" if "/devices/" in path else "space"
        own = {f"{kind}_id": values[f"noted_{kind}_id"], "id": values[f"{kind}_note_id"]}
    elif "{id}" in path:
        own = {"id": values[path.split("/")[4]]}
    elif method == "DELETE" and path.endswith("/spaces/{space_id}"):
        own = {"space_id": values["empty_space_id"]}
    return method, path.format(**(values | own))


def filled(body: Any, values: dict[str, str | int]) -> bytes | None:
    """The body with values in it."""
    if body is None or isinstance(body, str):
        return body.encode() if body else None
    text = json.dumps(body)
    for name, value in sorted(values.items(), key=lambda item: -len(item[0])):
        text = text.replace(f'"${name}"', json.dumps(value))
    return text.encode()


def key_for(path: str, values: dict[str, str | int]) -> str:
    if path.startswith("/core/v1/organization"):
        return ORGANIZATION_KEYS[0]
    return PARTNER_KEY if path.startswith("/core/v1/partner") else str(values["access_key"])


ENVELOPES: dict[str, Callable[[Any], list[JsonObject]]] = {
    "object": lambda value: [value],
    "array": lambda value: value,
    "map": lambda value: list(value.values()),
    "items": lambda value: value["items"],
    "page": lambda value: value["items"],
    "one": lambda value: value["data"],
    "partner page": lambda value: value["data"],
}
ENVELOPE_FIELDS = {
    "items": {"items"},
    "page": {"items", "has_next_page", "next_page"},
    "one": {"data"},
    "partner page": {"data", "page_info"},
}


def rows_of(answer: str, value: Any) -> list[JsonObject]:
    """The rows of an answer, whose envelope is checked on the way."""
    if answer in ENVELOPE_FIELDS:
        assert value.keys() == ENVELOPE_FIELDS[answer]
    return ENVELOPES[answer](value)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[endpoint["key"] for endpoint in ENDPOINTS])
async def test_answers_its_documented_shape(
    anyone: httpx.AsyncClient, endpoint: JsonObject, values: dict[str, str | int]
) -> None:
    method, path = placed(endpoint, values)
    headers = {"Authorization": key_for(path, values)}

    response = await anyone.request(method, path, headers=headers, content=filled(endpoint.get("body"), values))

    assert response.status_code == endpoint["status"], response.text
    if endpoint["answer"] == "empty":
        assert response.content == b""
    elif endpoint["answer"] == "success":
        assert response.json() == {"success": True}
    else:
        fields: list[str] = endpoint["fields"]
        wanted = set(TABLE["entities"][fields] if isinstance(fields, str) else fields)
        rows = rows_of(endpoint["answer"], response.json())
        assert rows
        assert all(wanted <= row.keys() for row in rows)


async def test_no_endpoint_answers_a_stranger(anyone: httpx.AsyncClient, values: dict[str, str | int]) -> None:
    needs_no_key = {"/v1/devices", "/v1/devices/bulk_create", "/v1/devices/telemetries"}
    requests = [placed(endpoint, values) for endpoint in ENDPOINTS]

    for method, path in requests:
        key = f"Bearer {key_for(path, values)}"
        response = await anyone.request(method, path, headers={"Authorization": key})

        assert (response.status_code == 401) == (method != "POST" or path not in needs_no_key), (method, path)


def test_the_table_is_complete() -> None:
    scopes = [endpoint["key"].split(".")[0] for endpoint in ENDPOINTS]

    assert {scope: scopes.count(scope) for scope in scopes} == {"organization": 64, "partner": 14, "device": 30}
    assert len({endpoint["request"] for endpoint in ENDPOINTS}) == 108
