"""The menu: everything a route may ask for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from app import auth, limits, progress
from app.resources import Resources as OpenResources
from app.resources import get_resources
from app.xyte.client import XyteClient

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


Db = Annotated[AsyncSession, Depends(get_session, scope="function")]
OrganizationApi = Annotated[XyteClient, Depends(organization_api)]
PartnerApi = Annotated[XyteClient, Depends(partner_api)]
DeviceApi = Annotated[XyteClient, Depends(device_api)]
Report = Annotated[progress.Report, Depends(progress.get_report)]
CommandGate = Annotated[Callable[[str], Awaitable[None]], Depends(command_gate)]
