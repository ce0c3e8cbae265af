"""Idempotency keys for requests that are forwarded at once: the answer is kept, and given again instead of asking Xyte.

Requests that make tasks are not here: there the key stands for the task.
"""

import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import auth, limits
from app.dependencies import bare_key
from app.errors import IdempotencyConflict, RequestUnderWay, ServiceUnavailable
from app.resources import Resources
from app.tasks import repository

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
TASKS = frozenset(
    {"/v1/tasks", "/v1/tasks/bulk", "/v1/fleet/control", "/v1/rooms/start", "/v1/rooms/shutdown", "/v1/preset-runs"}
)
SECRETS = "/v1/webhooks"  # whose answers hold what is shown once and kept nowhere
KEPT = timedelta(days=1)
LONGEST_ANSWER = 256 * 1024


class Replays:
    """Looks at requests that change something and carry an Idempotency-Key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        concerned = scope["type"] == "http" and scope["method"] in METHODS and scope["path"].startswith("/v1/")
        if not concerned or scope["path"] in TASKS or scope["path"].startswith(SECRETS):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "idempotency-key" not in headers:
            await self._app(scope, receive, send)
            return
        key = bare_key(headers["idempotency-key"])
        resources: Resources = scope["app"].state.resources
        caller = auth.caller_of(headers, resources, scope)
        tenant = await auth.tenant_of(resources, caller)
        operation, fingerprint = "forwarded", fingerprint_of(scope)
        async with repository.as_tenant(resources, tenant) as db:
            if ours := await repository.reserve(db, tenant, operation, key, fingerprint, KEPT):
                record = None
            else:
                record = await repository.reservation(db, tenant, operation, key)
        if ours:
            await self._carry_out(resources, (tenant, operation, key), scope, receive, send)
            return
        await limits.take_unit(resources, caller, scope)
        if record is None or record.status is None:
            raise RequestUnderWay
        if record.fingerprint != fingerprint:
            raise IdempotencyConflict
        answer = Response(record.body, record.status, {"Idempotent-Replayed": "true"}, record.media_type)
        await answer(scope, receive, send)

    async def _carry_out(
        self, resources: Resources, place: tuple[str, str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let it pass and keep the answer, or free the key where nothing was done.

        What ends otherwise, or cannot be written down now, stays under way: so nothing is done twice.
        """
        answer = Kept(send)
        await self._app(scope, receive, answer)
        with suppress(ServiceUnavailable):
            async with repository.as_tenant(resources, place[0]) as db:
                if answer.did_nothing:
                    await repository.give_up(db, *place)
                elif answer.status < 500 or answer.problem.get("source") == "xyte":
                    values: dict[str, Any] = {"status": answer.status, "media_type": answer.media_type}
                    await repository.fulfil(db, *place, **values, body=answer.body[:LONGEST_ANSWER])


class Kept:
    """Sends an answer, and remembers it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.media_type: str | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.media_type = Headers(raw=message["headers"]).get("content-type")
        else:
            self.body += message.get("body", b"")
        await self._send(message)

    @property
    def problem(self) -> dict[str, Any]:
        """The problem that it tells, if it does."""
        return orjson.loads(self.body) if self.media_type == "application/problem+json" else {}

    @property
    def did_nothing(self) -> bool:
        """Whether it is sure that the cloud was not asked, or did not act: a refusal of ours, or one worth a retry."""
        told = self.problem
        ours = self.status < 500 and told.get("source") != "xyte"
        return bool(told) and (ours or told.get("retry_safe") is True)


def fingerprint_of(scope: Scope) -> bytes:
    """What must be equal for two requests to be the same."""
    parts = [scope["method"].encode(), scope["raw_path"], scope["query_string"], scope["state"].get("body") or b""]
    return hashlib.sha256(b"\0".join(parts)).digest()
