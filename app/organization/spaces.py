"""Spaces: the organization's tree of sites, floors and rooms."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import DESTRUCTIVE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.shapes import Page, Success
from app.xyte.schemas.spaces import FoundSpace, Space, SpaceCreate, SpaceFilter, SpaceId, SpacePath, SpaceUpdate

router = APIRouter(prefix="/spaces", tags=["Spaces"])


@router.get("", summary="List spaces", openapi_extra=READ)
async def list_spaces(xyte: OrganizationApi, filters: Annotated[SpaceFilter, Query()]) -> Answer[Page[Space]]:
    """Sites, floors and rooms. Filters add up; parent_id walks the tree, path_includes finds a room by its path."""
    return await xyte.page(Space, "spaces", query=filters)


@router.post("/find_or_create", summary="Find or create a space", openapi_extra=WRITE)
async def find_or_create_space(xyte: OrganizationApi, space: SpacePath) -> Answer[FoundSpace]:
    """Walk a path such as Building/Floor/Room and create what is missing. Safe to repeat; answers the last space."""
    return await xyte.post(FoundSpace, "spaces", "find_or_create", body=space)


@router.get("/{space_id}", summary="Get a space", openapi_extra=READ)
async def get_space(xyte: OrganizationApi, space_id: SpaceId) -> Answer[Space]:
    """One space with its settings; its devices come from list_devices with space_id."""
    return await xyte.get(Space, "spaces", space_id)


@router.post("", summary="Create a space", openapi_extra=WRITE)
async def create_space(xyte: OrganizationApi, space: SpaceCreate) -> Answer[Space]:
    """Add a space under a parent; a sibling of the same name is refused. find_or_create_space can be repeated."""
    return await xyte.post(Space, "spaces", body=space)


@router.put("/{space_id}", summary="Update a space", openapi_extra=WRITE)
async def update_space(xyte: OrganizationApi, space_id: SpaceId, update: SpaceUpdate) -> Answer[Space]:
    """Rename, move or configure a space; moving takes all that is in it along."""
    return await xyte.put(Space, "spaces", space_id, body=update)


@router.delete("/{space_id}", summary="Delete a space", openapi_extra=DESTRUCTIVE)
async def delete_space(xyte: OrganizationApi, space_id: SpaceId) -> Answer[Success]:
    """Remove a space. Cannot be undone; move its devices and delete its children first."""
    return await xyte.delete(Success, "spaces", space_id)
