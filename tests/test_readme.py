"""The README says what is so: its map, its verbs, its settings, and every curl in it."""

import json
import os
import re
import shlex
from pathlib import Path

import httpx
import pytest

import dev
from app.settings import Settings
from tests.site.reference import settings

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
TEXT = README.read_text()
BEGIN, END = re.compile(r"<!-- settings: .* -->\n"), "<!-- end of settings -->"
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The code of a language."""
    return [code for found, code in CODE.findall(TEXT) if found == language]


def mapped() -> set[str]:
    """The paths that the map names, relative to app/."""
    drawing = next(code for code in blocks("") if code.startswith("app/"))
    lines = [line for line in drawing.splitlines() if "── " in line]
    beside = re.findall(r"\(([\w.]+)\)$", drawing, re.MULTILINE)
    return {line.partition("── ")[2].split()[0] for line in lines} | set(beside)


def test_every_path_in_the_map_exists() -> None:
    missing = {path for path in mapped() if not (PROJECT / "app" / path).exists()}

    assert not missing


def test_every_module_has_its_place_in_the_map() -> None:
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (PROJECT / "app").iterdir()
        if not path.name.startswith(("__", ".")) and (path.is_file() or (path / "__init__.py").exists())
    }

    assert not there - mapped()


def test_every_verb_exists_and_every_existing_verb_is_named() -> None:
    rows = set(re.findall(r"^\| `([a-z-]+)(?: \"…\")?` \|", TEXT, re.MULTILINE))

    assert rows == set(dev.VERBS)
    assert set(re.findall(r"python3 dev\.py ([a-z][\w-]*)", TEXT)) <= set(dev.VERBS)


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]

    assert links
    assert all((PROJECT / link).exists() for link in links)


def test_the_settings_are_those_there_are() -> None:
    begin = BEGIN.search(TEXT)
    assert begin is not None
    before, after = TEXT[: begin.end()], TEXT[TEXT.index(END) :]
    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(before + settings() + after)
        return

    assert TEXT[begin.end() : TEXT.index(END)] == settings(), (
        "UPDATE_SNAPSHOTS=1 python3 dev.py test tests/test_readme.py"
    )


def test_every_setting_says_what_it_is() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


@pytest.mark.parametrize("code", blocks("json"))
def test_json_is_json(code: str) -> None:
    json.loads(code)


def curls() -> list[list[str]]:
    """Every curl command, in order, as words."""
    lines = [line for code in blocks("sh") for line in code.splitlines() if "curl " in line]
    commands = [re.sub(r"^\w+=\$\(|\s\|\s.*$", "", line) for line in lines]
    return [shlex.split(command) for command in commands]


def request(words: list[str], values: dict[str, str]) -> tuple[str, str, dict[str, str], str | None]:
    """Method, URL, headers and body of a curl command whose variables have these values."""
    filled = [re.sub(r"\$(\w+)", lambda match: values[match[1]], word) for word in words[1:]]
    headers: dict[str, str] = {}
    body: str | None = None
    url = ""
    left = iter(filled)
    for word in left:
        if word == "-H":
            name, _, value = next(left).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(left)
        elif word != "-s":
            url = word
    return "POST" if body else "GET", url, headers, body


async def test_every_curl_does_what_is_said(anonymous: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    key = client.headers.pop("X-XYTE-API-KEY")
    values = {"URL": "http://localhost", "KEY": key, "DEVICE": "set by the first answer"}

    for words in curls():
        method, url, headers, body = request(words, values)
        answer = await anonymous.request(method, url, headers=headers, content=body)

        assert answer.status_code == 200, answer.text
        said = answer.json()
        if body:
            json.loads(body)
            assert not said["result"].get("isError"), answer.text
        else:
            assert said["items"]
            values["DEVICE"] = said["items"][0]["id"] if "/commands" not in url else values["DEVICE"]


def test_the_story_ends_with_a_command_that_was_done() -> None:
    assert [words for words in curls() if any("/commands" in word for word in words)]
    assert any('"power_on"' in word for words in curls() for word in words)
