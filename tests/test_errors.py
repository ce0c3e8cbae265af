"""Problems: each has its status, its code and its shape, and the tree in the module shows all of them."""

import inspect
import re
from typing import Any

import pytest

from app import errors
from app.errors import InvalidInput, Problem, UpstreamRefused, invalid

CLASSES = [found for found in vars(errors).values() if inspect.isclass(found) and issubclass(found, Problem)]
TREE = re.findall(r"[─] (\w+) +(?:(\d\d\d|4xx|50\d)  (\w+))?", errors.__doc__ or "")


def test_the_tree_names_every_problem() -> None:
    assert {name for name, _, _ in TREE} == {found.__name__ for found in CLASSES} - {"Problem"}


@pytest.mark.parametrize(("name", "status", "error"), TREE)
def test_the_tree_tells_status_and_code(name: str, status: str, error: str) -> None:
    found = getattr(errors, name)

    if status.isdecimal():
        assert (str(found.status), found.error) == (status, error)
    else:
        assert issubclass(found, errors.UpstreamProblem)


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    document = Problem("What was wrong.").body("an-id")

    assert document == {
        "type": "urn:problem:Problem",
        "title": "Internal error",
        "status": 500,
        "detail": "What was wrong.",
        "error": "internal_error",
        "request_id": "an-id",
    }
    assert "request_id" not in Problem("a").body()


def mistake(*place: Any, message: str = "wrong", **context: Any) -> dict[str, Any]:
    return {"loc": place, "msg": message, "ctx": context, "type": "value_error", "input": "a-secret"}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (mistake("body", "name"), "body.name"),
        (mistake("query", "page"), "query.page"),
        (mistake("path", "device_id"), "path.device_id"),
        (mistake("body"), "body"),
        (mistake(), "body"),
        (mistake("body", "steps", 3, "name"), "body.steps.3.name"),
        (mistake("name"), "name"),
    ],
)
def test_a_mistake_says_where_it_is(given: dict[str, Any], path: str) -> None:
    problem = invalid([given])

    assert problem.errors == [{"path": path, "message": "wrong"}]
    assert problem.detail == f"{path}: wrong"
    assert "a-secret" not in str(problem.body())


def test_a_mistake_names_the_allowed_values() -> None:
    problem = invalid([mistake("query", "status", expected="'done', 'failed' or 'aborted'")])

    assert problem.errors[0]["allowed"] == ["done", "failed", "aborted"]


def test_our_own_words_stand_without_a_prefix() -> None:
    assert invalid([mistake("body", message="Value error, give a name")]).errors[0]["message"] == "give a name"


def test_a_summary_is_short_and_the_list_is_whole() -> None:
    problem = invalid([mistake("body", f"field{number}") for number in range(8)])

    assert problem.detail.count(";") == 4
    assert len(problem.body()["errors"]) == 8


def test_no_mistakes_are_still_a_problem() -> None:
    assert invalid([]).detail == "The input is not valid."
    assert InvalidInput("a").body()["errors"] == []


def test_a_refusal_without_words_has_no_empty_member() -> None:
    assert "xyte_message" not in UpstreamRefused(404, None).body()
    assert UpstreamRefused(404, "Not found").body()["xyte_message"] == "Not found"


def test_a_refusal_names_what_would_be_accepted() -> None:
    assert errors.InvalidSelection("No toolset x.", ["devices", "rooms"]).body()["valid"] == ["devices", "rooms"]
    assert errors.ConfirmationNeeded("Sure?", "d1").body()["confirm"] == "d1"
    assert errors.DeviceBusy("Later.", 7).body()["retry_after"] == 7
    assert errors.BodyTooLarge(100).detail == "A body may have 100 bytes."


def test_a_request_that_came_before_is_told_apart_by_what_to_do() -> None:
    assert errors.RequestUnderWay().headers == {"Retry-After": "1"}
    assert "new one" in errors.IdempotencyConflict().detail
