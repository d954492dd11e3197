"""Waits until something in a directory changes. Linux: inotify(7); elsewhere, or with none of them left, a look every
second.

One event tells that there is something to look at, not what: the reader compares what it knows with what is there.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from orchestrator.runtime.loop import READ, Loop

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE = 0x2, 0x40, 0x80, 0x100
LOOK_AGAIN = 1.0  # seconds, where the kernel does not tell


class DirectoryWatch:
    """Watches one directory, files in it included, not below. What happens on `other_fd` counts too."""

    def __init__(self, directory: Path, other_fd: int = -1) -> None:
        self._loop = Loop()
        self._fd = _inotify(directory) if sys.platform.startswith("linux") else -1
        if self._fd >= 0:
            self._loop.add(self._fd, READ, self._on_event)
        if other_fd >= 0:
            self._loop.add(other_fd, READ, lambda _: None)

    def wait(self) -> None:
        """Return when something has changed since the last call, or, blind, after LOOK_AGAIN."""
        if self._fd < 0:
            self._loop.call_in(LOOK_AGAIN, lambda: None)
        self._loop.turn()

    def _on_event(self, _: int) -> None:
        os.read(self._fd, 1 << 16)


def _inotify(directory: Path) -> int:
    """Return a descriptor that is readable after a change; -1 where the user's instances or watches are used up."""
    libc = ctypes.CDLL(None)
    fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    mask = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE
    if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(directory), mask) < 0:
        os.close(fd)
        return -1
    return fd
