"""Tickets: requests for help, and the talk about them."""

from typing import Annotated, Any

from pydantic import Field

from app.xyte.schemas.shapes import Identifier, Received, Sent, Update

TicketId = Annotated[Identifier, Field(description="As listed by list_tickets.")]


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
    title: str | None = Field(None, min_length=1, max_length=255)
    description: str | None = Field(None, max_length=10_000)


class TicketMessage(Sent):
    message: str = Field(min_length=1, max_length=10_000, description="What to say; people read it.")
