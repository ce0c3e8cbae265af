"""Edges: ping and claim devices in a local network through a proxy there."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.devices import DeviceId, unmasked
from app.xyte.schemas.edges import Edge, EdgeClaim, EdgeClaimStatus, EdgeHostname, EdgePing, EdgeTarget
from app.xyte.schemas.shapes import Page, Paging, Success

router = APIRouter(prefix="/edges", tags=["Edges"])


@router.get("", summary="List edges", openapi_extra=READ)
async def list_edges(xyte: OrganizationApi, paging: Annotated[Paging, Query()]) -> Answer[Page[Edge]]:
    """The proxies on this organization's sites; an edge's id is the proxy_id of the other edge operations."""
    return await xyte.page(Edge, "edges", query=paging)


@router.post("/devices/start_ping", summary="Start an edge ping", openapi_extra=WRITE)
async def start_edge_ping(xyte: OrganizationApi, target: EdgeTarget) -> Answer[Success]:
    """Let an edge try whether a local address answers; get_edge_ping_status tells the end."""
    return await xyte.post(Success, "edges", "devices", "start_ping", body=target)


@router.get("/devices/get_ping_status", summary="Get an edge ping", openapi_extra=READ)
async def get_edge_ping_status(xyte: OrganizationApi, target: Annotated[EdgeTarget, Query()]) -> Answer[EdgePing]:
    """How far a ping of start_edge_ping is. Ask every 5 s; a 422 in the first seconds means not yet."""
    return await xyte.get(EdgePing, "edges", "devices", "get_ping_status", query=target)


@router.post("/devices/start_claim", summary="Start an edge claim", openapi_extra=WRITE)
async def start_edge_claim(xyte: OrganizationApi, claim: EdgeClaim) -> Answer[Success]:
    """Take over a local device through an edge, after a ping that succeeded; get_edge_claim_status tells the end.

    Then find the new device with list_devices.
    """
    unmasked(claim.custom_parameters)
    body = claim.model_dump(exclude_none=True) | {"space_id": claim.space_id}
    return await xyte.post(Success, "edges", "devices", "start_claim", body=body)


@router.get("/devices/get_claim_status", summary="Get an edge claim", openapi_extra=READ)
async def get_edge_claim_status(
    xyte: OrganizationApi, target: Annotated[EdgeTarget, Query()]
) -> Answer[EdgeClaimStatus]:
    """How far a claim of start_edge_claim is. Ask every 5 s, up to 10 minutes; an early 422 means not yet."""
    return await xyte.get(EdgeClaimStatus, "edges", "devices", "get_claim_status", query=target)


@router.post("/devices/{device_id}/update_hostname", summary="Update an edge device's address", openapi_extra=WRITE)
async def update_edge_hostname(xyte: OrganizationApi, device_id: DeviceId, hostname: EdgeHostname) -> Answer[Success]:
    """Tell under which address an edge device is reached now, after start_edge_ping of that address succeeded."""
    return await xyte.post(Success, "edges", "devices", device_id, "update_hostname", body=hostname)
