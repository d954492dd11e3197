"""Reads what a component still prints once the supervisor has gone, into its log: with a terminal that nobody reads it
would block in its last words.
"""

from __future__ import annotations

import os
from typing import Protocol

from orchestrator.runtime.loop import READ, Loop

READS = 16  # of one descriptor in one turn
LAST_READS = 1024  # once the tree has gone, should somebody outside it go on writing


class DrainLog(Protocol):
    """Where a component's bytes are kept."""

    def write(self, chunk: bytes) -> bool:
        """Take a chunk."""

    def finish(self) -> None:
        """The incarnation has ended."""


class Drain:
    """Reads `fds`, which are non-blocking and stay their owner's. Without a log what is read is lost."""

    def __init__(self, loop: Loop, fds: tuple[int, ...], log: DrainLog | None) -> None:
        self._loop = loop
        self._fds = fds
        self._log = log
        for fd in fds:
            loop.add(fd, READ, lambda _, fd=fd: self._read(fd, READS))  # type: ignore[misc]

    def finish(self) -> None:
        """Nothing of the tree is left: read what there is, and end the log."""
        for fd in self._fds:
            self._read(fd, LAST_READS)
        if self._log is not None:
            self._log.finish()

    def _read(self, fd: int, reads: int) -> None:
        """Log what is there. Bounded: a flood must not keep us from the signals and deadlines of the stop."""
        try:
            for _ in range(reads):
                if not (chunk := os.read(fd, 65536)):
                    break
                if self._log is not None:
                    self._log.write(chunk)
            else:
                return
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the slave open any more
            pass
        self._loop.remove(fd)
