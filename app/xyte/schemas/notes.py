"""Notes on devices and on spaces."""

from typing import Annotated

from pydantic import Field

from app.xyte.schemas.shapes import Identifier, JsonObject, Received, Sent

NoteId = Annotated[Identifier, Field(description="As listed with the notes.")]


class Note(Received):
    """A note; it belongs to a device or to a space."""

    id: str | None = None
    content: str | None = None
    created_by: JsonObject | None = Field(None, description="Empty for notes made with a key.")
    device_id: str | None = None
    space_id: int | None = None
    created_at: str | None = Field(None, description="ISO 8601.")
    updated_at: str | None = Field(None, description="ISO 8601.")


class NoteCreate(Sent):
    content: str = Field(min_length=1, max_length=10_000, examples=["Cable replaced"])
