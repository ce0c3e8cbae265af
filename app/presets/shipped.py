"""The presets that come with the service: they name kinds of devices, so that they work in any room."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from app.presets.documents import document_of
from app.presets.schemas import Document

FOLDER = Path(__file__).parent / "library"


@cache
def shipped() -> Mapping[str, Document]:
    """All of them by name."""
    return {path.stem: document_of(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
