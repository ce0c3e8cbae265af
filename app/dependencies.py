"""The menu: everything a route may ask for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncSession

from app import auth, limits, progress
from app.errors import InvalidInput
from app.resources import Resources as OpenResources
from app.resources import get_resources
from app.xyte.client import XyteClient

VISIBLE = "^[ -~]+$"
"""What an idempotency key is made of."""

Resources = Annotated[OpenResources, Depends(get_resources)]
Caller = Annotated[auth.Caller, Depends(auth.get_caller)]
Admitted = Depends(limits.admit)


async def get_session(resources: Resources) -> AsyncIterator[AsyncSession]:
    """A session and its transaction, committed before the answer leaves."""
    async with resources.sessions.begin() as session:
        yield session


async def organization_api(resources: Resources, caller: Caller) -> XyteClient:
    """The cloud in the organization scope."""
    return auth.client_of(resources, caller, "organization")


async def partner_api(resources: Resources, caller: Caller) -> XyteClient:
    """The cloud in the partner scope."""
    return auth.client_of(resources, caller, "partner")


async def device_api(resources: Resources, caller: Caller) -> XyteClient:
    """The cloud as a device sees it."""
    return auth.client_of(resources, caller, "device")


async def command_gate(resources: Resources, caller: Caller) -> Callable[[str], Awaitable[None]]:
    """Takes a device's id and refuses when it was commanded too often."""

    async def gate(device_id: str) -> None:
        await limits.take_command(resources, caller, device_id)

    return gate


async def idempotency_key(
    told: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="The same key and body again give the same task and `Idempotent-Replayed: true`.",
        ),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": VISIBLE}),
    ] = None,
) -> str | None:
    """The header Idempotency-Key; a tool gives its argument instead."""
    return None if told is None else bare_key(told)


def bare_key(told: str) -> str:
    """An idempotency key, which a header holds quoted or bare."""
    key = told[1:-1] if len(told) > 1 and told[0] == told[-1] == '"' else told
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        mistake = {"path": "Idempotency-Key", "message": "It has 1 to 255 visible ASCII characters."}
        raise InvalidInput("The header Idempotency-Key is not usable.", [mistake])
    return key


async def last_event_id(
    told: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="Of the last event that came: the stream goes on after it."),
        WithJsonSchema({"type": "string", "pattern": r"^\d{0,18}$"}),
    ] = None,
) -> int | None:
    """Where a client that lost its stream stood."""
    if not told:
        return None
    if not (told.isascii() and told.isdecimal() and len(told) <= 18):
        raise InvalidInput("Last-Event-ID is not the id of an event here; leave it out to start from now.")
    return int(told)


async def whole_body(request: Request) -> bytes:
    """The body as it came: senders differ in how they call it."""
    return await request.body()


Body = Annotated[bytes, Depends(whole_body)]
Db = Annotated[AsyncSession, Depends(get_session, scope="function")]
OrganizationApi = Annotated[XyteClient, Depends(organization_api)]
PartnerApi = Annotated[XyteClient, Depends(partner_api)]
DeviceApi = Annotated[XyteClient, Depends(device_api)]
Report = Annotated[progress.Report, Depends(progress.get_report)]
CommandGate = Annotated[Callable[[str], Awaitable[None]], Depends(command_gate)]
KeyHeader = Annotated[str | None, Depends(idempotency_key)]
LastEventId = Annotated[int | None, Depends(last_event_id)]
