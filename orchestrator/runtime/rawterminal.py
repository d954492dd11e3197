"""The user's own terminal, raw for a while: what is typed is ours byte by byte, Ctrl-C too.

Facts (termios(3)): a process in the background that changes its terminal is stopped by SIGTTOU; a background process
has no business to restore it either, whoever is in front has set it up. TCSANOW, because a terminal that takes no
output (^S) would have TCSADRAIN wait for ever.
"""

from __future__ import annotations

import contextlib
import os
import termios
import tty

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.loop import READ, Loop


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

    @property
    def is_ours(self) -> bool:
        """Whether it is raw, and nobody else is in front: else to read it would stop us (SIGTTIN)."""
        try:
            return self._entered and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # hung up
            return False

    def swallow(self, loop: Loop, last: bytes, times: int, seconds: float) -> None:
        """Read and forget what is typed, until `last` has come so many times, for so many seconds at most."""
        typed = bytearray()
        timer = loop.call_in(seconds, lambda: typed.extend(last * times))

        def take(_: int) -> None:
            try:
                data = os.read(self._fd, 1 << 14)
            except OSError:  # hung up
                data = b""
            typed.extend(data or last * times)

        loop.add(self._fd, READ, take)
        while typed.count(last) < times:
            loop.turn()
        loop.remove(self._fd)
        timer.cancel()

    def leave(self) -> None:
        """Make it what it was; does nothing where it has gone, or is somebody else's now."""
        is_ours, self._entered = self.is_ours, False
        if is_ours:
            with contextlib.suppress(termios.error):  # hung up
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)
