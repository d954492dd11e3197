"""The user's own terminal, raw for a while: what is typed is ours byte by byte, Ctrl-C too.

Facts (termios(3)): a process in the background that changes its terminal is stopped by SIGTTOU; a background process
has no business to restore it either, whoever is in front has set it up. TCSANOW, because a terminal that takes no
output (^S) would have TCSADRAIN wait for ever.
"""

from __future__ import annotations

import os
import termios
import tty

from orchestrator.model.errors import OrchestrateError


class RawTerminal:
    """Owns the modes of `fd` between `enter` and `leave`."""

    def __init__(self, fd: int) -> None:
        """Raises OrchestrateError where it is no terminal."""
        self._fd = fd
        self._entered = False
        try:
            self._saved = termios.tcgetattr(fd)
        except termios.error as error:
            raise OrchestrateError(f"unable to use the terminal: {error.args[-1]}") from None

    def enter(self) -> None:
        """Make it raw. In the background this stops us until we are in front (SIGTTOU)."""
        tty.setraw(self._fd, termios.TCSANOW)
        self._entered = True

    def leave(self) -> None:
        """Make it what it was; does nothing where it has gone, or is somebody else's now."""
        if not self._entered:
            return
        self._entered = False
        try:
            if os.tcgetpgrp(self._fd) == os.getpgrp():
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)
        except (OSError, termios.error):  # hung up
            pass
