"""What a tool answers: compact JSON, the same as text and as structured content, with nothing hidden in it."""

import re
from dataclasses import dataclass
from typing import Any, cast

import orjson
from fastapi.encoders import jsonable_encoder
from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent

from app.errors import Problem
from app.xyte.client import Answer, Planned

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
TEXT_LIMIT = 4_000
RESULT_LIMIT_BYTES = 40_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tool call ended: JSON as text, and the structure that it says; an error has text only.

    The link leads to where a success can be looked at again.
    """

    text: bytes
    content: dict[str, Any] | None
    link: ResourceLink | None = None

    def as_result(self) -> CallToolResult:
        """For the SDK."""
        blocks: list[ContentBlock] = [TextContent(type="text", text=self.text.decode())]
        if self.link:
            blocks.append(self.link)
        return CallToolResult(content=blocks, structured_content=self.content, is_error=self.content is None)

    def as_json(self) -> bytes:
        """The members that a result has in every version of the protocol."""
        ending = b"true" if self.content is None else b'false,"structuredContent":' + self.text
        link = b"," + as_bytes(self.link) if self.link else b""
        return (
            b'"content":[{"text":'
            + orjson.dumps(self.text.decode())
            + b',"type":"text"}'
            + link
            + b'],"isError":'
            + ending
        )


def as_bytes(link: ResourceLink) -> bytes:
    """As the SDK writes it."""
    return orjson.dumps(link.model_dump(by_alias=True, mode="json", exclude_none=True))


def succeeded(value: Any, fields: list[str] | None = None) -> Outcome:
    """A route's answer as a tool's result, of each row only the named fields."""
    plain: Any = value.value if isinstance(value, Answer) else jsonable_encoder(value)
    tidy = cleaned(plain if fields is None else narrowed(plain, fields))
    content: dict[str, Any] = cast("dict[str, Any]", tidy) if isinstance(tidy, dict) else {"result": tidy}
    text = orjson.dumps(content)
    if len(text) > RESULT_LIMIT_BYTES:
        content = shortened(content)
        text = orjson.dumps(content)
    return Outcome(text, content)


def narrowed(value: Any, fields: list[str]) -> Any:
    """Only these fields: of each row of a page, else of the object."""
    if not isinstance(value, dict):
        return value
    content = cast("dict[str, Any]", value)
    rows = content.get("items")
    if isinstance(rows, list):
        return {**content, "items": [narrowed(row, fields) for row in cast("list[Any]", rows)]}
    return {name: content[name] for name in fields if name in content}


def planned(plan: Planned) -> Outcome:
    """A dry run's result: what would have been sent."""
    sent = {"method": plan.method, "path": plan.path} | ({} if plan.body is None else {"body": plan.body})
    return succeeded({"dry_run": True, "sent": False, "would_send": sent})


def failed(problem: Problem, request_id: str | None) -> Outcome:
    """A problem as a tool's error: the same facts as over REST, written for whoever has to act on them."""
    return Outcome(orjson.dumps(cleaned(problem.body(request_id))), None)


def cleaned(value: Any) -> Any:
    """Without nulls, invisible characters and endless strings: what the cloud says is data, and stays readable."""
    if isinstance(value, str):
        text = INVISIBLE.sub("", value) if not value.isascii() or not value.isprintable() else value
        return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + f" [cut: {len(text)} characters]"
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {cleaned(name): cleaned(field) for name, field in fields.items() if field is not None}
    if isinstance(value, list):
        return [cleaned(item) for item in cast("list[Any]", value)]
    return value


def shortened(content: dict[str, Any]) -> dict[str, Any]:
    """As many rows of a page as fit, with a word on how to get the rest."""
    items = content.get("items")
    if not isinstance(items, list):
        return {"notice": f"The result is longer than {RESULT_LIMIT_BYTES} bytes. Ask for a narrower one."}
    rows = cast("list[Any]", items)
    room = RESULT_LIMIT_BYTES - 1_000
    fitting: list[Any] = []
    for row in rows:
        room -= len(orjson.dumps(row)) + 1
        if room < 0:
            break
        fitting.append(row)
    shown = len(fitting)
    notice = f"Showing {shown} of {len(rows)} rows: the result was too long. Ask with per_page={shown or 1} or fields."
    return {**content, "items": fitting, "has_more": True, "notice": notice}
