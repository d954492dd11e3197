"""The instance lock on a home, and one lock for each instance's guardian. This file alone imports filelock.

flock(2) belongs to the open file, not to the process: every descriptor that a fork duplicated holds it too, and the
kernel drops it with the last of them. So it cannot go stale, and a forked child has to close what it inherited. Who
holds a lock is read from /proc/locks (proc(5)), where there is one; the lock file itself says nothing.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import filelock


class Lock:
    """An exclusive lock on one path, taken without waiting, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        options: dict[str, Any] = {}
        if "fallback_to_soft" in inspect.signature(filelock.FileLock.__init__).parameters:
            options["fallback_to_soft"] = False  # the soft lock is a file that can go stale
        self._lock = filelock.FileLock(str(path), timeout=0, mode=0o600, **options)

    @classmethod
    def at(cls, path: str) -> Lock:
        """A lock on a path that came as text."""
        return cls(Path(path))

    def take(self) -> bool:
        """Take the lock; False where another process holds it. Raises OSError where the path cannot be opened."""
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock up. Only the process that took it may call this."""
        self._lock.release()


def holder(path: Path) -> int | None:
    """Return the pid that holds the flock on `path`; None where nobody does, or the kernel does not say."""
    try:
        status = path.stat()
        table = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and wanted in fields:
            pid = int(fields[4])
            return pid if pid > 0 else None
    return None
