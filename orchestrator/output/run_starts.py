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
    """Return the timestamps of its runs' beginnings, the oldest first. They compare as those of lines do."""
    try:
        lines = _path(directory, instance).read_bytes().splitlines()
    except OSError:
        return []
    return sorted(line for line in lines if len(line) == STAMP_WIDTH - 1 and _LINE.fullmatch(line))


def _path(directory: Path, instance: str) -> Path:
    return directory / f"{instance}{ENDING}"
