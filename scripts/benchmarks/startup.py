"""Start-up: seconds from exec to the first line of the last component, read from a pipe."""

from benchmarks import timing
from benchmarks.report import Row
from benchmarks.running import Settings
from benchmarks.workspace import Workspace

COUNTS = (1, 10, 50, 200, 500, 1000)
COLUMNS = timing.COLUMNS


def measure(settings: Settings, space: Workspace) -> list[Row]:
    """Return a row for each number of components."""
    counts = (1, 3) if settings.quick else COUNTS
    return [timing.compare(count, lambda _, until_up: until_up, settings, space) for count in counts]
