"""A health check's one question: 0 for a 200, else one line that says why."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app.cli import main
from app.stack import free_port

UNREADY = {"status": "unavailable", "parts": {"redis": {"status": "failing"}, "postgres": {"status": "ok"}}}


class Answers(BaseHTTPRequestHandler):
    """/healthz is well, /readyz is not, and /metrics is no JSON."""

    def do_GET(self) -> None:
        status, body = {
            "/healthz": (200, b"{}"),
            "/readyz": (503, json.dumps(UNREADY).encode()),
        }.get(self.path, (404, b"[1]"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name is the base class's
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("", 0, ""),
        ("/healthz", 0, ""),
        ("/readyz", 1, "/readyz says 503: redis failing\n"),
        ("/metrics", 1, "/metrics says 404\n"),
    ],
)
def test_the_exit_code_is_the_answer(
    address: str, path: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--quick", address + path]) == code
    assert capsys.readouterr().err.endswith(said)


def test_nobody_there_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--quick", f"http://127.0.0.1:{free_port(0)}/healthz"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_something_that_is_no_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--quick", "nonsense"]) == 2
    assert "nonsense is not an http address" in capsys.readouterr().err
