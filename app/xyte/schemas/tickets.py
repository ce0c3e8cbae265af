"""Tickets: requests for help, and the talk about them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.xyte.schemas.shapes import Identifier, Received, Sent, Update

TicketId = Annotated[Identifier, Field(description="From list_tickets.")]


class Ticket(Received):
    """A request for help."""

    id: str | None = None
    title: str | None = None
    description: str | None = None
    status: str | None = Field(None, description="open or resolved.")
    created_at: str | None = Field(None, description="ISO 8601.")
    device_id: str | None = None
    user_name: str | None = None
    user_email: str | None = None


class TicketWithComments(Ticket):
    comments: list[Any] | None = Field(
        None, description="Each with id, text, created_at, system, user, owner and owner_type."
    )


class TicketUpdate(Update):
    model_config = ConfigDict(
        json_schema_extra={"minProperties": 1, "example": {"title": "No picture in the Board Room"}}
    )

    title: str | None = Field(None, min_length=1, max_length=255)
    description: str | None = Field(None, max_length=10_000)


class TicketMessage(Sent):
    model_config = ConfigDict(json_schema_extra={"example": {"message": "The cable was replaced; please look again."}})

    message: str = Field(min_length=1, max_length=10_000, description="What to say; people read it.")
