"""Runs the suite's program against an address and reads what it found."""

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.tools import ToolError, newest_node, node_modules, run

HERE = Path(__file__).parent
LOCK = HERE / "node" / "package-lock.json"
OLDEST_NODE = 22
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\w-]+$")


@dataclass
class Found:
    """What a run of the suite came to: checks that failed, by scenario."""

    scenarios: list[str] = field(default_factory=list[str])
    failed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    violations: int = 0
    complaint: str = ""

    def only(self, scenarios: list[str]) -> "Found":
        """Of these scenarios; one that did not run has failed."""
        failed = {name: self.failed.get(name, ["did not run"]) for name in scenarios if name not in self.passed}
        return Found(scenarios, failed, self.violations, self.complaint)

    def without(self, excepted: set[str]) -> "Found":
        """Without what is excepted: whole scenarios, or single checks as `scenario:check`."""
        left = {
            name: [check for check in checks if f"{name}:{check.partition(': ')[0]}" not in excepted]
            for name, checks in self.failed.items()
            if name not in excepted
        }
        return Found(self.scenarios, {name: checks for name, checks in left.items() if checks}, self.violations)

    @property
    def passed(self) -> list[str]:
        return [scenario for scenario in self.scenarios if scenario not in self.failed]

    def add(self, other: "Found") -> None:
        self.scenarios += other.scenarios
        self.failed |= other.failed
        self.violations += other.violations
        self.complaint += other.complaint


class Suite:
    """The pinned program."""

    def __init__(self) -> None:
        self._node = newest_node(OLDEST_NODE)
        package = node_modules("conformance", LOCK) / "@modelcontextprotocol" / "conformance"
        self._program = package / "dist" / "index.js"

    def required(self, version: str) -> list[str]:
        """The server scenarios that a version of the protocol requires."""
        said = run([self._node, self._program, "list", "--requirements", version], folder=HERE)
        servers = said.partition("Server scenarios")[2].partition("Client scenarios")[0]
        return re.findall(r"^\s+- (\S+)", servers, re.MULTILINE)

    def run(self, url: str, *options: str) -> Found:
        """A run with these options; the program itself says whether it is content."""
        with tempfile.TemporaryDirectory(prefix="xyte-conformance-") as folder:
            words = [self._node, self._program, "server", "--url", url, "-o", folder, *options]
            complaint = ""
            try:
                run(list(words), folder=HERE)
            except ToolError as error:
                complaint = str(error)
            found = read(Path(folder))
        found.complaint = complaint
        return found


def read(folder: Path) -> Found:
    """All that the program wrote down."""
    found = Found()
    for file in sorted(folder.glob("**/checks.json")):
        scenario = STAMP.sub("", file.parent.name.removeprefix("server-"))
        checks = json.loads(file.read_text())
        found.scenarios.append(scenario)
        wrong = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
        found.violations += sum(check["id"] == "wire-schema-valid" for check in wrong)
        if wrong:
            found.failed[scenario] = [f"{check['id']}: {check.get('errorMessage') or check['name']}" for check in wrong]
    return found
