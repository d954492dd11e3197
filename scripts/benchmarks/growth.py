"""Growth: private memory of a runner's processes above idle, MB of 10^6 bytes, while eight components flood.

Once into a pipe that is read as fast as bytes come, once into one that nobody reads.
"""

import time

from benchmarks import processes, report
from benchmarks.contenders import Component, Contender, orchestrates, rivals, standalone_alike
from benchmarks.flow import Gate, Sink
from benchmarks.report import Column, Row
from benchmarks.running import Run, Settings
from benchmarks.turns import interleaved
from benchmarks.workspace import Workspace

FLOODS = 8
SECONDS = 3.0
INTERVAL = 0.05  # seconds between two looks
MB = 1e6

COLUMNS = (
    Column("case", "sink"),
    Column("contender", "contender"),
    Column("idle", "idle MB", ".1f"),
    Column("growth", "growth MB", ".1f"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each case and contender."""
    seconds = 0.3 if settings.quick else SECONDS
    rows: list[Row] = []
    for case, is_read in (("read", True), ("not read", False)):

        def sizes(contender: Contender, is_read: bool = is_read) -> list[float]:
            return _sizes(contender, is_read, seconds, space)

        entrants = [orchestrates()[0], *rivals(), standalone_alike()]
        samples = interleaved(entrants, settings.repetitions(3), sizes)
        rows += [
            {
                "case": case,
                "contender": name,
                "idle": report.median(idle for idle, *_ in runs),
                "growth": report.median(max(sizes) - sizes[0] for sizes in runs),
                "samples": runs,
            }
            for name, runs in samples.items()
        ]
    return rows


def _sizes(contender: Contender, is_read: bool, seconds: float, space: Workspace) -> list[float]:
    """Return the runner's memory in MB: idle, and then every INTERVAL while the floods go on."""
    directory = space.new_directory()
    command = [space.program("arrive"), "0"]
    with Gate(directory) as gate, Sink(command, "pipe", directory, stopped=not is_read) as sink:
        flood = f"exec {space.program('flood')} {gate.arguments} a plain 100 0"
        with Run(contender, [Component(f"flood-{n}", flood) for n in range(FLOODS)], space, sink.stdout_fd) as run:
            sink.let_go()
            gate.wait_ready(FLOODS, run)
            own = run.own()
            processes.wait_quiet(own)
            sizes = [_memory(own)]
            gate.open()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(INTERVAL)
                sizes.append(_memory(own))
            sink.go_on()
    return sizes


def _memory(pids: list[int]) -> float:
    return sum(map(processes.private_memory, pids)) / MB
