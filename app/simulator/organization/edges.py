"""Edges: local devices pinged and claimed through a proxy on the site."""

import re
from functools import partial
from typing import Literal

from app.simulator import machines, views
from app.simulator.calls import SUCCESS, Call, Refusal, known, optional_object, optional_text, page
from app.simulator.organization.devices import space_of
from app.simulator.records import Edge, EdgeJob, JsonObject, Organization
from app.simulator.routing import Routes
from app.simulator.world import World

routes = Routes("organization", "/core/v1/organization")

JOB_SECONDS = 4.0
UNREACHABLE = "192.0.2."
"""Addresses of this documentation network never answer."""

ADDRESS = re.compile(r"[A-Za-z0-9.-]+")
MAC = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}", re.IGNORECASE)


@routes.add("GET", "/edges")
def get_edges(call: Call) -> object:
    return page(call, call.organization.edges.values(), views.edge)


@routes.add("POST", "/edge/devices/start_ping", status=204)
@routes.add("POST", "/edges/devices/start_ping", status=204)
def start_ping(call: Call) -> object:
    body = call.json()
    edge = _edge(call.organization, body.get("proxy_id"))
    address = _address(body)
    edge.pings[address] = EdgeJob(call.world.clock.elapsed + JOB_SECONDS, _outcome(address))
    return None


@routes.add("GET", "/edge/devices/get_ping_status")
@routes.add("GET", "/edges/devices/get_ping_status")
def get_ping_status(call: Call) -> object:
    edge = _edge(call.organization, call.text("proxy_id"))
    return {"status": _look(call.world, edge.pings.get(call.text("device_ip") or ""))}


@routes.add("POST", "/edge/devices/start_claim", status=204)
@routes.add("POST", "/edges/devices/start_claim", status=204)
def start_claim(call: Call) -> object:
    body = call.json()
    edge = _edge(call.organization, body.get("proxy_id"))
    address = _address(body)
    model = call.world.models.get(str(body.get("device_model_id")))
    if model is None or not model.edge:
        raise Refusal(422, "Model not found")
    if body.get("space_id") is not None:
        space_of(call.organization, body["space_id"])
    if (mac := optional_text(body, "mac")) is not None and not MAC.fullmatch(mac):
        raise Refusal(422, "Mac is invalid")
    if not body.get("skip_connectivity_check") and not _answered(call.world, edge, address):
        raise Refusal(422, "Device is not reachable")
    optional_object(body, "custom_parameters")
    edge.claims[address] = EdgeJob(call.world.clock.elapsed + JOB_SECONDS, _outcome(address), body)
    call.world.clock.schedule(JOB_SECONDS, partial(_claim, call.world, call.organization, edge, edge.claims[address]))
    return None


@routes.add("GET", "/edge/devices/get_claim_status")
@routes.add("GET", "/edges/devices/get_claim_status")
def get_claim_status(call: Call) -> object:
    edge = _edge(call.organization, call.text("proxy_id"))
    return {"result": _look(call.world, edge.claims.get(call.text("device_ip") or ""))}


@routes.add("POST", "/edge/devices/{device_id}/update_hostname")
@routes.add("POST", "/edges/devices/{device_id}/update_hostname")
def update_hostname(call: Call) -> object:
    device = known(call.organization.devices, call.path["device_id"])
    body = call.json()
    if not body.get("device_ip"):
        raise Refusal(400, "Must provide device ip")
    address = _address(body)
    reachable = any(_answered(call.world, edge, address) for edge in call.organization.edges.values())
    if not body.get("skip_connectivity_check") and not reachable:
        raise Refusal(400, "Device is not reachable")
    device.host_address = address
    return SUCCESS


def _edge(organization: Organization, proxy_id: object) -> Edge:
    if not proxy_id:
        raise Refusal(400, "Must provide proxy id")
    if (edge := organization.edges.get(str(proxy_id))) is None:
        raise Refusal(400, "Proxy not found")
    return edge


def _address(body: JsonObject) -> str:
    address = optional_text(body, "device_ip") or ""
    if not ADDRESS.fullmatch(address):
        raise Refusal(422, "Device ip is invalid")
    return address


def _outcome(address: str) -> Literal["success", "failed"]:
    return "failed" if address.startswith(UNREACHABLE) else "success"


def _look(world: World, job: EdgeJob | None) -> str:
    """How the job stands; the live cloud may not know it at the first look."""
    if job is None:
        raise Refusal(422, "Not initiated")
    job.looks += 1
    if world.settings.edge_early_refusal and job.looks == 1:
        raise Refusal(422, "Not initiated")
    return job.result if world.clock.elapsed >= job.ready_at else "pending"


def _answered(world: World, edge: Edge, address: str) -> bool:
    ping = edge.pings.get(address)
    return ping is not None and ping.result == "success" and world.clock.elapsed >= ping.ready_at


def _claim(world: World, organization: Organization, edge: Edge, job: EdgeJob) -> None:
    """The claimed device appears in the list, and starts to report."""
    body = job.claim
    if body is None or job.result == "failed":
        return
    model = world.models[body["device_model_id"]]
    sn = optional_text(body, "sn") or world.new_id("serial")
    device = world.register(
        model,
        sn,
        name=optional_text(body, "display_name"),
        firmware_version=model.firmware_version,
        mac=_mac(body),
    )
    device.custom_parameters = dict(body.get("custom_parameters") or {})
    device.host_address = body["device_ip"]
    space = edge.space if body.get("space_id") is None else space_of(organization, body["space_id"])
    world.claim(device, organization, space)
    machines.start(world, device)
    machines.report(world, device)


def _mac(body: JsonObject) -> str | None:
    """Any usual notation, stored as aa:bb:cc:dd:ee:ff."""
    if not body.get("mac"):
        return None
    digits = re.sub("[^0-9a-f]", "", body["mac"].lower())
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
