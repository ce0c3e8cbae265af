"""A person's word before something is removed or access changes: asked through the client, or given as an argument."""

import secrets
from collections.abc import Mapping
from typing import Any, cast

from mcp.server.context import ServerRequestContext
from mcp.server.request_state import RequestStateSecurity
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from app.errors import ConfirmationNeeded, ServiceUnavailable
from app.mcp.guidance import CONFIRMED
from app.mcp.operations import Operation
from app.resources import Resources
from app.settings import NO_REDIS, Settings

__all__ = ["CONFIRMED", "Asked", "request_of", "security", "settle"]

VALID_S = 300
QUESTION = "confirmation"

Context = ServerRequestContext[Any, Any]


def request_of(context: Context) -> HTTPConnection:
    """The HTTP request that a message came with; every message of this transport does."""
    return cast("HTTPConnection", context.request)


class Asked(Exception):
    """The client has to ask its person first."""

    def __init__(self, question: InputRequiredResult) -> None:
        super().__init__()
        self.question = question


def security(settings: Settings) -> RequestStateSecurity:
    """Questions are sealed for one caller and one call, so that any replica can take the answer."""
    return RequestStateSecurity(
        keys=[settings.key_pepper.get_secret_value()],
        ttl=VALID_S,
        bind_principal=lambda context: request_of(context).scope["state"]["caller"].fingerprint,
        audience="xyte",
    )


async def settle(
    context: Context,
    params: CallToolRequestParams,
    operation: Operation,
    arguments: Mapping[str, Any],
    confirm: Any,
    resources: Resources,
) -> InputRequiredResult | None:
    """Nothing if the call is confirmed; else the question for the person, or a problem that says how to confirm."""
    target = operation.target(arguments)
    if confirm is not None:
        if confirm == target:
            return None
        raise ConfirmationNeeded(f"confirm has to be {target!r}. Nothing was done.", target)
    if params.request_state is not None:
        await spend(resources, params.request_state)
        if agreed(params, target):
            return None
        raise ConfirmationNeeded("The person did not confirm. Nothing was done; do not try again.", target)
    if can_ask(context):
        return question(operation, target)
    raise ConfirmationNeeded(
        f"{operation.route.summary}: {target}. Ask the person; then call again with confirm={target!r}. "
        "Nothing was done.",
        target,
    )


def can_ask(context: Context) -> bool:
    """Whether the client can put a form before a person."""
    capabilities = context.session.client_capabilities
    if context.protocol_version < "2026" or capabilities is None or capabilities.elicitation is None:
        return False
    return capabilities.elicitation.form is not None or capabilities.elicitation.url is None


def question(operation: Operation, target: str) -> InputRequiredResult:
    """The form: the target's id, typed by the person; its state is good for one answer."""
    message = f"{operation.route.summary}: {target}. This may not be undone. Type the id to confirm."
    form = ElicitRequestFormParams(
        message=message,
        requested_schema={
            "type": "object",
            "properties": {"confirm": {"type": "string", "title": "Id", "description": target}},
            "required": ["confirm"],
        },
    )
    return InputRequiredResult(
        input_requests={QUESTION: ElicitRequest(params=form)}, request_state=secrets.token_urlsafe(16)
    )


def agreed(params: CallToolRequestParams, target: str) -> bool:
    """Whether the person typed the target's id."""
    answer = (params.input_responses or {}).get(QUESTION)
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return False
    return (answer.content or {}).get("confirm") == target


async def spend(resources: Resources, nonce: str) -> None:
    """An answer counts once, over all replicas; where there is no Redis, this process is the only one."""
    if resources.settings.redis_url == NO_REDIS:
        if nonce in resources.spent:
            raise ConfirmationNeeded("This confirmation was used already. Nothing was done; ask again.", "")
        resources.spent.add(nonce)
        return
    try:
        first = await resources.redis.set(f"confirmed:{nonce}", "1", nx=True, ex=VALID_S * 2)
    except (RedisError, OSError, TimeoutError):
        raise ServiceUnavailable(
            "Confirmations cannot be checked just now. Nothing was done; call again with the confirm argument."
        ) from None
    if not first:
        raise ConfirmationNeeded("This confirmation was used already. Nothing was done; ask again.", "")


async def unasked(_operation: Operation, _arguments: dict[str, Any], _confirm: Any, _resources: Resources) -> None:
    """For calls that need no person."""
