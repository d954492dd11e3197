"""Shutdown: seconds from SIGTERM to the exit of the runner, over components that end at once when told to.

Infinite where it does not end in time: honcho does not when the signal comes while it prints.
"""

import time

from benchmarks import timing
from benchmarks.report import Row
from benchmarks.running import Run, Settings
from benchmarks.workspace import Workspace

COUNT = 50
SETTLING = 0.3  # seconds between the last line and the signal
COLUMNS = timing.COLUMNS


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return the one row."""

    def duration(run: Run, _: float) -> float:
        time.sleep(SETTLING)
        return run.stop()

    return [timing.compare(3 if settings.quick else COUNT, duration, settings, space)]
