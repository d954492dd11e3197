"""Reads what a component still prints after the supervisor has exited, into its log. If no process read its terminal,
the component would block while printing its last lines.
"""

from __future__ import annotations

import os
from typing import Protocol

from orchestrator.runtime.loop import READ, Loop

READS = 16  # of one descriptor in one turn
LAST_READS = 1024  # after the tree is empty, in case an outside process continues writing


class DrainLog(Protocol):
    """A log that keeps a component's output."""

    def write(self, chunk: bytes) -> bool:
        """Take a chunk."""

    def finish(self) -> None:
        """Finish, because the run has ended."""


class Drain:
    """Reads `fds`, which are non-blocking and stay their owner's. Without a log the output is discarded."""

    def __init__(self, loop: Loop, fds: tuple[int, ...], log: DrainLog | None) -> None:
        self._loop = loop
        self._fds = fds
        self._log = log
        for fd in fds:
            loop.add(fd, READ, lambda _, fd=fd: self._read(fd, READS))  # type: ignore[misc]

    def finish(self) -> None:
        """Read the remaining output and end the log, because the tree is empty."""
        for fd in self._fds:
            self._read(fd, LAST_READS)
        if self._log is not None:
            self._log.finish()

    def _read(self, fd: int, reads: int) -> None:
        """Log the available output. Bounded: a flood must not delay the signals and deadlines of the stop."""
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
        except OSError:  # EIO: no process has the slave open any more
            pass
        self._loop.remove(fd)
