"""Groups of users, which decide who has access."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import ACCESS, DESTRUCTIVE, READ
from app.xyte.client import Answer
from app.xyte.schemas.groups import Group, GroupCreate, GroupGuest, GroupId, GroupMembers, GroupUpdate
from app.xyte.schemas.shapes import Page, Paging, Success

router = APIRouter(prefix="/groups", tags=["Groups"])


@router.get("", summary="List groups", openapi_extra=READ)
async def list_groups(xyte: OrganizationApi, paging: Annotated[Paging, Query()]) -> Answer[Page[Group]]:
    """Groups of users."""
    return await xyte.page(Group, "groups", query=paging)


@router.get("/{group_id}", summary="Get a group", openapi_extra=READ)
async def get_group(xyte: OrganizationApi, group_id: GroupId) -> Answer[Group]:
    """One group with its users."""
    return await xyte.get(Group, "groups", group_id)


@router.post("", summary="Create a group", openapi_extra=ACCESS)
async def create_group(xyte: OrganizationApi, group: GroupCreate) -> Answer[Group]:
    """Make a group that gives its members access."""
    return await xyte.post(Group, "groups", body=group)


@router.put("/{group_id}", summary="Rename a group", openapi_extra=ACCESS)
async def update_group(xyte: OrganizationApi, group_id: GroupId, update: GroupUpdate) -> Answer[Group]:
    """Give a group another name; members come and go with add_users_to_group and remove_users_from_group."""
    return await xyte.put(Group, "groups", group_id, body=update)


@router.delete("/{group_id}", summary="Delete a group", openapi_extra=DESTRUCTIVE)
async def delete_group(xyte: OrganizationApi, group_id: GroupId) -> Answer[Success]:
    """Remove a group, and the access its members had by it. Cannot be undone."""
    return await xyte.delete(Success, "groups", group_id)


@router.post("/{group_id}/add_users", summary="Add users to a group", openapi_extra=ACCESS)
async def add_users_to_group(xyte: OrganizationApi, group_id: GroupId, members: GroupMembers) -> Answer[Group]:
    """Give users the access of a group."""
    return await xyte.post(Group, "groups", group_id, "add_users", body=members)


@router.post("/{group_id}/add_external_user", summary="Add an outsider to a group", openapi_extra=ACCESS)
async def add_external_user_to_group(xyte: OrganizationApi, group_id: GroupId, guest: GroupGuest) -> Answer[Group]:
    """Give a person outside the organization the access of a group, by mail address."""
    return await xyte.post(Group, "groups", group_id, "add_external_user", body=guest)


@router.post("/{group_id}/remove_users", summary="Remove users from a group", openapi_extra=ACCESS)
async def remove_users_from_group(xyte: OrganizationApi, group_id: GroupId, members: GroupMembers) -> Answer[Group]:
    """Take the access of a group from users; the users stay."""
    return await xyte.post(Group, "groups", group_id, "remove_users", body=members)
