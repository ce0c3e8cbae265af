"""Tickets of the partner's customers."""

from fastapi import APIRouter

from app.dependencies import PartnerApi
from app.effects import READ, WRITE
from app.xyte.client import Answer
from app.xyte.schemas.partner import PartnerTicketId
from app.xyte.schemas.shapes import Page
from app.xyte.schemas.tickets import Ticket, TicketMessage, TicketUpdate, TicketWithComments

router = APIRouter(prefix="/tickets", tags=["Partner tickets"])


@router.get("", summary="List partner tickets", openapi_extra=READ)
async def partner_list_tickets(xyte: PartnerApi) -> Answer[Page[Ticket]]:
    """All open tickets of the partner's customers at once, without comments. Needs a partner key."""
    return await xyte.page(Ticket, "tickets")


@router.get("/{ticket_id}", summary="Get a partner ticket", openapi_extra=READ)
async def partner_get_ticket(xyte: PartnerApi, ticket_id: PartnerTicketId) -> Answer[TicketWithComments]:
    """One customer's ticket with its comments. Needs a partner key."""
    return await xyte.get(TicketWithComments, "tickets", ticket_id)


@router.put("/{ticket_id}", summary="Update a partner ticket", openapi_extra=WRITE)
async def partner_update_ticket(
    xyte: PartnerApi, ticket_id: PartnerTicketId, update: TicketUpdate
) -> Answer[TicketWithComments]:
    """Change the title or description of a customer's ticket. Needs a partner key."""
    return await xyte.put(TicketWithComments, "tickets", ticket_id, body=update)


@router.post("/{ticket_id}/message", summary="Send a partner ticket message", openapi_extra=WRITE)
async def partner_send_ticket_message(
    xyte: PartnerApi, ticket_id: PartnerTicketId, message: TicketMessage
) -> Answer[TicketWithComments]:
    """Add a comment that the customer reads; it cannot be taken back. Needs a partner key."""
    return await xyte.post(TicketWithComments, "tickets", ticket_id, "message", body=message)


@router.post("/{ticket_id}/resolved", summary="Resolve a partner ticket", openapi_extra=WRITE)
async def partner_mark_ticket_resolved(xyte: PartnerApi, ticket_id: PartnerTicketId) -> Answer[TicketWithComments]:
    """Close a customer's ticket. Nothing here opens it again. Needs a partner key."""
    return await xyte.post(TicketWithComments, "tickets", ticket_id, "resolved")
