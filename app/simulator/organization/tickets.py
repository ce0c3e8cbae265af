"""Tickets, from the customer's side."""

from app.simulator import views
from app.simulator.calls import SUCCESS, Call, Refusal, known, optional_text, required_text
from app.simulator.records import Comment, JsonObject, Ticket
from app.simulator.routing import Routes
from app.simulator.world import World

routes = Routes("organization", "/core/v1/organization/tickets")


@routes.add("GET")
def get_tickets(call: Call) -> object:
    return [views.ticket(row) for row in call.organization.tickets.values() if row.status == "open"]


@routes.add("GET", "/{ticket_id}")
def get_ticket(call: Call) -> object:
    return views.ticket_whole(known(call.organization.tickets, call.path["ticket_id"]))


@routes.add("PUT", "/{ticket_id}")
def update_ticket(call: Call) -> object:
    ticket = known(call.organization.tickets, call.path["ticket_id"])
    change(ticket, call.json())
    return views.ticket_whole(ticket)


@routes.add("POST", "/{ticket_id}/message")
def send_message(call: Call) -> object:
    ticket = known(call.organization.tickets, call.path["ticket_id"])
    say(call.world, ticket, required_text(call.json(), "message"), call.organization.name, "organization")
    return SUCCESS


@routes.add("POST", "/{ticket_id}/resolved")
def mark_resolved(call: Call) -> object:
    resolve(known(call.organization.tickets, call.path["ticket_id"]))
    return SUCCESS


def change(ticket: Ticket, body: JsonObject) -> None:
    title = optional_text(body, "title", ticket.title)
    description = optional_text(body, "description", ticket.description)
    ticket.title, ticket.description = title or ticket.title, description or ""


def say(world: World, ticket: Ticket, text: str, owner: str, owner_type: str) -> None:
    ticket.comments.append(Comment(world.count("comment"), text, world.now(), "API", owner, owner_type))


def resolve(ticket: Ticket) -> None:
    if ticket.status == "resolved":
        raise Refusal(403, "Cannot move from resolved to resolved")
    ticket.status = "resolved"
