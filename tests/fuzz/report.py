"""What rounds of requests came to."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN_OPERATIONS = 5


@dataclass
class Report:
    """Requests made, what failed and how often, and refusals that were in order."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    failures: Counter[str] = field(default_factory=Counter[str])
    operations: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    accepted: Counter[str] = field(default_factory=Counter[str])
    errors: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not self.failures and not self.errors

    def add(self, told: dict[str, Any], events: Path, accepted: Path) -> None:
        """What one round told in its files."""
        self.requests += sum(self.count(events.read_text().splitlines()))
        for failure in told["failures"]:
            name = f"{failure['code']} {failure['title']}"
            self.failures[name] += failure["count"]
            self.operations.setdefault(name, set()).update(failure["operations"])
        self.errors += [json.dumps(error)[:500] for error in told.get("errors", [])]
        if accepted.exists():
            self.accepted.update(accepted.read_text().split())
            accepted.unlink()

    def count(self, lines: Iterable[str]) -> Iterable[int]:
        for line in lines:
            scenario = json.loads(line).get("ScenarioFinished", {})
            answers: dict[str, Any] = scenario.get("recorder", {}).get("interactions") or {}
            self.statuses.update(answer["response"]["status_code"] for answer in answers.values() if answer["response"])
            yield len(answers)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        lines = [f"{self.requests} requests in {self.seconds:.0f} s  ({statuses})"]
        for name, count in self.failures.most_common():
            shown = sorted(self.operations[name])
            more = f" and {len(shown) - SHOWN_OPERATIONS} more" if len(shown) > SHOWN_OPERATIONS else ""
            lines.append(f"  {count} x {name}: {', '.join(shown[:SHOWN_OPERATIONS])}{more}")
        lines += [f"  error: {error}" for error in self.errors]
        if self.accepted:
            rules = ", ".join(f"{name}: {count}" for name, count in self.accepted.most_common())
            lines.append(f"  refused by a rule that no schema says, so not counted: {rules}")
        lines.append("nothing is wrong" if self.is_clean else "FAILED")
        return "\n".join(lines)
