"""The pages: what hosts are told of them, that they stand alone, and what a person sees of them in a browser."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.mcp.apps import APPS, MIME_TYPE, App, meta_of
from app.mcp.selection import Catalogue
from tests.browser import PROGRAM
from tests.mcp.apps import browser
from tests.world import call, mcp

FLEET, ROOM = APPS
HOSTILE = '<img src=x onerror="window.parent.postMessage(1)"><script>alert(1)</script>'
GREETING: dict[str, Any] = {
    "protocolVersion": "2026-01-26",
    "hostInfo": {"name": "test", "version": "1"},
    "hostCapabilities": {"serverTools": {}},
    "hostContext": {"theme": "dark", "locale": "en-GB", "timeZone": "UTC"},
}
STATUS: dict[str, Any] = {
    "room": {"id": 13009, "name": "Board Room", "path": "Harbor/London/Board Room", "devices": 3, "offline": 1},
    "summary": "2 of 3 devices are well; the camera is offline.",
    "devices": {
        "projector": [{"id": "p", "name": "Board Room Projector", "status": "ok", "on": True}],
        "display": [{"id": "d", "name": HOSTILE, "status": "ok", "on": False}],
        "camera": [{"id": "c", "name": "Board Room Camera", "status": "offline"}],
    },
    "incidents": [
        {
            "device": "Board Room Camera",
            "title": "Camera offline",
            "priority": "critical",
            "since": "2026-11-22T09:00:00Z",
        }
    ],
    "tickets": [{"id": "t", "title": "No picture", "since": "nonsense"}],
}
with_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: the pages are not looked at")


def result(content: dict[str, Any]) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": "{}"}], "structuredContent": content}


def scenario(app: App, shown: dict[str, Any], **more: Any) -> dict[str, Any]:
    news = [
        {"method": "ui/notifications/tool-input", "params": {"arguments": {"room": "board"}}},
        {"method": "ui/notifications/tool-result", "params": shown},
    ]
    tools = {
        "get_room_status": result(STATUS),
        "start_meeting_room_preset": result({"summary": "The room is ready."}),
        "shutdown_meeting_room": result({"summary": "The room is off."}),
        "list_incidents": result({"items": []}),
    }
    return {"page": app.text, "greeting": GREETING, "news": news, "tools": tools, "clicks": []} | more


def asked(report: dict[str, Any], tool: str) -> list[Any]:
    """The arguments of each call of a tool."""
    calls = [message["params"] for message in report["heard"] if message.get("method") == "tools/call"]
    return [params["arguments"] for params in calls if params["name"] == tool]


@pytest.mark.parametrize("app", APPS, ids=[app.title for app in APPS])
def test_a_page_is_whole_in_itself_and_shut(app: App) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', app.text)

    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"https?://|innerHTML|insertAdjacent|eval\(|document\.write|@import|url\(", app.text)
    assert app.uri.startswith("ui://xyte/")
    assert app.mime_type == MIME_TYPE
    assert app.meta
    assert not any(app.meta["ui"]["csp"].values())
    assert len(app.text.encode()) < 20_000


def test_tools_name_the_page_that_shows_their_results() -> None:
    assert meta_of("get_room_status") == {"ui": {"resourceUri": ROOM.uri}}
    assert meta_of("whoami") is None


async def test_hosts_learn_of_the_pages_from_the_list_of_tools(client: httpx.AsyncClient) -> None:
    tools = (await mcp(client, "tools/list"))["result"]["tools"]

    pages = {tool["name"]: tool["_meta"]["ui"]["resourceUri"] for tool in tools if "_meta" in tool}
    assert pages["list_devices"] == FLEET.uri
    assert set(pages) <= {tool for app in APPS for tool in app.tools}


async def test_the_tools_that_the_pages_call_exist_where_they_are_offered(client: httpx.AsyncClient, app: Any) -> None:
    catalogue: Catalogue = app.state.catalogue

    called = {name for page in APPS for name in re.findall(r'(?:callTool|act)\("(\w+)"', page.text)}
    assert called == {
        "get_room_status", "start_meeting_room_preset", "shutdown_meeting_room", "list_incidents"
    }  # fmt: skip
    assert called | {tool for page in APPS for tool in page.tools} <= set(catalogue.operations)


@pytest.mark.parametrize("shown", APPS, ids=[app.title for app in APPS])
async def test_hosts_read_a_page_as_a_resource(client: httpx.AsyncClient, shown: App) -> None:
    listed = (await mcp(client, "resources/list"))["result"]["resources"]
    (read,) = (await mcp(client, "resources/read", {"uri": shown.uri}))["result"]["contents"]

    entry = next(row for row in listed if row["uri"] == shown.uri)
    assert (entry["mimeType"], read["mimeType"]) == (MIME_TYPE, MIME_TYPE)
    assert read["text"] == shown.text
    assert entry["_meta"] == read["_meta"] == shown.meta


@with_browser
async def test_the_fleet_is_shown_with_its_open_incidents(client: httpx.AsyncClient, tmp_path: Path) -> None:
    devices = await call(client, "list_devices", per_page=50)
    incidents = await call(client, "list_incidents", per_page=25)
    tools = {"list_incidents": incidents, "list_devices": devices}

    report = browser.opened(tmp_path, scenario(FLEET, devices, tools=tools, clicks=["refresh"]))

    rows = devices["structuredContent"]["items"]
    assert all(row["name"] in report["text"] for row in rows)
    assert incidents["structuredContent"]["items"][0]["title"] in report["text"]
    assert f"{len(rows)}\n" in report["text"]
    assert asked(report, "list_devices") == [{"room": "board"}]
    assert (report["violations"], report["reached"]) == (["connect-src"], "no")
    assert report["theme"] == "dark"
    assert any(message.get("method") == "ui/notifications/size-changed" for message in report["heard"])


@with_browser
def test_the_fleet_s_answers_that_are_no_devices(tmp_path: Path) -> None:
    nothing = browser.opened(tmp_path, scenario(FLEET, result({"items": [], "has_more": False})))
    problem = {"isError": True, "content": [{"type": "text", "text": '{"detail":"Too often."}'}]}
    refused = browser.opened(tmp_path, scenario(FLEET, problem))
    unread = browser.opened(tmp_path, scenario(FLEET, result({"items": []}), tools={}))

    assert nothing["said"] == "No devices match."
    assert refused["said"] == "Too often."
    assert unread["said"] == "The incidents could not be read: no such tool"


@with_browser
def test_a_host_that_calls_no_tools_gets_no_buttons(tmp_path: Path) -> None:
    greeting = GREETING | {"hostCapabilities": {}, "hostContext": {"theme": "light"}}

    report = browser.opened(tmp_path, scenario(ROOM, result(STATUS), greeting=greeting))

    assert report["visible"] == []
    assert not asked(report, "list_incidents")
    assert report["theme"] == "light"


@with_browser
async def test_a_room_of_the_gateway_is_shown(client: httpx.AsyncClient, tmp_path: Path) -> None:
    status = await call(client, "get_room_status", room="Board Room")

    report = browser.opened(tmp_path, scenario(ROOM, status))

    content = status["structuredContent"]
    assert content["summary"] in report["text"]
    assert all(device["name"] in report["text"] for kind in content["devices"].values() for device in kind)


@with_browser
def test_a_room_is_shown_and_text_stays_text(tmp_path: Path) -> None:
    report = browser.opened(tmp_path, scenario(ROOM, result(STATUS)))

    assert all(words in report["text"] for words in ("Board Room", "Camera offline", "No picture", HOSTILE, "offline"))
    assert (report["images"], report["scripts"]) == (0, 1)
    assert report["visible"] == ["refresh", "begin", "end"]


@with_browser
def test_a_room_is_started_by_one_press_and_shut_down_by_two(tmp_path: Path) -> None:
    started = browser.opened(tmp_path, scenario(ROOM, result(STATUS), clicks=["begin"]))
    once = browser.opened(tmp_path, scenario(ROOM, result(STATUS), clicks=["end"]))
    twice = browser.opened(tmp_path, scenario(ROOM, result(STATUS), clicks=["end", "end"]))

    assert asked(started, "start_meeting_room_preset") == [{"room": "13009"}]
    assert started["said"] == "The room is ready."
    assert asked(once, "shutdown_meeting_room") == []
    assert "Press again to shut down" in once["text"]
    assert asked(twice, "shutdown_meeting_room") == [{"room": "13009"}]


@with_browser
def test_the_host_s_colours_and_requests_are_heard(tmp_path: Path) -> None:
    news: list[dict[str, Any]] = [
        {"method": "ui/notifications/tool-result", "params": {"content": [{"type": "text", "text": "not json"}]}},
        {"method": "ui/notifications/tool-cancelled", "params": {"reason": "x"}},
        {
            "method": "ui/notifications/host-context-changed",
            "params": {"styles": {"variables": {"--color-background-primary": "rgb(1, 2, 3)", "color": "red"}}},
        },
        {"id": "h1", "method": "ping", "params": {}},
        {"id": "h2", "method": "ui/resource-teardown", "params": {}},
        {"id": "h3", "method": "no/such", "params": {}},
    ]

    report = browser.opened(tmp_path, scenario(ROOM, {}, news=news))

    answers = {message["id"]: message for message in report["heard"] if str(message.get("id")).startswith("h")}
    assert report["background"] == "rgb(1, 2, 3)"
    assert report["said"] == "The call was cancelled."
    assert (answers["h1"]["result"], answers["h2"]["result"]) == ({}, {})
    assert answers["h3"]["error"]["code"] == -32601
