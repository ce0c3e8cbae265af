"""A headless Chromium that opens one page and says what became of it."""

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.browser import COMMAND

HOST = Path(__file__).with_name("host.html").read_text()
REPORT = re.compile(r'id="report">([^<]+)<')
WITHIN_S = 60.0


def opened(folder: Path, scenario: dict[str, Any], *, picture: Path | None = None, width: int = 720) -> dict[str, Any]:
    """What the host heard and saw of the page in the scenario."""
    page = folder / "host.html"
    page.write_text(HOST.replace("SCENARIO", json.dumps(scenario).replace("<", "\\u003c")))
    words = [
        *COMMAND,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},900",
        "--virtual-time-budget=15000",
        *([f"--screenshot={picture}"] if picture else ["--dump-dom"]),
        page.as_uri(),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=WITHIN_S, check=True)
    if picture:
        return {}
    found = REPORT.search(done.stdout)
    assert found, done.stdout[-2_000:] + done.stderr[-2_000:]
    return json.loads(base64.b64decode(found[1]))
