"""The pages say what is so: every command in them is run, or checked as far as it can be run here."""

import functools
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import dev
from app.cli import parser
from tests.deploy import check
from tests.service import Service, running_service
from tests.site.application import described

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*(PROJECT / "docs").glob("*.md"), *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
)
CODE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LIVE = re.compile(r"^(curl |\w+=\$\((curl|echo|python3 -c) )")
CALLED = re.compile(r"\$URL(/v1/[^\"'?\s]*)")
TOOL = re.compile(r'"method":"tools/call","params":\{"name":"(\w+)"')
PARTLY = {"docker", "claude"}


@dataclass(frozen=True)
class Block:
    """One block of code on a page."""

    page: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.stem}-{self.number}"

    @property
    def lines(self) -> list[str]:
        """Its commands, without comments; a line that ends in a backslash goes on."""
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]

    @property
    def is_live(self) -> bool:
        return all(LIVE.match(line) for line in self.lines)


def blocks(page: Path) -> list[Block]:
    found = CODE.findall(page.read_text())
    return [
        Block(page, number, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for number, (indent, language, text) in enumerate(found, 1)
    ]


ALL = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in ALL if block.language == "sh"]


def test_every_block_says_what_it_is() -> None:
    known = {"sh", "json", "yaml"}

    # The README's map is a drawing.
    assert not [str(block) for block in ALL if block.language not in known and not block.text.startswith("app/")]


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "json"], ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [block for block in ALL if block.language == "yaml"], ids=str)
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


# ── Commands for a running gateway ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def service() -> Generator[Service]:
    with running_service(RATE_LIMIT_PER_MINUTE="100000", RATE_LIMIT_BURST="10000") as running:
        yield running


def missing_operations(text: str) -> set[str]:
    """Paths and tools that a page calls and this gateway has not."""
    patterns = [re.compile(re.sub(r"\{\w+\}", "[^/]+", one.path)) for one in described().operations]
    paths = {path for path in CALLED.findall(text) if not any(one.fullmatch(path) for one in patterns)}
    return paths | {tool for tool in TOOL.findall(text) if tool not in described().catalogue.tools}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.is_live for b in SHELL if b.page == page)], ids=lambda page: page.name
)
def test_what_a_page_asks_a_running_gateway_is_answered(page: Path, service: Service, tmp_path: Path) -> None:
    live = [block for block in SHELL if block.page == page and block.is_live]
    text = "\n".join(line for block in live for line in block.lines)
    assert not missing_operations(text)
    (tmp_path / ".dev").mkdir()
    (tmp_path / ".dev" / "stack.json").write_text(json.dumps(service.facts))
    begin = [
        "set -euo pipefail",
        'curl() { command curl --fail-with-body -S "$@"; }',
        f"URL={service.url}",
        f"KEY={service.key}",
    ]

    done = subprocess.run(
        ["bash", "-c", "\n".join([*begin, text])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"isError":true' not in done.stdout
    assert done.stdout


# ── Other commands ───────────────────────────────────────────────────────────────────────────────────────────────────


def words_of(line: str) -> list[str]:
    """A command's words without settings before it, what follows a redirection, and what a shell would expand."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    return words[: words.index(">")] if ">" in words else words


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]


def with_python(words: list[str]) -> None:
    """A verb there is, or a script that runs."""
    assert words[1] in {"dev.py", "deploy/make_env.py"}
    if words[1] == "dev.py":
        assert words[2] in dev.VERBS
        if words[2] == "help":
            run(sys.executable, *words[1:])
        for word in words[3:]:
            assert "/" not in word or (PROJECT / word).exists(), word
    else:
        run(sys.executable, *words[1:])


def with_xyte_mcp(words: list[str]) -> None:
    """The command takes it."""
    parser().parse_args(words[1:])


def with_docker(words: list[str]) -> None:
    """What it names is in compose.yaml."""
    document: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    profiles = {profile for service in document["services"].values() for profile in service.get("profiles", ())}
    assert words[1] == "compose"
    for option, value in itertools.pairwise(words):
        if option == "--profile":
            assert value in profiles
        if option == "--env-file":
            assert value == "deploy/compose.env"
    verb = next(index for index, word in enumerate(words) if word in {"up", "run", "down", "logs"})
    assert all(word in document["services"] for word in words[verb + 1 :] if not word.startswith("--"))


def with_helm(words: list[str]) -> None:
    """The chart renders with these values."""
    assert words[1:3] == ["upgrade", "--install"]
    run(check.helm(), "template", *words[3:])


def with_claude(words: list[str]) -> None:
    """As Claude Code's own documentation writes it."""
    assert words[1:6] == ["mcp", "add", "--transport", "http", "xyte"]
    assert words[6].endswith("/mcp")
    assert words[7] == "--header"
    assert words[8].startswith("X-XYTE-API-KEY: ")


def with_script(words: list[str]) -> None:
    """A script of ours that a shell can read; the drill in tests/deploy/test_backup.py runs it."""
    assert os.access(PROJECT / words[0], os.X_OK)
    run("bash", "-n", PROJECT / words[0])


def as_it_is(words: list[str]) -> None:
    """It does no harm, so it is run."""
    run(*words)


def nothing(_words: list[str]) -> None:
    """A setting for what follows."""


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "python3": with_python,
    "xyte-mcp": with_xyte_mcp,
    "docker": with_docker,
    "helm": with_helm,
    "claude": with_claude,
    "openssl": as_it_is,
    "export": nothing,
    "deploy/backup/backup.sh": with_script,
    "deploy/backup/restore.sh": with_script,
}


@pytest.mark.parametrize("block", [block for block in SHELL if not block.is_live], ids=str)
def test_a_command_is_one_that_there_is(block: Block) -> None:
    for line in block.lines:
        words = words_of(line)
        with_check = functools.partial(CHECKS[words[0]], words)
        try:
            with_check()
        except check.MissingError as missing:
            pytest.skip(f"NOT RUN: {missing}")


# ── The site and what is made from the application ───────────────────────────────────────────────────────────────────


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    run(sys.executable, "-m", "tests.site", "docs", tmp_path)

    assert (tmp_path / "start.html").exists()
    assert "send_command" in (tmp_path / "reference" / "tools.html").read_text()
    json.loads((tmp_path / "files" / "xyte.postman_collection.json").read_text())
