"""The inventory."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.dependencies import OrganizationApi
from app.effects import DESTRUCTIVE, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.assets import Asset, AssetCreate, AssetFilter, AssetId, AssetUpdate, LabelCategory
from app.xyte.schemas.shapes import Named, Page, Success

router = APIRouter(prefix="/assets", tags=["Assets"])


@router.get("", summary="List assets", openapi_extra=READ)
async def list_assets(xyte: OrganizationApi, filters: Annotated[AssetFilter, Query()]) -> Answer[Page[Asset]]:
    """Inventory entries, which need not be connected devices; for those use list_devices."""
    return await xyte.page(Asset, "assets", query=filters)


@router.get("/labels/{category}", summary="List asset labels", openapi_extra=READ)
async def list_asset_labels(
    xyte: OrganizationApi, category: Annotated[LabelCategory, Path(description="Which label.")]
) -> Answer[Page[Named]]:
    """The labels this organization uses for one field of its assets, all at once."""
    return await xyte.page(Named, "assets", "labels", category)


@router.get("/{asset_id}", summary="Get an asset", openapi_extra=READ)
async def get_asset(xyte: OrganizationApi, asset_id: AssetId) -> Answer[Asset]:
    """One inventory entry with its labels."""
    return await xyte.get(Asset, "assets", asset_id)


@router.post("", summary="Create an asset", openapi_extra=WRITE)
async def create_asset(xyte: OrganizationApi, asset: AssetCreate) -> Answer[Asset]:
    """Add an inventory entry. A label name that does not exist yet is created for the whole organization.

    Look with list_asset_labels first.
    """
    return await xyte.post(Asset, "assets", body=asset)


@router.put("/{asset_id}", summary="Update an asset", openapi_extra=WRITE)
async def update_asset(xyte: OrganizationApi, asset_id: AssetId, update: AssetUpdate) -> Answer[Asset]:
    """Change an inventory entry. Xyte may clear what is left out, so give every field of get_asset.

    Labels as in create_asset.
    """
    return await xyte.put(Asset, "assets", asset_id, body=update)


@router.delete("/{asset_id}", summary="Delete an asset", openapi_extra=DESTRUCTIVE)
async def delete_asset(xyte: OrganizationApi, asset_id: AssetId) -> Answer[Success]:
    """Remove an inventory entry. Cannot be undone."""
    return await xyte.delete(Success, "assets", asset_id)
