"""What the service says of itself: lines of JSON, and metrics with bounded labels."""

import json
import logging

import pytest
from prometheus_client import REGISTRY

from app.telemetry import JsonFormatter, configure_logging


def line_of(record: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def record(message: str, *values: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "app.test", "levelname": "INFO", "msg": message, "args": values, "created": 0.5}
    )
    vars(made).update(extra)
    return made


def test_a_line_is_one_json_object() -> None:
    line = line_of(record("sent %s\nof %d", "a", 3, status=200, when={"x": object})) | {"when": None}

    assert line == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "app.test",
        "message": "sent a\nof 3",
        "status": 200,
        "when": None,
    }


def test_a_line_tells_of_an_exception() -> None:
    failure = LookupError("here")

    line = line_of(record("failed", exc_info=(LookupError, failure, None)))

    assert "LookupError: here" in str(line["exception"])
    assert "exc_info" not in line


def test_our_loggers_speak_from_the_chosen_level_on_and_libraries_from_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("DEBUG")

    logging.getLogger("app.anything").debug("ours", extra={"number": 1})
    logging.getLogger("arq.worker").info("a job with its arguments")
    logging.getLogger("httpx").warning("theirs")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["message"], line.get("number")) for line in lines] == [("ours", 1), ("theirs", None)]


def test_no_label_can_hold_an_id_or_a_key() -> None:
    known = {"tool", "era", "error", "scope", "method", "outcome", "limit", "handler", "status", "le"}
    ours = ("mcp_", "xyte_", "http_")

    labels = {
        label
        for metric in REGISTRY.collect()
        if metric.name.startswith(ours)
        for sample in metric.samples
        for label in sample.labels
    }

    assert not {label for label in labels - known if "id" in label or "key" in label or "tenant" in label}
