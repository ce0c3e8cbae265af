"""What schemathesis is told: whose keys it has, and ids that exist, for with invented ones it would meet only 404."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from app.simulator import ORGANIZATION_KEYS, create_simulator
from tests.service import Service

SHARE_OF_KNOWN_IDS = 0.8
SACRIFICED = 5
HOOKS = Path(__file__).with_name("hooks.py")
# The names under which operations take ids, and whose they are.
PLACES = {
    "devices": ("path.device_id", "query.device_id", "body.device_id", "body.device_ids[*]", "body.with_device_ids[*]"),
    "spaces": ("path.space_id", "query.space_id", "body.space_id", "body.parent_id"),
    "notes": ("path.note_id",),
    "incidents": ("path.incident_id",),
    "tickets": ("path.ticket_id",),
    "users": ("path.user_id", "body.user_ids[*]"),
    "groups": ("path.group_id",),
    "assets": ("path.asset_id",),
    "models": ("path.model_id", "body.device_model_id", "body.model_id"),
    "edges": ("body.proxy_id", "query.proxy_id"),
    "commands": ("path.command_id",),
    "names": ("body.name",),
    "hardware": ("body.hardware_key",),
    "media": ("path.mime_type",),
    "documents": ("path.id",),
}


def settings(service: Service) -> str:
    """The configuration of schemathesis, as TOML."""
    world = create_simulator().state.simulator.world
    organization = world.keys[ORGANIZATION_KEYS[0]]
    devices = list(organization.devices)
    own = organization.devices[devices[0]]
    values: dict[str, Iterable[Any]] = {
        "devices": devices[:-SACRIFICED],
        "sacrificed": devices[-SACRIFICED:],
        "own": [own.id],
        "names": ["power_on", "power_off", "set_input"],
        "hardware": world.models_by_hardware_key,
        "commands": world.commands,
        "models": world.models,
        "media": ["text/plain"],
        "documents": [f"device:{devices[0]}", *(f"space:{space}" for space in organization.spaces)],
    }
    values |= {name: getattr(organization, name) for name in PLACES if name not in values}
    return "\n".join(
        [
            f"hooks = {json.dumps(str(HOOKS))}",
            "continue-on-failure = true",
            written("[generation]", {"with-security-parameters": False, "database": "none"}),
            written("[headers]", {"X-XYTE-API-KEY": service.key}),
            written("[parameters]", {place: drawn(name) for name, places in PLACES.items() for place in places}),
            *(written(f"[dictionaries.{name}]", {"values": list(known)}) for name, known in values.items()),
            scope("^/v1/partner/", service.partner_key),
            scope("^/v1/device/", own.access_key, **{"path.device_id": drawn("own")}),
            written(
                "[[operations]]",
                {
                    "include-operation-id": ["delete_device", "device_delete_device", "partner_delete_device"],
                    "parameters": {"path.device_id": drawn("sacrificed")},
                },
            ),
        ]
    )


def drawn(dictionary: str) -> dict[str, Any]:
    return {"dictionary": dictionary, "probability": SHARE_OF_KNOWN_IDS}


def scope(paths: str, key: str, **parameters: Any) -> str:
    """Operations that have a key of their own."""
    table: dict[str, Any] = {"include-path-regex": paths, "headers": {"X-XYTE-API-KEY": key}}
    return written("[[operations]]", table | ({"parameters": parameters} if parameters else {}))


def written(head: str, table: Mapping[str, Any]) -> str:
    """A TOML table of what TOML writes like JSON, but for inline tables."""
    return "\n".join([head, *(f"{json.dumps(name)} = {value_of(value)}" for name, value in table.items()), ""])


def value_of(value: Any) -> str:
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        return "{" + ", ".join(f"{json.dumps(name)} = {value_of(inner)}" for name, inner in pairs.items()) + "}"
    return json.dumps(value)
