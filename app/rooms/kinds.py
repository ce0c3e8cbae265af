"""How a device becomes a projector or a display: one table of words, which a tenant may put rules before."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from app.rooms.names import folded
from app.xyte.capabilities import mapping
from app.xyte.schemas.shapes import Sent

KINDS: Mapping[str, tuple[str, ...]] = {
    "projector": ("projector", "beamer", "short throw"),
    "display": ("display", "monitor", "tv", "television", "video wall", "videowall", "led wall"),
    "screen": ("screen", "projection screen"),
    "audio": ("audio", "dsp", "audio processor", "amplifier", "amp", "mixer"),
    "speaker": ("speaker", "loudspeaker", "soundbar", "sound bar"),
    "microphone": ("microphone", "mic"),
    "codec": ("codec", "video bar", "videobar", "room kit", "conferencing"),
    "camera": ("camera", "cam", "ptz"),
    "switcher": ("switcher", "matrix", "video switch"),
    "touch_panel": ("touch panel", "touchpanel", "touch screen", "control panel"),
    "scheduler": ("scheduler", "room panel", "booking panel", "scheduling panel"),
    "lighting": ("lighting", "light", "lighting controller", "dimmer"),
    "blinds": ("blinds", "blinds motor", "blind", "shade", "curtain"),
    "player": ("player",),
    "computer": ("computer", "pc"),
    "network": ("network", "switch", "network switch", "router", "access point", "heartbeat"),
    "controller": ("controller", "processor"),
}
"""Where several words stand in a text, the last one counts, and of those that begin together the longest."""

KIND_OF = {words: kind for kind, several in KINDS.items() for words in several}
TABLE = re.compile(rf"\b({'|'.join(sorted(KIND_OF, key=len, reverse=True))})s?\b")
OTHER = "other"
Source = Literal["model", "type", "name"]
FIELDS: tuple[Source, ...] = get_args(Source)
KIND_PATTERN = r"^[a-z][a-z0-9_]{1,39}$"


class Rule(Sent):
    """Devices whose model, type or name contains these words are of this kind."""

    kind: str = Field(pattern=KIND_PATTERN, description="One of the kinds there are, or a new one.")
    field: Source = Field(default="name", description="Where to look: model, type or name.")
    words: str = Field(min_length=2, max_length=100, description="Words that stand there, such as: laser wall.")


class Kind(BaseModel):
    """What a device is, and why."""

    kind: str
    field: Source | None = Field(default=None, description="What of the device told it; absent: nothing did.")
    text: str | None = Field(default=None, description="What stands there.")
    words: str | None = Field(default=None, description="The words in it that told it.")
    own_rule: bool = Field(default=False, description="Whether a rule of the organization's own said so.")


def kind_of(device: Mapping[str, Any], own: Sequence[Rule] = ()) -> Kind:
    """The organization's rules in their order, then the table: by model, else by type, else by name."""
    texts = texts_of(device)
    for rule in own:
        for text in texts[rule.field]:
            if occurs(rule.words, text):
                return Kind(kind=rule.kind, field=rule.field, text=text, words=rule.words, own_rule=True)
    for field in FIELDS:
        for text in texts[field]:
            if hit := by_table(text):
                return Kind(kind=hit[0], field=field, text=text, words=hit[1])
    return Kind(kind=OTHER)


def texts_of(device: Mapping[str, Any]) -> dict[Source, list[str]]:
    """What tells a device's kind."""
    model, details = device.get("model"), mapping(device.get("details"))
    named = mapping(model)
    found: dict[Source, list[Any]] = {
        "model": [named.get("name") if named else model],
        "type": [named.get("sub_model"), details.get("type"), device.get("device_type")],
        "name": [device.get("name")],
    }
    return {field: [text for text in texts if isinstance(text, str) and text] for field, texts in found.items()}


@lru_cache(maxsize=10_000)
def by_table(text: str) -> tuple[str, str] | None:
    """The kind that a text tells, and by which words."""
    hits = TABLE.findall(folded(text))
    return (KIND_OF[hits[-1]], hits[-1]) if hits else None


@lru_cache(maxsize=10_000)
def occurs(words: str, text: str) -> bool:
    """Whether the words stand in the text, also as a plural."""
    return re.search(rf"\b{re.escape(folded(words))}s?\b", folded(text)) is not None
