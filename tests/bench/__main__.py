"""`python3 dev.py bench`: one interleaved run of every contender, on pinned cores, told in ratios."""

import argparse
import os
import pstats
import signal
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import orjson
import uvloop

from tests.bench.environments import python_of
from tests.bench.lineup import CONTENDERS, GATEWAY, Ground, Series, series_of
from tests.bench.load import drive, probe
from tests.bench.processes import Server
from tests.bench.report import Measured, Results, as_json, goals, goals_table, round_of, workload_table
from tests.bench.upstream import Upstream
from tests.bench.workloads import WORKLOADS, Checker
from tests.tools import MissingError

FIRST_WARM_S = 0.6
WARM_S = 0.25
LOAD_IS_THE_LIMIT = 0.9


@dataclass(frozen=True)
class Plan:
    workloads: list[str]
    contenders: list[str]
    rounds: int
    window_s: float
    connections: int
    profile: Path | None
    server_core: int
    load_core: int


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: under 90 s, and noisier")
    parser.add_argument("--rounds", type=int, help="default 5, or 3 with --quick")
    parser.add_argument("--seconds", type=float, help="of each window; default 1.6, or 0.5 with --quick")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default=",".join(CONTENDERS), help=f"of {','.join(CONTENDERS)}")
    parser.add_argument("--workload", default=",".join(WORKLOADS), help=f"of {','.join(WORKLOADS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to this file")
    parser.add_argument("--check", action="store_true", help="fail when a required goal is missed or not measured")
    parser.add_argument("--allow-missing", action="store_true", help="succeed without a contender that cannot run")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="only the gateway, under cProfile")
    return parser.parse_args(given)


def chosen(given: str, known: Iterable[str]) -> list[str]:
    wanted = given.split(",")
    if unknown := set(wanted) - set(known):
        raise SystemExit(f"bench: unknown {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    return [name for name in known if name in wanted]


def plan_of(given: argparse.Namespace) -> Plan:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        say("there is only one core: server and load share it, so only CPU per request means anything")
    return Plan(
        workloads=chosen(given.workload, WORKLOADS),
        contenders=[GATEWAY] if given.profile else chosen(given.only, CONTENDERS),
        rounds=given.rounds or (3 if given.quick else 5),
        window_s=given.seconds or (0.5 if given.quick else 1.6),
        connections=given.connections,
        profile=given.profile and given.profile.resolve(),
        server_core=cores[0],
        load_core=cores[-1],
    )


class Bench:
    def __init__(self, plan: Plan, directory: Path) -> None:
        self.plan = plan
        self.directory = directory
        self.upstream = Upstream()
        self.pythons: dict[str, Path] = {}
        self.servers: dict[str, Server] = {}
        self.results = Results([], {})

    def prepare(self) -> None:
        for name in self.plan.contenders:
            try:
                self.pythons[name] = python_of(name)
            except MissingError as problem:
                self.lose(name, str(problem))

    def lose(self, name: str, reason: str) -> None:
        say(f"WITHOUT {name}: {reason}")
        self.results.missing[name] = reason

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            upstream = await self.upstream.start()
            stack.callback(upstream.close)
            for name in self.pythons:
                await self.start(name, stack)
            for workload in self.plan.workloads:
                await self.measure(workload)
            if GATEWAY in self.servers:
                self.results.gateway_log_lines = self.servers[GATEWAY].log.read_bytes().count(b"\n")

    async def start(self, name: str, stack: AsyncExitStack) -> None:
        plan = self.plan
        ground = Ground(self.upstream.url, plan.server_core, self.directory, self.pythons, plan.profile)
        say(f"starting {name}")
        try:
            self.servers[name] = await stack.enter_async_context(ground.start(name))
        except MissingError as problem:
            self.lose(name, str(problem))

    async def measure(self, workload: str) -> None:
        """Every series once, then every series again: what disturbs the machine disturbs all alike."""
        taking_part = [one for name in self.servers for one in series_of(workload, name)]
        measured = [Measured(one) for one in taking_part if await self.can(one)]
        self.results.measured += measured
        for number in range(self.plan.rounds):
            say(f"{workload}, round {number + 1} of {self.plan.rounds}")
            for one in measured:
                await self.window(one, FIRST_WARM_S if number == 0 else WARM_S)

    async def can(self, series: Series) -> bool:
        checker = Checker()
        try:
            await probe(self.servers[series.contender].port, series.exchange, checker)
        except OSError as problem:
            checker.reject(str(problem))
        if checker.wrong:
            self.lose(series.label_in_workload, f"it cannot answer: {checker.example}")
        return not checker.wrong

    async def window(self, measured: Measured, warm_s: float) -> None:
        series = measured.series
        if series.label_in_workload in self.results.missing:
            return
        server, checker, plan = self.servers[series.contender], series.checker, self.plan
        asked, forwarded = self.upstream.devices_asked, checker.forwarded
        try:
            window = await drive(
                server.port,
                series.exchange,
                checker,
                server.cpu_s,
                connections=plan.connections,
                warm_s=warm_s,
                window_s=plan.window_s,
            )
            memory_mb = server.memory_mb()
        except (OSError, TimeoutError) as problem:
            self.drop(measured, f"{problem!r}; {server.last_words()}")
            return
        if not window.latencies_s:
            self.drop(measured, "it answered nothing in a whole window")
            return
        asked, forwarded = self.upstream.devices_asked - asked, checker.forwarded - forwarded
        measured.rounds.append(round_of(window, asked, forwarded, memory_mb))

    def drop(self, measured: Measured, reason: str) -> None:
        """Without all of its rounds it cannot be compared."""
        measured.rounds.clear()
        self.lose(measured.series.label_in_workload, reason)


def tell(results: Results, workloads: list[str]) -> None:
    print("\n\n".join([*(workload_table(results, workload) for workload in workloads), goals_table(results)]))
    for one in results.measured:
        if one.series.checker.wrong:
            print(f"\nWRONG: {one.series.checker.wrong} answers of {one.series.label}: {one.series.checker.example}")
        if one.rounds and one.typical(lambda seen: seen.load_busy) > LOAD_IS_THE_LIMIT:
            print(
                f"\nNote: the load generator was the limit for {one.series.label_in_workload}: CPU holds, rate does not"
            )
    for name, reason in results.missing.items():
        print(f"\nMISSING: {name}: {reason}")


def exit_code(results: Results, given: argparse.Namespace) -> int:
    """Only the others may be missing, and then only their goals may stay unmeasured."""
    absent = bool(results.missing) and not (given.allow_missing and results.has_gateway)
    judged = [goal for goal in goals(results) if goal.required and not (goal.value is None and given.allow_missing)]
    missed = given.check and not all(goal.reaches(goal.must) for goal in judged)
    return int(absent or missed or results.wrong > 0)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def main(argv: list[str]) -> int:
    if sys.platform != "linux":
        raise SystemExit("bench: needs Linux, whose /proc and core pinning it measures with")
    given = arguments(argv)
    plan = plan_of(given)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        bench = Bench(plan, Path(directory))
        bench.prepare()
        os.sched_setaffinity(0, {plan.load_core})  # PostgreSQL and Redis inherit it
        uvloop.run(bench.run())
    tell(bench.results, plan.workloads)
    if given.json:
        given.json.write_bytes(orjson.dumps(as_json(bench.results), option=orjson.OPT_INDENT_2))
    if plan.profile:
        pstats.Stats(str(plan.profile)).sort_stats("tottime").print_stats(30)
    return exit_code(bench.results, given)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
