"""The instance lock on a home, and one lock for each instance's guardian. This file alone imports filelock.

flock(2) belongs to the open file, not to the process: every descriptor that a fork duplicated holds it too, and the
kernel drops it with the last of them. So it cannot go stale, and a forked child has to close what it inherited. The
holder of a lock is read from /proc/locks (proc(5)), if that exists; the lock file itself says nothing.
"""

from __future__ import annotations

import fcntl
import inspect
import os
from pathlib import Path
from typing import Any

import filelock

# If the option exists (3.32 and later): a soft lock is a file that can go stale. Checked once, not in every guardian.
_KNOWN = inspect.signature(filelock.FileLock.__init__).parameters
_OPTIONS: dict[str, Any] = {"fallback_to_soft": False} if "fallback_to_soft" in _KNOWN else {}


class Lock:
    """An exclusive lock on one path, taken without waiting, held until `release` or until the process exits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(str(path), timeout=0, **_OPTIONS)

    def take(self) -> bool:
        """Take the lock; return False if another process holds it. Raises OSError if the path cannot be opened."""
        # Created here, because filelock sets a mode only from 3.10 on.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock. Only the process that took it may call this."""
        self._lock.release()


class InstanceLock:
    """The same lock, as a guardian holds it: flock(2) by hand, until the end of the process.

    Taking it through filelock costs each of many guardians 0.8 MB of private memory (its constructor inspects
    signatures, and every page that is touched after a fork is copied), and 2 ms.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def take(self) -> bool:
        """Take the lock; return False if another process holds it. Raises OSError if the path cannot be opened."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True


def has_open(path: Path, pid: int) -> bool:
    """Return whether a process has the lock file at `path` open, though that file, or its directory, may have been
    removed or renamed since: /proc/locks does not show which file that was, but the links in /proc/PID/fd do."""
    place = Path(os.path.realpath(path.parent.parent))
    try:
        with os.scandir(f"/proc/{pid}/fd") as fds:
            return any(_is_at(place, path.name, fd.path) for fd in fds)
    except OSError:
        return False


def _is_at(place: Path, name: str, fd: str) -> bool:
    try:
        target = Path(os.readlink(fd).removesuffix(" (deleted)"))
    except OSError:
        return False
    return target.name == name and target.parent.parent == place


def holder(path: Path) -> int | None:
    """Return the pid that holds the flock on `path`; None if the lock is free or the kernel does not say."""
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
