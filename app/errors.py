"""Every failure is a problem (RFC 9457): raised here, answered as `application/problem+json` or as a tool's error.

Problem
├── ConflictingXyteKeys       400  conflicting_xyte_keys
├── InvalidSelection          400  invalid_selection       of tools
├── MissingXyteKey            401  missing_xyte_key
├── XyteRefusedKey            401  xyte_refused_key        the cloud says so
├── InvalidXyteKey            403  invalid_xyte_key
├── NotOffered                403  tool_not_offered
├── ForeignOrigin             403  foreign_origin
├── WebhookRefused            403  webhook_refused
├── NotFound                  404  not_found
├── MethodNotAllowed          405  method_not_allowed
├── BodyTimeout               408  body_timeout
├── Ambiguous                 409  ambiguous               a name that several things have
├── NothingToDo               409  nothing_to_do
├── VersionConflict           409  version_conflict
├── TaskEnded                 409  task_ended
├── RequestUnderWay           409  idempotency_in_progress
├── LimitReached              409  limit_reached           of things that are kept until somebody deletes them
├── BodyTooLarge              413  body_too_large
├── UnsupportedMediaType      415  unsupported_media_type
├── UnknownHost               421  unknown_host
├── InvalidInput              422  invalid_input
├── IdempotencyConflict       422  idempotency_conflict
├── ConfirmationNeeded        428  confirmation_needed
├── RateLimited               429  rate_limit
│   ├── DeviceBusy            429  device_rate_limit
│   ├── TooManyTasks          429  too_many_tasks
│   └── TooManyReaders        429  too_many_readers
├── Unforeseen                500  internal_error
├── CredentialsUnavailable    500  credentials_unavailable in a task: its sealed key is gone
├── PartlyDone                500  partly_done             in a task: some of its children did not end well
├── ServiceUnavailable        503  service_unavailable
└── UpstreamProblem                                        the cloud's answer, or its absence
    ├── UpstreamRefused       4xx  xyte_forbidden, xyte_not_found, xyte_conflict, xyte_invalid, xyte_refused
    ├── UpstreamRateLimit     429  xyte_rate_limit
    ├── UpstreamFailed        502  xyte_failed
    ├── UpstreamMalformed     502  xyte_malformed
    ├── UpstreamTooLarge      502  xyte_too_large
    ├── UpstreamUnreachable   502  xyte_unreachable
    ├── XyteCommandFailed     502  xyte_command_failed     in a task: the device did not carry it out
    ├── UpstreamSuspended     503  xyte_suspended          too many failures: we do not ask for a moment
    └── UpstreamTimeout       504  xyte_timeout
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Problem(Exception):
    """A failure that the caller is told about; `detail` never repeats a key, a connection string or a stack."""

    status: int = 500
    title: ClassVar[str] = "Internal error"
    error: str = "internal_error"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})

    def facts(self) -> dict[str, Any]:
        """What this kind of problem says beyond the common members."""
        return {}

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"urn:problem:{type(self).__name__}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "error": self.error,
        }
        if request_id:
            document["request_id"] = request_id
        return document | self.facts()


class ConflictingXyteKeys(Problem):
    status = 400
    title = "Two different keys"
    error = "conflicting_xyte_keys"

    def __init__(self) -> None:
        super().__init__("The request carries two different Xyte keys. Send one, in X-XYTE-API-KEY or Authorization.")


class InvalidSelection(Problem):
    """A toolset or tool that there is not, with those there are."""

    status = 400
    title = "No such toolset or tool"
    error = "invalid_selection"

    def __init__(self, detail: str, valid: Sequence[str]) -> None:
        super().__init__(f"{detail} Valid: {', '.join(valid)}.")
        self.valid = list(valid)

    def facts(self) -> dict[str, Any]:
        return {"valid": self.valid}


class MissingXyteKey(Problem):
    status = 401
    title = "No Xyte key"
    error = "missing_xyte_key"

    def __init__(self) -> None:
        hint = "Send your Xyte API key in X-XYTE-API-KEY, or as Authorization: Bearer <key>."
        challenge = f'Bearer realm="xyte", error="invalid_token", error_description="{hint}"'
        super().__init__(hint, headers={"WWW-Authenticate": challenge})


class InvalidXyteKey(Problem):
    status = 403
    title = "Not a Xyte key"
    error = "invalid_xyte_key"

    def __init__(self) -> None:
        super().__init__("A Xyte key has 32 to 512 visible ASCII characters; what was sent has not.")


class NotOffered(Problem):
    status = 403
    title = "Tool not offered"
    error = "tool_not_offered"


class ForeignOrigin(Problem):
    status = 403
    title = "Origin not allowed"
    error = "foreign_origin"

    def __init__(self) -> None:
        super().__init__("Pages of this origin may not call the gateway. Its operator can allow it by CORS_ORIGINS.")


class WebhookRefused(Problem):
    status = 403
    title = "Wrong webhook secret"
    error = "webhook_refused"

    def __init__(self) -> None:
        super().__init__("The body's secret is missing or is not that of this address. Nothing was stored.")


class NotFound(Problem):
    """`nearest` are the things whose names look most like the one that was asked for."""

    status = 404
    title = "Not found"
    error = "not_found"

    def __init__(self, detail: str, nearest: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.nearest = [dict(thing) for thing in nearest]

    def facts(self) -> dict[str, Any]:
        return {"nearest": self.nearest} if self.nearest else {}


class MethodNotAllowed(Problem):
    status = 405
    title = "Method not allowed"
    error = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        allow = ", ".join(sorted(allowed))
        super().__init__(f"This path answers {allow}.", headers={"Allow": allow})


class BodyTimeout(Problem):
    status = 408
    title = "Body too slow"
    error = "body_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body did not arrive within {seconds:g} s.", headers={"Connection": "close"})


class ConfirmationNeeded(Problem):
    """Nothing was done; `confirm` is the value that would confirm it."""

    status = 428
    title = "Confirmation needed"
    error = "confirmation_needed"

    def __init__(self, detail: str, confirm: str) -> None:
        super().__init__(detail)
        self.confirm = confirm

    def facts(self) -> dict[str, Any]:
        return {"confirm": self.confirm}


class Ambiguous(Problem):
    """A name that several things have; `candidates` are they, each with what tells it from the others."""

    status = 409
    title = "Several are meant"
    error = "ambiguous"

    def __init__(self, detail: str, candidates: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(detail)
        self.candidates = [dict(candidate) for candidate in candidates]

    def facts(self) -> dict[str, Any]:
        return {"candidates": self.candidates}


class NothingToDo(Problem):
    status = 409
    title = "Nothing to do"
    error = "nothing_to_do"


class VersionConflict(Problem):
    status = 409
    title = "Another version is the latest"
    error = "version_conflict"


class TaskEnded(Problem):
    status = 409
    title = "The task has ended"
    error = "task_ended"


class RequestUnderWay(Problem):
    status = 409
    title = "The same request is under way"
    error = "idempotency_in_progress"

    def __init__(self) -> None:
        detail = "A request with this Idempotency-Key is being carried out. Ask again in a moment for its answer."
        super().__init__(detail, headers={"Retry-After": "1"})


class LimitReached(Problem):
    status = 409
    title = "As many as there may be"
    error = "limit_reached"


class BodyTooLarge(Problem):
    status = 413
    title = "Body too large"
    error = "body_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A body may have {limit} bytes.", headers={"Connection": "close"})


class UnsupportedMediaType(Problem):
    status = 415
    title = "Unsupported media type"
    error = "unsupported_media_type"

    def __init__(self) -> None:
        super().__init__("Send the body as Content-Type: application/json.")


class UnknownHost(Problem):
    status = 421
    title = "Unknown host"
    error = "unknown_host"

    def __init__(self) -> None:
        super().__init__("The gateway does not answer for this Host. Its operator can add it to ALLOWED_HOSTS.")


class InvalidInput(Problem):
    """`errors` has one entry per mistake: path, message and, where there is a list, the allowed values."""

    status = 422
    title = "Invalid input"
    error = "invalid_input"

    def __init__(self, detail: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.errors = [dict(error) for error in errors]

    def facts(self) -> dict[str, Any]:
        return {"errors": self.errors}


def invalid(mistakes: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """Pydantic's list of mistakes as a problem that says what would be right, without repeating what was sent."""
    errors: list[dict[str, Any]] = []
    for mistake in mistakes:
        path = ".".join(str(part) for part in mistake["loc"]) or "body"
        error: dict[str, Any] = {"path": path, "message": str(mistake["msg"]).removeprefix("Value error, ")}
        if allowed := re.findall(r"'([^']*)'", str(mistake.get("ctx", {}).get("expected", ""))):
            error["allowed"] = allowed
        errors.append(error)
    summary = "; ".join(f"{error['path']}: {error['message']}" for error in errors[:5])
    return InvalidInput(summary or "The input is not valid.", errors)


