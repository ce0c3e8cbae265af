"""Faults on demand: which requests go wrong, how, and how often."""

import random
import re
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

FaultKind = Literal["latency", "status", "reset", "drip", "malformed", "huge", "lost_answer", "html_error", "empty"]


class Fault(BaseModel):
    """A rule: requests like this go wrong like that."""

    model_config = ConfigDict(extra="forbid")

    id: str = ""
    kind: FaultKind
    method: str | None = None
    path: str | None = Field(default=None, description="Glob of the raw path, or regular expression in it.")
    tenant: str | None = Field(default=None, description="The name of an organization or of the partner.")
    times: int | None = Field(default=1, ge=1, description="How many requests; null is all of them.")
    rate: float | None = Field(default=None, ge=0, le=1, description="The share of requests it strikes.")
    seconds: float = Field(default=0.05, ge=0, description="latency: the wait; drip: the wait before every piece.")
    status: int = Field(default=503, ge=200, le=599)
    retry_after: int | None = None
    body: str | None = Field(default=None, description="The body of a status or malformed fault, sent as it stands.")
    bytes: int | None = Field(default=None, ge=1, description="Size of a huge answer, or of a dripping piece.")
    applied: bool | None = Field(default=None, description="Whether the request still has its effect.")
    hits: int = 0
    _regex: re.Pattern[str] | None = PrivateAttr(None)

    def model_post_init(self, _context: object, /) -> None:
        """Compile the path; what is no regular expression may still be a glob."""
        try:
            self._regex = re.compile(self.path or "")
        except re.error:
            if "*" not in (self.path or ""):
                raise ValueError("path is neither a glob nor a regular expression") from None

    @property
    def applies(self) -> bool:
        """Whether the request is carried out before it goes wrong."""
        return self.applied if self.applied is not None else self.kind not in ("status", "html_error", "reset")

    def concerns(self, method: str, path: str, tenant: str | None) -> bool:
        return (
            (self.method is None or self.method.upper() == method)
            and (self.tenant is None or self.tenant == tenant)
            and (self.path is None or fnmatchcase(path, self.path) or bool(self._regex and self._regex.search(path)))
        )


class Faults:
    """The rules in force, oldest first."""

    def __init__(self, seed: int) -> None:
        self.rules: dict[str, Fault] = {}
        self._random = random.Random(seed)  # noqa: S311  chance that can be repeated
        self._count = 0

    def add(self, fault: Fault) -> str:
        self._count += 1
        fault.id = f"fault-{self._count}"
        fault.hits = 0
        self.rules[fault.id] = fault
        return fault.id

    def pick(self, method: str, path: str, tenant: str | None) -> Fault | None:
        """The first rule that strikes this request; a used up rule is gone."""
        for fault in list(self.rules.values()):
            if fault.concerns(method, path, tenant) and (fault.rate is None or self._random.random() < fault.rate):
                fault.hits += 1
                if fault.times is not None and fault.hits >= fault.times:
                    del self.rules[fault.id]
                return fault
        return None
