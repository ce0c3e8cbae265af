"""Models of devices."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import READ
from app.xyte.client import Answer
from app.xyte.schemas.models import Model, ModelFilter, ModelId
from app.xyte.schemas.shapes import Page

router = APIRouter(prefix="/models", tags=["Models"])


@router.get("", summary="List models", openapi_extra=READ)
async def list_models(xyte: OrganizationApi, filters: Annotated[ModelFilter, Query()]) -> Answer[Page[Model]]:
    """Published models; with edge_only those that start_edge_claim takes."""
    return await xyte.page(Model, "models", query=filters)


@router.get("/{model_id}", summary="Get a model", openapi_extra=READ)
async def get_model(xyte: OrganizationApi, model_id: ModelId) -> Answer[Model]:
    """What devices of a model can do: commands with their fields and allowed values, and custom parameters.

    Read it before send_command; get_device gives the model's id.
    """
    return await xyte.get(Model, "models", model_id)