class IdempotencyConflict(Problem):
    status = 422
    title = "Idempotency key used before"
    error = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("This idempotency key came before with another request. Use a new one for a new request.")


class RateLimited(Problem):
    status = 429
    title = "Too many requests"
    error = "rate_limit"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})
        self.retry_after_s = retry_after_s

    def facts(self) -> dict[str, Any]:
        return {"retry_after": self.retry_after_s}


class DeviceBusy(RateLimited):
    title = "Too many commands for this device"
    error = "device_rate_limit"


class TooManyTasks(RateLimited):
    title = "Too many unfinished tasks"
    error = "too_many_tasks"


class TooManyReaders(RateLimited):
    title = "Too many readers of events"
    error = "too_many_readers"


class Unforeseen(Problem):
    def __init__(self) -> None:
        super().__init__("Something went wrong here. The request id finds it in the log.")


class CredentialsUnavailable(Problem):
    title = "The task's key is gone"
    error = "credentials_unavailable"


class PartlyDone(Problem):
    title = "Not everything was done"
    error = "partly_done"


class ServiceUnavailable(Problem):
    status = 503
    title = "Service unavailable"
    error = "service_unavailable"


class UpstreamProblem(Problem):
    """What the cloud did; `retry_safe` says whether the same request may be sent again without harm."""

    status = 502
    title = "Xyte failed"
    error = "xyte_failed"

    def __init__(
        self,
        detail: str,
        *,
        upstream_status: int | None = None,
        retry_safe: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, headers=headers)
        self.upstream_status = upstream_status
        self.retry_safe = retry_safe

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"source": "xyte", "retry_safe": self.retry_safe}
        if self.upstream_status is not None:
            facts["upstream_status"] = self.upstream_status
        return facts


