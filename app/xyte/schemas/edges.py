"""Edges: proxies on a site through which the cloud reaches local devices."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import Flag, Identifier, JsonObject, Received, Sent, SpaceNumber

EdgeId = Annotated[Identifier, Field(description="The edge's id (list_edges).")]
HostAddress = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9.-]+$", max_length=253, description="IP or host name.", examples=["192.168.1.100"]),
]


class Edge(Received):
    """A proxy; its id is the proxy_id of the other operations."""

    id: str | None = None
    name: str | None = None
    status: str | None = None
    space: JsonObject | None = None


class EdgeTarget(Sent):
    """A local address as one edge sees it."""

    proxy_id: EdgeId
    device_ip: HostAddress


class EdgeClaim(EdgeTarget):
    """A local device to take over."""

    device_model_id: Identifier = Field(description="From list_models with edge_only.")
    space_id: SpaceNumber | None = Field(None, description="Where to put it (list_spaces).")
    display_name: str | None = Field(None, min_length=1, max_length=255)
    custom_parameters: JsonObject = Field(
        default_factory=dict[str, Any], description="Values by the model's parameter names."
    )
    custom_partner_name: str | None = Field(None, max_length=255, description="Another vendor name.")
    custom_model_name: str | None = Field(None, max_length=255, description="Another model name.")
    mac: str | None = Field(None, max_length=64, examples=["00:11:22:33:44:55"])
    sn: str | None = Field(None, max_length=255, description="Serial number.")
    skip_connectivity_check: Flag = Field(False, description="Claim without a ping that succeeded.")


class EdgeHostname(Sent):
    """Where an edge device is reached from now on."""

    device_ip: HostAddress
    skip_connectivity_check: Flag = Field(False, description="Change it without a ping that succeeded.")


class EdgePing(Received):
    status: str | None = Field(None, description="pending, success (or online), failed.")


class EdgeClaimStatus(Received):
    result: str | None = Field(None, description="pending, success, failed.")
