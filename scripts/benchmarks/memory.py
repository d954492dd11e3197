"""Memory: what each of a runner's processes has for itself alone, MB of 10^6 bytes, while its components are silent.

What several of them share is in the last figure only, once (the sum of their proportional shares).
"""

import time
from statistics import median

from benchmarks import processes, report
from benchmarks.contenders import Contender, orchestrates, rivals
from benchmarks.report import Column, Row
from benchmarks.running import Settings, start_silent
from benchmarks.turns import interleaved
from benchmarks.workspace import Workspace

COUNT = 50
MB = 1e6
COLUMNS = (
    Column("contender", "contender"),
    Column("components", "components", "d"),
    Column("guardian", "guardian MB, median", ".2f"),
    Column("guardian_max", "max", ".2f"),
    Column("supervisor", "supervisor MB", ".2f"),
    Column("together", "all of them MB", ".1f"),
)


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each contender; honcho's process over each component stands for its guardian."""
    count = 3 if settings.quick else COUNT

    def sizes(contender: Contender) -> tuple[list[float], float]:
        run, _ = start_silent(contender, count, space)
        with run:
            time.sleep(0.2 if settings.quick else 1.0)  # for what is still done after the last line
            own = run.own()
            shares = sum(processes.proportional_memory(pid) for pid in own)
            return [processes.private_memory(pid) / MB for pid in own], shares / MB

    samples = interleaved([orchestrates()[0], *rivals()], settings.repetitions(3), sizes)
    return [_row(name, count, runs) for name, runs in samples.items()]


def _row(name: str, count: int, runs: list[tuple[list[float], float]]) -> Row:
    return {
        "contender": name,
        "components": count,
        "guardian": report.median(median(guardians) for (_, *guardians), _ in runs),
        "guardian_max": report.median(max(guardians) for (_, *guardians), _ in runs),
        "supervisor": report.median(supervisor for (supervisor, *_), _ in runs),
        "together": report.median(together for _, together in runs),
        "samples": runs,
    }
