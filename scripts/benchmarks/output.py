"""Output: bytes a second from components to the sink, every line checked, beside a C program as the limit.

What is measured, and what is fair:
- Producers are started first and wait; the time runs from the instant they are let go, once the runner is quiet, to the
  arrival of the last payload line at the sink. Start-up and shutdown are not in it.
- A sink in C checks content, order and prefix of every line, and is the same for all. It takes part of one of the
  machine's cores from all of them alike.
- CPU is that of the runner's own processes, its supervisor and helpers, over the same time; producers and sink are not
  in it. It is what getrusage tells (utime + stime), read for each process, because RUSAGE_CHILDREN would bring the
  producers in. Bytes are those that the producers wrote.
- Each contender moves as much as it can in about one second, found out by a first run that is not counted. In every
  turn all contenders run, and ratios are between those of one turn; the table shows their medians.
- orchestrate and C put ptys under the components, honcho and `airflow standalone` pipes, which move several times as
  much; `C, pipes` is the limit for those, and for orchestrate with `tty = false`.
- A pty as sink is a terminal that is read as fast as it goes: there, too, every line has to come.
"""

import json
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import logger, processes, report
from benchmarks.contenders import Component, Contender, limit, orchestrates, rivals, standalone_alike
from benchmarks.flow import Gate, Sink
from benchmarks.report import Column, Row
from benchmarks.running import PATIENCE, Run, Settings
from benchmarks.turns import interleaved
from benchmarks.workspace import Workspace

SECONDS = 1.0  # of one measurement
FIRST_BYTES = 400_000  # of the run that finds out the speed
MOST_BYTES = 400_000_000
QUICK_BYTES = 100_000

COLUMNS = (
    Column("case", "lines"),
    Column("sink", "sink"),
    Column("contender", "contender"),
    Column("speed", "MB/s", ".1f"),
    Column("ratio", "of C", ".2f"),
    Column("cpu", "CPU s/GB", ".1f"),
    Column("cpu_ratio", "of C", ".2f"),
    Column("wrong", "wrong lines", "d"),
)


@dataclass(frozen=True)
class Case:
    """`count` producers of lines of `length` bytes, end included."""

    name: str
    sink: str = "pipe"
    kind: str = "plain"
    length: int = 100
    count: int = 1
    program: str = "flood"
    head: str = ""
    options: tuple[str, ...] = ()
    tty: bool = True
    with_pipes: bool = field(default=False, compare=False)

    @property
    def line_bytes(self) -> int:
        """What one line has when the producer writes it."""
        return len(self.head) + self.length

    @property
    def components(self) -> list[str]:
        """The names of the producers; the n-th has the n-th letter as id."""
        return [f"flood-{chr(ord('a') + number)}" for number in range(self.count)]

    @property
    def keeps_colors(self) -> bool:
        """Whether escapes reach the sink through everybody."""
        return self.sink == "pty" or bool(self.options)


ALWAYS = ("--color", "always")
CASES = (
    Case("100 bytes", with_pipes=True),
    Case("100 bytes, 8 at once", count=8, with_pipes=True),
    Case("colored", kind="colored"),
    Case("colored, kept", kind="colored", options=ALWAYS),
    Case("Python logger", program="logger.py", head=logger.HEAD),
    Case("100 bytes, tty = false", tty=False),
    Case("4 KB", length=4096),
    Case("20 bytes", length=20),
    Case("100 bytes", sink="file"),
    Case("100 bytes", sink="pty"),
    Case("100 bytes, 8 at once", sink="pty", count=8),
    Case("colored", sink="pty", kind="colored"),
)


