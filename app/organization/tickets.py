"""Tickets of the organization."""

from fastapi import APIRouter

from app.dependencies import OrganizationApi
from app.effects import READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.shapes import Page, Success
from app.xyte.schemas.tickets import Ticket, TicketId, TicketMessage, TicketUpdate, TicketWithComments

router = APIRouter(prefix="/tickets", tags=["Tickets"])


@router.get("", summary="List tickets", openapi_extra=READ)
async def list_tickets(xyte: OrganizationApi) -> Answer[Page[Ticket]]:
    """All open tickets at once, without their comments; get_ticket has those."""
    return await xyte.page(Ticket, "tickets")


@router.get("/{ticket_id}", summary="Get a ticket", openapi_extra=READ)
async def get_ticket(xyte: OrganizationApi, ticket_id: TicketId) -> Answer[TicketWithComments]:
    """One ticket with its comments."""
    return await xyte.get(TicketWithComments, "tickets", ticket_id)


@router.put("/{ticket_id}", summary="Update a ticket", openapi_extra=WRITE)
async def update_ticket(xyte: OrganizationApi, ticket_id: TicketId, update: TicketUpdate) -> Answer[TicketWithComments]:
    """Change a ticket's title or description; its state only by mark_ticket_resolved."""
    return await xyte.put(TicketWithComments, "tickets", ticket_id, body=update)


@router.post("/{ticket_id}/message", summary="Send a ticket message", openapi_extra=WRITE)
async def send_ticket_message(xyte: OrganizationApi, ticket_id: TicketId, message: TicketMessage) -> Answer[Success]:
    """Add a comment that the people of the ticket read. It cannot be taken back."""
    return await xyte.post(Success, "tickets", ticket_id, "message", body=message)


@router.post("/{ticket_id}/resolved", summary="Resolve a ticket", openapi_extra=WRITE)
async def mark_ticket_resolved(xyte: OrganizationApi, ticket_id: TicketId) -> Answer[Success]:
    """Close a ticket. Nothing here opens it again, and a second time is refused."""
    return await xyte.post(Success, "tickets", ticket_id, "resolved")