class XyteRefusedKey(UpstreamProblem):
    status = 401
    title = "Xyte refused the key"
    error = "xyte_refused_key"

    def __init__(self) -> None:
        detail = "Xyte does not accept this key here: it is unknown, revoked, or of another scope."
        challenge = 'Bearer realm="xyte", error="invalid_token", error_description="Xyte refused the key."'
        super().__init__(detail, upstream_status=401, headers={"WWW-Authenticate": challenge})


class UpstreamRefused(UpstreamProblem):
    """A 4xx of the cloud, with its own words as `xyte_message`."""

    title = "Xyte refused the request"
    error = "xyte_refused"

    NAMES: ClassVar[dict[int, tuple[str, str]]] = {
        403: ("xyte_forbidden", "The key is valid but may not do this."),
        404: ("xyte_not_found", "Xyte knows no such object in this organization. Take ids from the list operations."),
        409: ("xyte_conflict", "The object's state does not allow this now."),
        422: ("xyte_invalid", "Xyte found a value wrong or missing."),
    }

    def __init__(self, upstream_status: int, message: str | None) -> None:
        error, detail = self.NAMES.get(upstream_status, ("xyte_refused", "Xyte refused the request."))
        super().__init__(detail, upstream_status=upstream_status)
        self.status = upstream_status
        self.error = error
        self.message = message

    def facts(self) -> dict[str, Any]:
        return super().facts() | ({"xyte_message": self.message} if self.message else {})


class UpstreamRateLimit(UpstreamProblem):
    status = 429
    title = "Xyte asks to slow down"
    error = "xyte_rate_limit"

    def __init__(self, retry_after_s: int, *, upstream_status: int | None = 429) -> None:
        super().__init__(
            f"Xyte takes no more requests of this key for now. Try again in {retry_after_s} s.",
            upstream_status=upstream_status,
            retry_safe=True,
            headers={"Retry-After": str(retry_after_s)},
        )
        self.retry_after_s = retry_after_s

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"retry_after": self.retry_after_s}


class UpstreamFailed(UpstreamProblem):
    pass


class UpstreamMalformed(UpstreamProblem):
    title = "Xyte's answer is not JSON"
    error = "xyte_malformed"


class UpstreamTooLarge(UpstreamProblem):
    title = "Xyte's answer is too large"
    error = "xyte_too_large"


class UpstreamUnreachable(UpstreamProblem):
    title = "Xyte cannot be reached"
    error = "xyte_unreachable"


class XyteCommandFailed(UpstreamProblem):
    title = "The command failed"
    error = "xyte_command_failed"


class UpstreamSuspended(UpstreamProblem):
    status = 503
    title = "Xyte is failing"
    error = "xyte_suspended"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"Too many calls to Xyte failed just now. Nothing was sent; try again in {retry_after_s} s.",
            retry_safe=True,
            headers={"Retry-After": str(retry_after_s)},
        )


class UpstreamTimeout(UpstreamProblem):
    status = 504
    title = "Xyte took too long"
    error = "xyte_timeout"
