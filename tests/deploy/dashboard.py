"""`dev.py dashboard FILE.png`: the dashboard's panels, drawn from the series of a stack to which things happen.

It is not Grafana that draws here. The queries, titles, units and places are those in deploy/grafana.
"""

import argparse
import asyncio
import html
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.browser import COMMAND, PROGRAM
from tests.deploy.check import MissingError
from tests.deploy.watched import Watched, load, panels, watched

CELL_W, CELL_H = 62, 30
COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300")
CALM_S, FAILING_S, SLOW_S, DEAD_S = 25, 12, 12, 12
STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 12px sans-serif; position: relative }
div { position: absolute; box-sizing: border-box; overflow: hidden }
.panel { background: #181b1f; border: 1px solid #2a2d33; padding: 6px 8px }
.row { font-size: 15px; padding: 8px }
b { font-weight: 500; display: block; height: 18px }
.value { font-size: 30px; text-align: center; padding-top: 18px; color: #73bf69 }
.legend { font-size: 10px; height: 26px; overflow: hidden; line-height: 13px }
.none { color: #6e7077; text-align: center; padding-top: 40px }
"""

Series = list[dict[str, Any]]


async def story(stack: Watched) -> float:
    """A calm while, a cloud that fails, one that is slow, and a worker that dies; says how long it took."""
    began = asyncio.get_running_loop().time()
    async with load(stack):
        await stack.submit(30)
        await asyncio.sleep(CALM_S)
        await stack.let_cloud_fail(kind="status", status=500, rate=0.5)
        await asyncio.sleep(FAILING_S)
        await stack.let_cloud_work()
        await stack.let_cloud_fail(kind="latency", seconds=1.0)
        await stack.submit(10)
        await asyncio.sleep(SLOW_S)
        await stack.let_cloud_work()
        os.kill(cast("dict[str, Any]", stack.service.facts["pids"])["worker"], signal.SIGKILL)
        await asyncio.sleep(DEAD_S)
    return asyncio.get_running_loop().time() - began


async def page(stack: Watched, seconds: float) -> str:
    """Every panel at its place."""
    parts: list[str] = []
    for panel in panels():
        place = panel["gridPos"]
        width, height = place["w"] * CELL_W - 8, place["h"] * CELL_H - 8
        box = f"left:{place['x'] * CELL_W}px;top:{place['y'] * CELL_H}px;width:{width}px;height:{height}px"
        title = html.escape(panel["title"])
        if panel["type"] == "row":
            parts.append(f'<div class="row" style="{box}">▾ {title}</div>')
            continue
        series = [
            one | {"legend": target.get("legendFormat", "")}
            for target in panel["targets"]
            for one in await stack.ask(target["expr"], None if panel["type"] != "timeseries" else seconds)
        ]
        drawn = drawing(panel, series, width - 16, height - 60) if series else '<p class="none">No data</p>'
        parts.append(f'<div class="panel" style="{box}"><b>{title}</b>{drawn}</div>')
    return f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>{"".join(parts)}'


def drawing(panel: dict[str, Any], series: Series, width: int, height: int) -> str:
    """A number, bars, or lines."""
    shown = unit(panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "none"))
    if panel["type"] == "stat":
        return f'<p class="value">{shown(float(series[0]["value"][1]))}</p>'
    if panel["type"] == "bargauge":
        rows = [f"{name_of(one)}: {shown(float(one['value'][1]))}" for one in series]
        return "<br>".join(map(html.escape, rows))
    return lines(series, width, height, shown)


def lines(series: Series, width: int, height: int, shown: Callable[[float], str]) -> str:
    """Lines over time, the scale from nothing to the most there was."""
    points = [[(float(at), float(value)) for at, value in one["values"]] for one in series]
    known = [(at, value) for line in points for at, value in line if math.isfinite(value)]
    if not known:
        return '<p class="none">No data</p>'
    first, last = min(at for at, _ in known), max(at for at, _ in known)
    most = max(value for _, value in known) or 1.0
    paths: list[str] = []
    for number, line in enumerate(points):
        spots = [
            f"{(at - first) / max(last - first, 1) * (width - 60) + 56:.1f},{height - value / most * (height - 14):.1f}"
            for at, value in line
            if math.isfinite(value)
        ]
        colour = COLOURS[number % len(COLOURS)]
        paths.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{" ".join(spots)}"/>')
    marks = "".join(
        f'<text x="0" y="{height - share * (height - 14) + 4:.0f}" fill="#8e8e9a" font-size="10">'
        f'{shown(share * most)}</text><line x1="56" x2="{width}" y1="{height - share * (height - 14):.0f}" '
        f'y2="{height - share * (height - 14):.0f}" stroke="#2a2d33"/>'
        for share in (0, 0.5, 1)
    )
    legend = " ".join(
        f'<span style="color:{COLOURS[number % len(COLOURS)]}">━</span> {html.escape(name_of(one))}'
        for number, one in enumerate(series)
    )
    return f'<svg width="{width}" height="{height + 6}">{marks}{"".join(paths)}</svg><p class="legend">{legend}</p>'


def name_of(one: dict[str, Any]) -> str:
    """A series by its legend, else by its labels."""
    labels: dict[str, str] = one["metric"]
    text: str = one["legend"]
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value).replace("{{ " + name + " }}", value)
    return text or ", ".join(value for name, value in labels.items() if name != "__name__")


def unit(name: str) -> Callable[[float], str]:
    """How Grafana writes a number of this unit, roughly."""

    def shown(value: float) -> str:
        if not math.isfinite(value):
            return "none"
        match name:
            case "percentunit":
                return f"{value:.1%}"
            case "bytes":
                return f"{value / 2**20:.0f} MiB"
            case "s":
                return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
            case _:
                return f"{value:.3g}"

    return shown


def draw(text: str, target: Path) -> None:
    """The page as a picture."""
    if PROGRAM is None:
        raise MissingError("there is no Chromium to draw with")
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "dashboard.html")
        file.write_text(text)
        size = f"--window-size={24 * CELL_W},{bottom * CELL_H}"
        subprocess.run(
            [*COMMAND, f"--user-data-dir={folder}/profile", size, f"--screenshot={target}", file.as_uri()],
            capture_output=True,
            check=True,
            timeout=120,
        )


async def make(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with watched(Path(folder)) as stack:
            seconds = await story(stack)
            text = await page(stack, seconds)
    await asyncio.to_thread(draw, text, target)


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py dashboard", description=__doc__)
    parser.add_argument("file", type=Path, help="the picture, such as docs/images/dashboard.png")
    target: Path = parser.parse_args().file.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(make(target))
    except MissingError as missing:
        print(f"dashboard: NOT RUN: {missing}", file=sys.stderr)
        return 3
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
