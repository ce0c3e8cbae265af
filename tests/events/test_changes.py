"""What is told of two views."""

from typing import Any

import pytest

from app.events.changes import carried, changes, device_of, is_online

ROW: dict[str, Any] = {
    "id": "d1",
    "name": "Projector",
    "status": "online",
    "effective_status": "ok",
    "last_seen_at": "2026-11-22T10:00:00Z",
    "model": {"name": "LX"},
    "firmware": {"version": "1"},
    "space": {"id": 3, "full_path": "Harbor/Board"},
}
DEVICE = device_of(ROW)


def told(before: Any, after: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(draft.type, draft.data) for draft in changes(before, after)]


def test_nothing_is_told_of_what_is_the_same_or_was_never_seen() -> None:
    view: Any = {"devices": {"d1": DEVICE}, "incidents": {}, "tickets": None, "commands": {"d1": {}}}

    assert told(view, view) == []
    assert told({}, view) == []
    assert told(view, {"devices": None, "incidents": None, "tickets": {}}) == []
    assert device_of(ROW | {"last_seen_at": "later"}) == DEVICE


@pytest.mark.parametrize(
    ("status", "effective", "online"),
    [
        ("online", "ok", True),
        ("online", "error", True),
        ("online", "offline", False),
        ("online", "disconnected", False),
        ("offline", None, False),
        ("online", None, True),
        (None, None, False),
        (None, "never_seen", False),
    ],
)
def test_the_health_that_xyte_computes_counts(status: str | None, effective: str | None, online: bool) -> None:
    assert is_online({"status": status, "effective_status": effective}) is online


def test_going_offline_and_changing_at_once_are_two_events() -> None:
    after = DEVICE | {"effective_status": "offline", "name": "New name"}

    events = told({"devices": {"d1": DEVICE}}, {"devices": {"d1": after}})

    assert [kind for kind, _ in events] == ["device.offline", "device.changed"]
    assert events[1][1]["changed"] == {"name": "New name"}
    assert events[1][1]["before"] == {"name": "Projector"}


def test_devices_come_and_go() -> None:
    assert [kind for kind, _ in told({"devices": {}}, {"devices": {"d1": DEVICE}})] == ["device.added"]
    assert [kind for kind, _ in told({"devices": {"d1": DEVICE}}, {"devices": {}})] == ["device.removed"]


def test_tickets_open_change_and_close() -> None:
    ticket = {"title": "Dark", "status": "open", "device_id": "d1", "created_at": None}

    assert told({"tickets": {}}, {"tickets": {"t": ticket}}) == [
        ("ticket.opened", {"ticket_id": "t", "title": "Dark", "status": "open", "device_id": "d1"})
    ]
    assert told({"tickets": {"t": ticket}}, {"tickets": {"t": ticket | {"title": "x"}}})[0][0] == "ticket.changed"
    assert told({"tickets": {"t": ticket}}, {"tickets": {}})[0][0] == "ticket.closed"


def test_commands_are_told_by_their_status_and_old_ones_are_not_new() -> None:
    def command(status: str, at: str) -> dict[str, Any]:
        return {"name": "reboot", "status": status, "message": None, "created_at": at}

    before = {"commands": {"d1": {"2": command("pending", "2"), "3": command("done", "3")}}}
    after = {
        "devices": {"d1": DEVICE},
        "commands": {
            "d1": {
                "1": command("done", "1"),
                "2": command("done", "2"),
                "3": command("done", "3"),
                "4": command("pending", "4"),
            },
            "d2": {"9": command("pending", "9")},
        },
    }

    assert [(kind, data["command_id"]) for kind, data in told(before, after)] == [
        ("command.done", "2"),
        ("command.pending", "4"),
    ]


def test_a_row_that_one_look_missed_is_kept_and_one_that_two_missed_is_gone() -> None:
    before = {"a": DEVICE, "b": DEVICE}

    rows, doubts = carried(before, {"a": DEVICE}, [])
    gone, none = carried(rows, {"a": DEVICE}, doubts)

    assert (rows, doubts) == (before, ["b"])
    assert (gone, none) == ({"a": DEVICE}, [])
