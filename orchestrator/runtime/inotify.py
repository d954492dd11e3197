"""Waits until something in a directory changes. Linux: inotify(7); elsewhere, or if the watches are used up, a check
every second.

An event says only that something changed, not what: the reader compares its knowledge with the directory.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.runtime.loop import READ, Loop, Timer

_MODIFY, _MOVED_FROM, _MOVED_TO, _CREATE, _OVERFLOW = 0x2, 0x40, 0x80, 0x100, 0x4000
_DELETE, _MOVE_SELF = 0x200, 0x800
_CHANGES = _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE
_REPLACED = _DELETE | _MOVED_FROM | _MOVED_TO | _CREATE | _MOVE_SELF
_EVENT = struct.Struct("@4xI4xI")  # watch, mask, cookie, length of the name that follows
LOOK_AGAIN = 1.0  # seconds, if the kernel sends no events


class DirectoryWatch:
    """Watches one directory, files in it included, not below. What happens on `other_fd` counts too.

    If the directory is moved or removed, its successor is watched as well. Events of its parent, or of the nearest
    existing one, report that. IN_DELETE_SELF comes only after the last file in it is closed.
    """

    def __init__(self, directory: Path, other_fd: int = -1) -> None:
        self._directory = directory.absolute()
        self._watched: tuple[int, int] | None = None
        self._loop = Loop()
        self._fd = _inotify(directory) if sys.platform.startswith("linux") else -1
        if self._fd >= 0:
            self._find_again()
            self._loop.add(self._fd, READ, self._on_event)
        if other_fd >= 0:
            self._loop.add(other_fd, READ, lambda _: None)

    def wait(self, limit: float | None = None) -> None:
        """Return when something has changed since the last call, after `limit` seconds, or, without inotify, after
        LOOK_AGAIN."""
        if self._fd < 0:
            limit = min(LOOK_AGAIN, limit or LOOK_AGAIN)
        timer = None if limit is None else self._loop.call_in(limit, lambda: None)
        self._loop.turn()
        if timer is not None:
            timer.cancel()

    def _on_event(self, _: int) -> None:
        os.read(self._fd, 1 << 16)
        if self._watched is None or _identity(self._directory) != self._watched:
            self._find_again()

    def _find_again(self) -> None:
        """Watch the directory that the path names now. The old watch stays: files of a moved directory may still be
        written."""
        next((parent for parent in self._directory.parents if _add_watch(self._fd, parent, _REPLACED)), None)
        self._watched = _identity(self._directory)
        if not _add_watch(self._fd, self._directory, _CHANGES):
            self._watched = None


class MoveWatch:
    """Reports files that are moved out of a directory. Does nothing if inotify is missing or exhausted.

    Costs nothing until one is moved. `on_move` gets the file's name, or an empty one if the kernel has lost events.
    """

    def __init__(self, loop: Loop, directory: Path, on_move: Callable[[str], None]) -> None:
        self._loop = loop
        self._on_move = on_move
        self._fd = _inotify(directory, _MOVED_FROM) if sys.platform.startswith("linux") else -1
        if self._fd >= 0:
            loop.add(self._fd, READ, self._on_event)

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_event(self, _: int) -> None:
        for mask, name in _events(os.read(self._fd, 1 << 16)):
            if mask & (_MOVED_FROM | _OVERFLOW):
                self._on_move(os.fsdecode(name))


class ChangeWatch:
    """Calls `on_change` once something in a directory has changed, and then not again before `again`.

    So the reader determines how often a flood wakes it. Without inotify, or if its watches are used up, a
    change is assumed LOOK_AGAIN seconds after `again`.
    """

    def __init__(self, loop: Loop, directory: Path, on_change: Callable[[], None]) -> None:
        self._loop = loop
        self._on_change = on_change
        self._fd = _inotify(directory) if sys.platform.startswith("linux") else -1
        self._timer: Timer | None = None
        self._waits = False
        self.again()

    def again(self) -> None:
        """Report the next change; ignore earlier ones."""
        if self._fd < 0:
            self._timer = self._timer or self._loop.call_in(LOOK_AGAIN, self._report)
            return
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, 1 << 16):
                pass
        if not self._waits:
            self._waits = True
            self._loop.add(self._fd, READ, lambda _: self._report())

    def close(self) -> None:
        """Watch no more."""
        self._rest()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _report(self) -> None:
        self._rest()
        self._on_change()

    def _rest(self) -> None:
        if self._waits:
            self._waits = False
            self._loop.remove(self._fd)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def can_watch(directory: Path) -> bool:
    """Return whether an inotify instance and a watch are left for this user."""
    fd = _inotify(directory)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def _events(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield mask and file name of each event in what was read."""
    while data:
        mask, size = _EVENT.unpack_from(data)
        yield mask, data[_EVENT.size : _EVENT.size + size].rstrip(b"\0")
        data = data[_EVENT.size + size :]


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return device and inode; None if the directory does not exist."""
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _add_watch(fd: int, directory: Path, mask: int) -> bool:
    """Watch a directory too; return whether it exists and the user has a watch left."""
    import ctypes  # imported late: the first frame of the view does not need it

    return bool(ctypes.CDLL(None).inotify_add_watch(fd, os.fsencode(directory), mask) >= 0)


def _inotify(directory: Path, mask: int = _CHANGES) -> int:
    """Return a descriptor that is readable after a change; -1 if the user's instances or watches are used up."""
    import ctypes

    libc = ctypes.CDLL(None)
    fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd >= 0 and not _add_watch(fd, directory, mask):
        os.close(fd)
        return -1
    return fd
