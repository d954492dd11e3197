"""The terminal that a system in the background has left, and that `fg` gives back to it.

Standard input, output and errors are /dev/null meanwhile, and the terminal's hang-up has no effect.

Fact: after `fg` a shell sends SIGCONT to a job that it knows as stopped, but not to one that it has seen continue (bash
5.2, measured). So the terminal's input is watched too, by edges, and not read: the first line that is typed after that
`fg` shows that we are in the foreground. The kernel reports no other sign of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from orchestrator.runtime.loop import EdgeWatch, Loop
from orchestrator.runtime.raw_mode import KeysFd


class LeftTerminal:
    """Leaves the terminal `fd` when it is created, until `take_back`. `on_input` is called if something was typed."""

    def __init__(self, loop: Loop, fd: int, on_input: Callable[[], None]) -> None:
        self._fds = [fd for fd in (0, 1, 2) if os.isatty(fd)]
        self._path = os.ttyname(fd)
        self._keys = KeysFd(fd)
        self._watch = EdgeWatch(loop)
        self._watch.add(self._keys.fd, on_input)
        self._on_hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with open(os.devnull, "r+b", buffering=0) as null:
            for standard_fd in (0, 1, 2):
                os.dup2(null.fileno(), standard_fd)

    def take_back(self) -> bool:
        """Use the terminal again, if our process group is in its foreground; return whether it is."""
        try:
            terminal_fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # hung up
            return False
        try:
            if os.tcgetpgrp(terminal_fd) != os.getpgrp():
                return False
        except OSError:  # another terminal has got its name
            return False
        else:
            for fd in self._fds:
                os.dup2(terminal_fd, fd)
        finally:
            os.close(terminal_fd)
        signal.signal(signal.SIGHUP, self._on_hang_up)
        self._watch.close()
        self._keys.close()
        return True
