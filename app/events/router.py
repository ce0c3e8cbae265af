"""What happened, in order: read it, follow it, take it one by one, and let others hand it in."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from app.dependencies import Body, Caller, LastEventId, Resources
from app.effects import ACCESS, DESTRUCTIVE, NOT_A_TOOL, READ, UNLISTED
from app.events import service
from app.events.schemas import (
    EventFilter,
    EventPage,
    NextEvent,
    NextFilter,
    Receipt,
    StreamFilter,
    WebhookCreate,
    WebhookList,
    WebhookRotate,
    WebhookSecret,
)
from app.events.stream import EventStream
from app.xyte.schemas.shapes import Success

events = APIRouter(prefix="/events", tags=["Events"])
webhooks = APIRouter(prefix="/webhooks", tags=["Events"])
inbox = APIRouter(prefix="/webhooks", tags=["Events"])

STREAMED = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events, without end."}
HANDED_IN = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["secret"],
                    "properties": {
                        "secret": {"type": "string", "description": "As create_webhook gave it."},
                        "event_type": {"type": "string", "description": "Of a notification of Xyte; kept as it is."},
                        "type": {"type": "string", "description": "Of any other event."},
                        "data": {"type": "object", "description": "What it tells; device_id in it names the device."},
                    },
                },
                "example": {"secret": "<secret>", "type": "door.opened", "data": {"room": "Board Room"}},
            }
        },
    }
}
WebhookId = Annotated[UUID, Path(description="From list_webhooks.")]


@events.get("", summary="List events", openapi_extra=READ)
async def list_events(resources: Resources, caller: Caller, filters: Annotated[EventFilter, Query()]) -> EventPage:
    """What happened to devices, incidents, tickets, tasks and presets, oldest first: the newest, or those after."""
    return await service.listed(resources, caller, filters)


@events.get("/next", summary="Get the next event", openapi_extra=READ)
async def get_next_event(resources: Resources, caller: Caller, filters: Annotated[NextFilter, Query()]) -> NextEvent:
    """Tells when something happens: a consumer's next event. Pass ack of the last answer, or it comes again.
    Devices are watched only while calls wait: use wait_seconds."""
    return await service.next_event(resources, caller, filters)


@events.get(
    "/stream",
    summary="Stream events",
    status_code=200,
    openapi_extra=READ | NOT_A_TOOL,
    response_class=EventStream,
    responses={200: STREAMED},
)
async def stream_events(
    resources: Resources, caller: Caller, filters: Annotated[StreamFilter, Query()], resumed: LastEventId
) -> EventStream:
    """Server-sent events as they happen, without end; Last-Event-ID resumes. While it is open devices are watched."""
    after = filters.after if resumed is None else resumed
    return await EventStream.of(service.follow(resources, caller, filters, after))


@webhooks.get("", summary="List webhooks", openapi_extra=READ | UNLISTED)
async def list_webhooks(resources: Resources, caller: Caller) -> WebhookList:
    """Addresses at which others hand events in."""
    return await service.list_webhooks(resources, caller)


@webhooks.post("", summary="Create a webhook", openapi_extra=ACCESS | UNLISTED, status_code=201)
async def create_webhook(resources: Resources, caller: Caller, webhook: WebhookCreate) -> WebhookSecret:
    """An address for Xyte's partner notifications or any sender of events. Its path and secret are shown only now."""
    return await service.create_webhook(resources, caller, webhook)


@webhooks.post("/{webhook_id}/rotate", summary="Rotate a webhook's secret", openapi_extra=ACCESS | UNLISTED)
async def rotate_webhook(
    resources: Resources, caller: Caller, webhook_id: WebhookId, rotation: WebhookRotate
) -> WebhookSecret:
    """A new secret, shown only now; the old one counts for a while."""
    return await service.rotate_webhook(resources, caller, webhook_id, rotation)


@webhooks.delete("/{webhook_id}", summary="Delete a webhook", openapi_extra=DESTRUCTIVE | UNLISTED)
async def delete_webhook(resources: Resources, caller: Caller, webhook_id: WebhookId) -> Success:
    """Its address takes nothing any more."""
    await service.delete_webhook(resources, caller, webhook_id)
    return Success(success=True)


@inbox.post("/{token}", summary="Hand in an event", openapi_extra=HANDED_IN)
async def receive_webhook(
    resources: Resources, token: Annotated[str, Path(description="As create_webhook gave it.")], body: Body
) -> Receipt:
    """Stored before it answers; the same body again within ten minutes is one event. Needs no key but the secret."""
    return await service.receive(resources, token, body)


routers = (events, webhooks)