@dataclass(frozen=True)
class Figures:
    """One measurement: payload bytes, seconds, CPU seconds, and what the sink counted."""

    size: int
    seconds: float
    cpu: float
    counts: dict[str, Any]

    @property
    def speed(self) -> float:
        """MB of 10^6 bytes a second."""
        return self.size / self.seconds / 1e6

    @property
    def cpu_per_gb(self) -> float:
        """CPU seconds for 10^9 bytes."""
        return self.cpu / self.size * 1e9


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each case and contender."""
    rows: list[Row] = []
    for case in CASES:
        if settings.leaves_out(f"{case.name} into a {case.sink}"):
            continue
        print(f"bench: output: {case.name} into a {case.sink}", file=sys.stderr, flush=True)
        rows += _rows(case, settings, space)
    return rows


def _rows(case: Case, settings: Settings, space: Workspace) -> list[Row]:
    entrants = _contenders(case, space)
    lines = {c.name: _suitable_lines(case, c, settings, space) for c in entrants}
    samples = interleaved(entrants, settings.repetitions(7), lambda c: relay(case, c, lines[c.name], space))
    return [_row(case, contender, samples[contender.name], samples[entrants[0].name]) for contender in entrants]


def _contenders(case: Case, space: Workspace) -> list[Contender]:
    """Return the limit first: figures are compared with its."""
    options = (*case.options, *(() if case.tty else ("--no-tty", ",".join(case.components))))
    return [
        *([limit(space)] if case.tty else []),
        *([limit(space, pipes=True)] if case.with_pipes or not case.tty else []),
        *orchestrates(*options, strips_colors=not case.keeps_colors),
        *rivals(*options, strips_colors=not case.keeps_colors),
        standalone_alike(),
    ]


def _suitable_lines(case: Case, contender: Contender, settings: Settings, space: Workspace) -> int:
    """Return how many lines each producer should write, so that one measurement takes about SECONDS."""
    line = case.line_bytes * case.count
    size = QUICK_BYTES if settings.quick else FIRST_BYTES
    while not settings.quick:
        try:
            figures = relay(case, contender, size // line + 1, space)
        finally:
            processes.end_strays()
        enough = figures.seconds >= SECONDS / 4
        size = min(int(size * SECONDS / figures.seconds), MOST_BYTES, size * 20)
        if enough or size == MOST_BYTES:
            break
    return size // line + 1


def relay(case: Case, contender: Contender, lines: int, space: Workspace) -> Figures:
    """Run the case's producers, `lines` each, under a contender, and measure until the last line is at the sink."""
    directory = space.new_directory()
    names = case.components
    sink_command = _sink_command(case, contender, names, lines, space)
    with Gate(directory) as gate, Sink(sink_command, case.sink, directory) as sink:
        components = [Component(name, _producer_command(case, gate, name[-1], lines, space)) for name in names]
        with Run(contender, components, space, sink.stdout_fd) as run:
            sink.let_go()
            gate.wait_ready(case.count, run)
            own = run.own()
            processes.wait_quiet(own)
            cpu_before = processes.cpu_time(own)
            began = gate.open()
            if not sink.wait_complete(PATIENCE):
                raise run.failure(f"{case.name} into a {case.sink}: not all lines have come")
            cpu = processes.cpu_time(own) - cpu_before
        *_, counts_text = sink.finish()
        counts = json.loads(counts_text)
    return Figures(lines * case.line_bytes * case.count, counts["last"] - began, cpu, counts)


def _producer_command(case: Case, gate: Gate, id_: str, lines: int, space: Workspace) -> str:
    program = space.program(case.program)
    interpreter = f"{shlex.quote(sys.executable)} -S -E " if program.suffix == ".py" else ""
    return f"exec {interpreter}{program} {gate.arguments} {id_} {case.kind} {case.length} {lines}"


def _sink_command(case: Case, contender: Contender, names: list[str], lines: int, space: Workspace) -> list[str | Path]:
    strips = case.kind == "colored" and contender.strips_colors
    kind = "stripped" if strips else case.kind
    prefixes = [contender.prefix(name) + case.head for name in names]
    return [space.program("sink"), kind, str(case.length), str(lines), contender.own, *prefixes]


def _row(case: Case, contender: Contender, figures: list[Figures], limits: list[Figures]) -> Row:
    return {
        "case": case.name,
        "sink": case.sink,
        "contender": contender.name,
        "speed": report.median(f.speed for f in figures),
        "ratio": report.paired_ratio([f.speed for f in figures], [f.speed for f in limits]),
        "cpu": report.median(f.cpu_per_gb for f in figures),
        "cpu_ratio": report.paired_ratio([f.cpu_per_gb for f in figures], [f.cpu_per_gb for f in limits]),
        "wrong": sum(_wrong(f.counts) for f in figures),
        "samples": [{"bytes": f.size, "seconds": f.seconds, "cpu_seconds": f.cpu, "counts": f.counts} for f in figures],
    }


def _wrong(counts: dict[str, Any]) -> int:
    return sum(counts[kind] for kind in ("mangled", "disordered", "unprefixed", "missing"))
