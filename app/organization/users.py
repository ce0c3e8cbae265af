"""Users of the organization."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import OrganizationApi
from app.effects import ACCESS, READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.shapes import Page, Paging, Success
from app.xyte.schemas.users import User, UserCreate, UserId

router = APIRouter(prefix="/users", tags=["Users"])


@router.get("", summary="List users", openapi_extra=READ)
async def list_users(xyte: OrganizationApi, paging: Annotated[Paging, Query()]) -> Answer[Page[User]]:
    """The organization's active users."""
    return await xyte.page(User, "users", query=paging)


@router.get("/{user_id}", summary="Get a user", openapi_extra=READ)
async def get_user(xyte: OrganizationApi, user_id: UserId) -> Answer[User]:
    """One user."""
    return await xyte.get(User, "users", user_id)


@router.post("", summary="Create a user", openapi_extra=ACCESS)
async def create_user(xyte: OrganizationApi, user: UserCreate) -> Answer[User]:
    """Invite a person, who gets a mail and then has access. There is no delete, only deactivate_user."""
    return await xyte.post(User, "users", body=user)


@router.post("/{user_id}/resend_welcome", summary="Resend a welcome mail", openapi_extra=WRITE)
async def resend_welcome_email(xyte: OrganizationApi, user_id: UserId) -> Answer[Success]:
    """Send a user's invitation again."""
    return await xyte.post(Success, "users", user_id, "resend_welcome")


@router.post("/{user_id}/deactivate", summary="Deactivate a user", openapi_extra=ACCESS)
async def deactivate_user(xyte: OrganizationApi, user_id: UserId) -> Answer[User]:
    """End a user's access. No operation gives it back."""
    return await xyte.post(User, "users", user_id, "deactivate")
