"""Latency: ms from a component's write to the return of the read that brings the line to the screen, a pipe.

Once with nothing else going on, once beside a component that floods. On few cores the scheduler has its share in the
second; the C program shows how large that is. A line that has not come when the patience ends counts as late, and so
as slower than all others.
"""

import math

from benchmarks import processes, report
from benchmarks.contenders import Component, Contender, honchos, limit, orchestrates, standalone_alike
from benchmarks.flow import Gate, Sink
from benchmarks.report import Column, Row
from benchmarks.running import Run, Settings
from benchmarks.turns import interleaved
from benchmarks.workspace import Workspace

LINES = 500
INTERVAL = 0.005  # seconds between two lines, on average
PATIENCE = 5.0  # seconds for the last of them to arrive

COLUMNS = (
    Column("case", "case"),
    Column("contender", "contender"),
    Column("p50", "p50 ms", ".3f"),
    Column("p99", "p99 ms", ".3f"),
    Column("lines", "lines", "d"),
    Column("late", "late", "d"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each case and contender; percentiles are medians over the runs."""
    lines = 20 if settings.quick else LINES
    entrants = [limit(space), orchestrates()[0], *honchos(), standalone_alike()]
    rows: list[Row] = []
    for case, beside_flood in (("quiet", False), ("beside a flood", True)):
        if settings.leaves_out(case):
            continue

        def delays(contender: Contender, beside_flood: bool = beside_flood) -> list[float]:
            return _delays(contender, beside_flood, lines, space)

        samples = interleaved(entrants, settings.repetitions(5), delays)
        rows += [_row(case, name, runs) for name, runs in samples.items()]
    return rows


def _delays(contender: Contender, beside_flood: bool, lines: int, space: Workspace) -> list[float]:
    """Return the delay of each line in ms, sorted; infinite for those that did not come in time."""
    directory = space.new_directory()
    with Gate(directory) as gate, Sink([space.program("arrive"), str(lines)], "pipe", directory) as sink:
        microseconds = round(INTERVAL * 1e6)
        components = [
            Component("stamp", f"exec {space.program('stamp')} {gate.arguments} {lines} {microseconds}"),
            Component("flood", f"exec {space.program('flood')} {gate.arguments} a plain 100 0"),
        ][: 1 + beside_flood]
        with Run(contender, components, space, sink.stdout_fd) as run:
            sink.let_go()
            gate.wait_ready(len(components), run)
            processes.wait_quiet(run.own())
            gate.open()
            gate.wait_done(1, run)
            sink.wait_complete(PATIENCE)
        said = sink.finish()
    came = sorted(int(word) / 1e6 for word in said[:lines] if word != "complete")
    return came + [math.inf] * (lines - len(came))


def _row(case: str, name: str, runs: list[list[float]]) -> Row:
    return {
        "case": case,
        "contender": name,
        "p50": _percentile(runs, 0.50),
        "p99": _percentile(runs, 0.99),
        "lines": sum(map(len, runs)),
        "late": sum(math.isinf(delay) for delays in runs for delay in delays),
        "samples": [[delay for delay in delays if not math.isinf(delay)] for delays in runs],
    }


def _percentile(runs: list[list[float]], part: float) -> float | None:
    value = report.median(delays[math.ceil(part * len(delays)) - 1] for delays in runs)
    return None if value is None or math.isinf(value) else value
