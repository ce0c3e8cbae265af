"""Medians, ratios and verdicts, as tables for a reader and as numbers for a file."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import median

from tests.bench.lineup import EVERY_TOOL, FASTAPI_MCP, FASTMCP, GATEWAY, PASSTHROUGH, Series
from tests.bench.load import Window
from tests.bench.workloads import LEGACY, MODERN, WORKLOADS

Row = list[str]


@dataclass(frozen=True)
class Round:
    """What one window of one series came to."""

    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    server_busy: float
    load_busy: float
    requests: int
    upstream_per_request: float
    memory_mb: float


def round_of(window: Window, upstream_asked: int, asked: int, memory_mb: float) -> Round:
    ordered = sorted(window.latencies_s)
    requests = max(window.requests, 1)
    return Round(
        cpu_us=window.cpu_s / requests * 1e6,
        rate=window.requests / window.seconds,
        p50_ms=quantile(ordered, 0.50) * 1e3,
        p99_ms=quantile(ordered, 0.99) * 1e3,
        server_busy=window.cpu_s / window.seconds,
        load_busy=window.load_cpu_s / window.seconds,
        requests=window.requests,
        upstream_per_request=upstream_asked / max(asked, 1),
        memory_mb=memory_mb,
    )


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


@dataclass
class Measured:
    series: Series
    rounds: list[Round] = field(default_factory=list[Round])

    def typical(self, what: Callable[[Round], float]) -> float:
        return median(map(what, self.rounds))


@dataclass
class Results:
    measured: list[Measured]
    missing: dict[str, str]
    gateway_log_lines: int = 0

    def find(self, workload: str, contender: str, protocol: str = LEGACY, variant: str = "") -> Measured | None:
        wanted = (workload, contender, "" if workload == "W3" else protocol, variant)
        for one in self.measured:
            series = one.series
            if (series.workload, series.contender, series.protocol, series.variant) == wanted and one.rounds:
                return one
        return None

    @property
    def has_gateway(self) -> bool:
        return not any(name.startswith(GATEWAY) for name in self.missing)

    @property
    def wrong(self) -> int:
        return sum(one.series.checker.wrong for one in self.measured)


def ratio(ours: Measured | None, theirs: Measured | None, what: Callable[[Round], float]) -> float | None:
    """The median over rounds of ours against theirs in the same round: what slows the machine slows both."""
    if ours is None or theirs is None:
        return None
    return median(what(mine) / what(other) for mine, other in zip(ours.rounds, theirs.rounds, strict=True))


@dataclass(frozen=True)
class Goal:
    what: str
    value: float | None
    must: float
    aim: float | None
    show: Callable[[float], str]
    more_is_better: bool = True
    required: bool = False  # by --check

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.aim is not None and self.reaches(self.aim):
            return "aim reached"
        return "reached" if self.reaches(self.must) else "MISSED"

    def reaches(self, level: float) -> bool:
        if self.value is None:
            return False
        return self.value >= level if self.more_is_better else self.value <= level

    @property
    def row(self) -> Row:
        sign = ">=" if self.more_is_better else "<="
        levels = ["-" if level is None else f"{sign} {self.show(level)}" for level in (self.must, self.aim)]
        return [f"{self.what} *" if self.required else self.what, shown(self.value, self.show), *levels, self.verdict]


def cpu(one: Round) -> float:
    return one.cpu_us


def rate(one: Round) -> float:
    return one.rate


def times(value: float) -> str:
    return f"{value:.1f}x"


def fraction(value: float) -> str:
    return f"1/{1 / value:.1f}"


def percent(value: float) -> str:
    return f"{value:.0%}"


def megabytes(value: float) -> str:
    return f"{value:.0f} MB"


def number(value: float) -> str:
    return f"{value:.3g}"


def goals(results: Results) -> list[Goal]:
    return [*cpu_goals(results), *rate_goals(results), *own_goals(results)]


def cpu_goals(results: Results) -> Iterator[Goal]:
    find = results.find
    plain = ratio(find("W1", GATEWAY), find("W1", FASTAPI_MCP), cpu)
    yield Goal(
        f"tools/call CPU against {FASTAPI_MCP}", plain, 1 / 4, None, fraction, more_is_better=False, required=True
    )
    for protocol in (LEGACY, MODERN):
        value = ratio(find("W1", GATEWAY, protocol), find("W1", FASTMCP, protocol), cpu)
        what = f"tools/call CPU against {FASTMCP}, {protocol}"
        yield Goal(what, value, 1 / 3, None, fraction, more_is_better=False, required=True)
        yield Goal(f"{what}, later", value, 1 / 5, 1 / 12, fraction, more_is_better=False)


def rate_goals(results: Results) -> Iterator[Goal]:
    find = results.find

    def against(workload: str, contender: str, protocol: str = LEGACY, variant: str = "") -> float | None:
        return ratio(find(workload, GATEWAY, protocol, variant), find(workload, contender), rate)

    for protocol in (LEGACY, MODERN):
        value = against("W1", PASSTHROUGH, protocol)
        yield Goal(f"tools/call rate against {PASSTHROUGH}, {protocol}", value, 0.4, 0.8, percent)
    yield Goal(f"tools/call rate against {FASTAPI_MCP}", against("W1", FASTAPI_MCP), 8, 15, times)
    yield Goal(f"tools/list rate against {FASTAPI_MCP}, own lists", against("W2", FASTAPI_MCP), 12, 40, times)
    every = against("W2", FASTAPI_MCP, LEGACY, EVERY_TOOL)
    yield Goal(f"tools/list rate against {FASTAPI_MCP}, {EVERY_TOOL}", every, 12, 40, times)
    yield Goal(f"REST GET rate against {FASTAPI_MCP}", against("W3", FASTAPI_MCP), 4, 7, times)
    yield Goal(f"handshake and call rate against {FASTAPI_MCP}", against("W4", FASTAPI_MCP), 7, 15, times)


def own_goals(results: Results) -> Iterator[Goal]:
    for protocol in (LEGACY, MODERN):
        value = spread(results.find("W1", GATEWAY, protocol))
        yield Goal(f"tools/call p99 / p50, {protocol}", value, 4, 2.5, times, more_is_better=False)
    yield Goal("memory of the gateway", most_memory(results), 120, 100, megabytes, more_is_better=False)
    yield Goal("upstream GETs per forwarded request", fewest_upstream(results), 1, None, number, required=True)
    yield Goal("log lines per request", log_lines(results), 1, None, number, required=True)
    yield Goal("wrong answers", results.wrong, 0, None, number, more_is_better=False, required=True)


def spread(one: Measured | None) -> float | None:
    return one and one.typical(lambda seen: seen.p99_ms / seen.p50_ms)


def ours(results: Results) -> list[Measured]:
    return [one for one in results.measured if one.series.contender == GATEWAY and one.rounds]


def most_memory(results: Results) -> float | None:
    return max((seen.memory_mb for one in ours(results) for seen in one.rounds), default=None)


def log_lines(results: Results) -> float | None:
    judged = sum(one.series.checker.judged for one in ours(results))
    return results.gateway_log_lines / judged if judged else None


def fewest_upstream(results: Results) -> float | None:
    asking = [one for one in ours(results) if one.series.workload != "W2"]
    return min((seen.upstream_per_request for one in asking for seen in one.rounds), default=None)


HEADER = ["", "CPU us", "req/s", "p50 ms", "p99 ms", "MB", "busy", "load", "requests", "wrong", "CPU/ours", "rate/ours"]


def workload_table(results: Results, workload: str) -> str:
    rows = [row_of(results, one) for one in results.measured if one.series.workload == workload]
    return f"{workload}: {WORKLOADS[workload]}\n{table([HEADER, *rows])}"


def row_of(results: Results, one: Measured) -> Row:
    series = one.series
    label = series.label
    if series.checker.list_tools:
        label += f" ({series.checker.list_tools} tools, {series.checker.list_bytes:,} B)"
    if not one.rounds:
        return [label, "not measured, see below"]
    reference = results.find(series.workload, GATEWAY, series.protocol)
    return [
        label,
        f"{one.typical(cpu):,.0f}",
        f"{one.typical(rate):,.0f}",
        f"{one.typical(lambda seen: seen.p50_ms):.1f}",
        f"{one.typical(lambda seen: seen.p99_ms):.1f}",
        f"{one.rounds[-1].memory_mb:.0f}",
        f"{one.typical(lambda seen: seen.server_busy):.0%}",
        f"{one.typical(lambda seen: seen.load_busy):.0%}",
        f"{sum(seen.requests for seen in one.rounds):,}",
        str(series.checker.wrong),
        shown(ratio(one, reference, cpu), times),
        shown(ratio(one, reference, rate), percent),
    ]


def shown(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)


def goals_table(results: Results) -> str:
    rows = [goal.row for goal in goals(results)]
    note = "* required by --check; ratios are medians over rounds of ours against theirs in the same round"
    return f"Goals\n{table([['', 'measured', 'must', 'aim', 'verdict'], *rows])}\n{note}"


def table(rows: list[Row]) -> str:
    columns = max(map(len, rows))
    padded = [row + [""] * (columns - len(row)) for row in rows]
    # A row that only has a remark does not widen its column.
    full = [row for row in rows if len(row) == columns]
    widths = [max(len(row[column]) for row in full) for column in range(columns)]
    widths[0] = max(len(row[0]) for row in padded)
    return "\n".join("  " + "  ".join(cell(row, widths, at) for at in range(columns)).rstrip() for row in padded)


def cell(row: Row, widths: list[int], at: int) -> str:
    return row[at].ljust(widths[at]) if at == 0 else row[at].rjust(widths[at])


def as_json(results: Results) -> dict[str, object]:
    return {
        "series": [
            {
                "workload": one.series.workload,
                "contender": one.series.contender,
                "protocol": one.series.protocol,
                "variant": one.series.variant,
                "wrong": one.series.checker.wrong,
                "example": one.series.checker.example,
                "list_tools": one.series.checker.list_tools,
                "list_bytes": one.series.checker.list_bytes,
                "rounds": [asdict(seen) for seen in one.rounds],
            }
            for one in results.measured
        ],
        "goals": [
            {"goal": goal.what, "measured": goal.value, "must": goal.must, "aim": goal.aim, "verdict": goal.verdict}
            for goal in goals(results)
        ],
        "missing": results.missing,
    }
