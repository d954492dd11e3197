"""Shutdown: seconds from SIGTERM to the exit of the runner, over components that end at once when told to."""

from benchmarks import timing
from benchmarks.report import Row
from benchmarks.running import Settings
from benchmarks.workspace import Workspace

COUNT = 50
COLUMNS = timing.COLUMNS


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return the one row."""
    return [timing.compare(3 if settings.quick else COUNT, lambda run, _: run.stop(), settings, space)]
