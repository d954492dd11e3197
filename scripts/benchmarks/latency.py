"""Latency: ms from a component's write to the return of the read that brings the line to the screen.

Once with nothing else going on, once beside a component that floods, both into a pipe; and beside a flood on a terminal
(a pty) that is read as fast as it goes. On few cores the scheduler has its share in these; the C program shows how
large that is. A line that has not come when the patience ends counts as late, and so as slower than all others. `lost`
are the flood's lines that are missing on the screen.
"""

import math
from dataclasses import dataclass

from benchmarks import processes, report
from benchmarks.contenders import Component, Contender, limit, orchestrates, rivals, standalone_alike
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
    Column("lost", "lost", "d"),
)


CASES = (("quiet", "pipe", False), ("beside a flood", "pipe", True), ("beside a flood, on a terminal", "pty", True))


@dataclass(frozen=True)
class Figures:
    """The delay of each line in ms, sorted, infinite for those that did not come in time; and how many lines of the
    flood were missing until the last of them, None if it did not come."""

    delays: list[float]
    lost: int | None


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each case and contender; percentiles are medians over the runs."""
    lines = 20 if settings.quick else LINES
    entrants = [limit(space), orchestrates()[0], *rivals(), standalone_alike()]
    rows: list[Row] = []
    for case, sink, beside_flood in CASES:
        if settings.leaves_out(case):
            continue

        def figures(contender: Contender, sink: str = sink, beside_flood: bool = beside_flood) -> Figures:
            return _figures(contender, sink, beside_flood, lines, space)

        samples = interleaved(entrants, settings.repetitions(5), figures)
        rows += [_row(case, name, runs) for name, runs in samples.items()]
    return rows


def _figures(contender: Contender, kind: str, beside_flood: bool, lines: int, space: Workspace) -> Figures:
    directory = space.new_directory()
    with Gate(directory) as gate, Sink([space.program("arrive"), str(lines)], kind, directory) as sink:
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
    came = sorted(int(word) / 1e6 for word in said if word.isdigit())[:lines]
    lost = next((int(word.split()[1]) for word in said if word.startswith("complete")), None)
    return Figures(came + [math.inf] * (lines - len(came)), lost)


def _row(case: str, name: str, runs: list[Figures]) -> Row:
    delays = [figures.delays for figures in runs]
    counted = [figures.lost for figures in runs if figures.lost is not None]
    return {
        "case": case,
        "contender": name,
        "p50": _percentile(delays, 0.50),
        "p99": _percentile(delays, 0.99),
        "lines": sum(map(len, delays)),
        "late": sum(math.isinf(delay) for one in delays for delay in one),
        "lost": sum(counted) if counted else None,
        "samples": [[delay for delay in one if not math.isinf(delay)] for one in delays],
    }


def _percentile(runs: list[list[float]], part: float) -> float | None:
    value = report.median(delays[math.ceil(part * len(delays)) - 1] for delays in runs)
    return None if value is None or math.isinf(value) else value
