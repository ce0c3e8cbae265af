"""Search over the fleet, in the shape that document connectors expect."""

from typing import Any

from pydantic import BaseModel, Field

from app.xyte.schemas.shapes import Sent


class SearchQuery(Sent):
    """What to look for."""

    query: str = Field(min_length=1, max_length=200, description="Words of a name, serial number, model or place.")


class SearchResult(BaseModel):
    """One hit."""

    id: str = Field(description="For fetch, such as device:c66308c8.")
    title: str
    url: str


class SearchResults(BaseModel):
    """Hits, best first."""

    results: list[SearchResult]


class Document(BaseModel):
    """A record as text, with its data."""

    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, Any]
