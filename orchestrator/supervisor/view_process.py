"""The full-screen view as a child process, which has the terminal until it exits.

It is a client of the socket like any other. This file only starts it and reads from a pipe how it was left: the pipe
is closed when the process exits. It is in our process group, so Ctrl-C reaches both.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.runtime.loop import READ, Loop

STOP, BACKGROUND, NOT_SHOWN = b"s", b"b", b"n"
RESTORE = b"\x1b[?1006l\x1b[?1000l\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[m\x1b[?1049l"  # if it was killed


@dataclass(frozen=True, slots=True)
class ViewCommand:
    """How the view is started. `environment` returns its variables, given the descriptor that it reports on."""

    argv: list[str]
    environment: Callable[[int], Mapping[str, str]]


class ViewProcess:
    """Runs from its creation until `left` is called, with what the view has reported; nothing if it was killed."""

    def __init__(self, loop: Loop, command: ViewCommand, left: Callable[[bytes], None]) -> None:
        """Raise OSError if it cannot be started."""
        self._loop = loop
        self._left = left
        self._said = b""
        self._read_fd, write_fd = os.pipe()
        try:
            os.set_inheritable(write_fd, True)
            self.pid = os.posix_spawn(
                command.argv[0],
                command.argv,
                dict(command.environment(write_fd)),
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # CPython ignores them, and a child inherits that
            )
        except OSError:
            os.close(self._read_fd)
            raise
        finally:
            os.close(write_fd)
        loop.add(self._read_fd, READ, lambda _: self._hear())

    def _hear(self) -> None:
        data = os.read(self._read_fd, 16)
        self._said += data
        if not data or BACKGROUND in data:  # then it continues until the shell has taken the terminal
            self._loop.remove(self._read_fd)
            os.close(self._read_fd)
            self._left(self._said)
