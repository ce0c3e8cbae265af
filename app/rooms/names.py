"""Names as people type them: without case and accents, in part, or nearly right."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rapidfuzz import fuzz, process

Thing = TypeVar("Thing")

ALIKE = 70.0
NOT_WORD = re.compile(r"[^\w/]+|_")


def folded(text: object) -> str:
    """Lower case without accents and marks, words apart by one blank, the parts of a path by a slash."""
    plain = unicodedata.normalize("NFKD", str(text or "").casefold())
    words = NOT_WORD.sub(" ", "".join(mark for mark in plain if not unicodedata.combining(mark)))
    return "/".join(" ".join(part.split()) for part in words.split("/"))


def words_of(text: object) -> list[str]:
    return folded(text).replace("/", " ").split()


def begun(wanted: Sequence[str], there: Sequence[str]) -> bool:
    """Whether each wanted word is one of those that are there, or the first letters of one, at least three."""
    return bool(wanted) and all(part in there or (len(part) >= 3 and any_begins(part, there)) for part in wanted)


def any_begins(part: str, words: Sequence[str]) -> bool:
    return any(word.startswith(part) for word in words)


def alike(query: str, things: Iterable[Thing], texts: Callable[[Thing], Sequence[object]], limit: int) -> list[Thing]:
    """The things whose texts look most like the query, best first."""
    listed = list(things)
    scores: dict[int, float] = {}
    for place in range(2):
        choices = {number: folded(texts(thing)[place]) for number, thing in enumerate(listed)}
        for _, score, number in process.extract(
            folded(query), choices, scorer=fuzz.WRatio, limit=limit, score_cutoff=ALIKE
        ):
            scores[number] = max(score, scores.get(number, 0.0))
    return [listed[number] for number in sorted(scores, key=lambda number: -scores[number])[:limit]]
