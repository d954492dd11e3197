"""When the runs of each instance began, kept beside its log: `logs --previous` shows the lines between the last two.

One line with a timestamp, as in the log, for each run. A file is bounded: of many runs the last ones are kept.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from orchestrator.output.log_file import STAMP_WIDTH, stamp
from orchestrator.runtime.home import write_private

ENDING = ".runs"
KEPT = 50  # runs, once there are more than SIZE holds
SIZE = 4096  # bytes
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def begin(directory: Path, instance: str) -> None:
    """Record that a run begins now. Ignore a failure: only `logs --previous` needs the record."""
    path = _path(directory, instance)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if path.exists() and path.stat().st_size > SIZE:
            new = path.with_name(f"{path.name}.new")
            write_private(new, b"".join(line + b"\n" for line in starts(directory, instance)[-KEPT:]))
            new.replace(path)
        fd = os.open(path, flags, 0o600)
        try:
            os.write(fd, stamp(time.time()).strip() + b"\n")
        finally:
            os.close(fd)
    except OSError:
        pass


def starts(directory: Path, instance: str) -> list[bytes]:
    """Return the timestamps of its runs' beginnings, the first run first, also if the clock was set back since."""
    try:
        lines = _path(directory, instance).read_bytes().splitlines()
    except OSError:
        return []
    return [line for line in lines if len(line) == STAMP_WIDTH - 1 and _LINE.fullmatch(line)]


class RunCounter:
    """Counts the runs of one instance while its log is read: pass it the timestamp of each line, in their order.

    A line belongs to the next run once its timestamp has reached the beginning of that. If the clock was set back
    between two runs, those of the earlier run have reached it too: then it must also be before the earlier beginning.
    """

    def __init__(self, begun: list[bytes]) -> None:
        self._begun = begun
        self._count = 0

    def run_of(self, stamp: bytes) -> int:
        """Return the number of the run, from 1, that a line belongs to; 0 if it is from before the first one."""
        while self._count < len(self._begun) and self._has_begun(self._count, stamp):
            self._count += 1
        return self._count

    def _has_begun(self, index: int, stamp: bytes) -> bool:
        begin, before = self._begun[index], self._begun[max(0, index - 1)]
        return begin <= stamp and (before <= begin or stamp < before)


def _path(directory: Path, instance: str) -> Path:
    return directory / f"{instance}{ENDING}"
