"""One instance's log: each line as it was written, after a UTC timestamp. Rotated by size, by rename.

A fault (disk full, read-only) is reported once and costs nobody but the log: writing is tried again, and what was lost
is said when it works again. Rotation happens between two lines, so no line is doubled or torn: `web.log` becomes
`web.log.1`, and so on; who follows the old file by its descriptor reads it to its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

SIZE = 50 * 1000 * 1000
KEPT = 5
TRY_AGAIN = 5.0  # seconds after a fault
STAMP_WIDTH = len("2026-01-01T00:00:00.000000Z ")

Report = Callable[[str], None]


def stamp(now: float) -> bytes:
    """UTC with microseconds, and a blank; `now` is seconds since the epoch."""
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()


class LogFile:
    """Appends chunks of a terminal's bytes to `path`; `report` is told, in words, of faults and recoveries."""

    def __init__(
        self, path: Path, report: Report, *, continues: bool = False, size: int = SIZE, kept: int = KEPT
    ) -> None:
        """`size` is the bytes after which a new file is begun, `kept` how many files there are in all. `continues`
        says that an unfinished line at the end of the file goes on with the first chunk."""
        self.path = path
        self._report = report
        self._continues = continues
        self._limit = size
        self._kept = kept
        self._fd = -1
        self._written = 0
        self._at_start = True
        self._held = b""
        self._lost = 0
        self._retry_at = 0.0

    def write(self, chunk: bytes) -> None:
        """Append a chunk, which may end anywhere in a line."""
        if self._held:
            chunk, self._held = self._held + chunk, b""
        if chunk.endswith(b"\r"):
            chunk, self._held = chunk[:-1], b"\r"
        if self._fd < 0 and not self._open():
            self._lost += len(chunk)
            return
        now = stamp(time.time())
        mark = b"\n" + now
        if chunk.count(b"\n") == chunk.count(b"\r\n"):
            body = chunk.replace(b"\r\n", mark)
        else:
            body = chunk.replace(b"\r\n", b"\n").replace(b"\n", mark)
        if self._at_start and body:
            body = now + body
        self._at_start = self._at_start if not body else body.endswith(mark)
        if self._at_start:
            body = body[: len(body) - len(now)]
        self._append(body, len(chunk))
        if self._at_start and self._written >= self._limit:
            self._rotate()

    def finish(self) -> None:
        """End an unfinished line and close the file; a later write opens it again."""
        if self._held:
            held, self._held = self._held, b""
            self._append(held, 1)
        if self._fd >= 0 and not self._at_start:
            self._append(b"\n", 0)
        self._at_start = True
        self._close()

    def _open(self) -> bool:
        if self._lost and time.monotonic() < self._retry_at:
            return False
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, 0o600)
            self._written = os.lseek(self._fd, 0, os.SEEK_END)
            torn = self._written > 0 and os.pread(self._fd, 1, self._written - 1) != b"\n"
            self._at_start = not (torn and self._continues)
            if torn and not self._continues:
                os.write(self._fd, b"\n")
        except OSError as error:
            self._fault(error)
            return False
        return True

    def _append(self, body: bytes, counted: int) -> None:
        if self._fd < 0:
            return
        view = memoryview(body)
        try:
            while view:
                done = os.write(self._fd, view)
                self._written += done
                view = view[done:]
        except OSError as error:
            self._fault(error)
            self._lost += counted
            return
        if self._lost:
            self._report(f"{self.path} is written again; {self._lost:,} bytes are missing in it")
            self._lost = 0

    def _fault(self, error: OSError) -> None:
        if not self._lost:
            self._lost = 1
            self._report(f"unable to write {self.path}: {error.strerror}; components go on, trying again")
        self._close()
        self._retry_at = time.monotonic() + TRY_AGAIN

    def _rotate(self) -> None:
        try:
            for number in range(self._kept - 2, 0, -1):
                older = self.path.with_name(f"{self.path.name}.{number}")
                if older.exists():
                    older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
            self.path.rename(self.path.with_name(f"{self.path.name}.1"))
        except OSError as error:
            self._report(f"unable to rotate {self.path}: {error.strerror}")
            self._written = 0  # tried again after as much again
            return
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
