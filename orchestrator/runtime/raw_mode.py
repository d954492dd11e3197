"""The user's own terminal in raw mode: we get each byte that is typed, Ctrl-C too.

Facts (termios(3)): a background process that changes its terminal is stopped by SIGTTOU. It must not restore the
terminal either, because the foreground process has set the modes. TCSANOW, because TCSADRAIN would wait forever for a
terminal that accepts no output (^S).
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import tty
from collections.abc import Iterator
from typing import Any

from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.loop import READ, Loop


class RawTerminal:
    """Owns the modes of `fd` between `enter` and `leave`."""

    def __init__(self, fd: int) -> None:
        """Raises OrchestrateError if it is not a terminal."""
        self._fd = fd
        self._entered = False
        try:
            self._saved = termios.tcgetattr(fd)
        except termios.error as error:
            raise OrchestrateError(f"cannot use the terminal: {error.args[-1]}") from None

    def enter(self) -> None:
        """Make it raw. In the background this stops us until we are in the foreground (SIGTTOU)."""
        tty.setraw(self._fd, termios.TCSANOW)
        self._entered = True

    @property
    def is_ours(self) -> bool:
        """Whether it is raw and we are in the foreground: otherwise reading it would stop us (SIGTTIN)."""
        try:
            return self._entered and os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # hung up
            return False

    def swallow(self, loop: Loop, last: bytes, times: int, seconds: float) -> None:
        """Discard what is typed until `last` has come `times` times, for at most `seconds`."""
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
        """Restore its modes; does nothing if it has hung up, or another process is in the foreground."""
        is_ours, self._entered = self.is_ours, False
        if is_ours:
            with contextlib.suppress(termios.error):  # hung up
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)


class QuietTerminal:
    """A terminal that echoes nothing and hands out each key at once, between `enter` and `leave`. Ctrl-C, Ctrl-Z,
    Ctrl-\\, Ctrl-S and Ctrl-Q act as usual."""

    def __init__(self, fd: int, *, quits: bool = True) -> None:
        """Without `quits` Ctrl-\\ is a key too. Raise termios.error if `fd` is not a terminal."""
        self._fd = fd
        self._quits = quits
        self._entered = False
        self._saved = termios.tcgetattr(fd)
        self._path = os.ttyname(fd)

    @property
    def is_in_front(self) -> bool:
        """Whether our process group is in the foreground of the terminal. Otherwise reading keys would stop us
        (SIGTTIN)."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # hung up, or not our controlling terminal
            return False

    def enter(self) -> bool:
        """Set the mode; return whether it is set. Does nothing in the background."""
        if not self.is_in_front:
            self._entered = False
            return False
        with contextlib.suppress(termios.error), _not_stopped():  # hung up
            present = termios.tcgetattr(self._fd)
            if not self._entered or _comparable(present) != _comparable(_quiet(self._saved, quits=self._quits)):
                self._saved = present
            termios.tcsetattr(self._fd, termios.TCSANOW, _quiet(self._saved, quits=self._quits))
            self._entered = True
        return self._entered

    def enter_again(self) -> None:
        """Set the mode again after another process of our group had the terminal, whatever modes that has left. Does
        nothing in the background."""
        if self._entered and self.is_in_front:
            with contextlib.suppress(termios.error), _not_stopped():  # hung up
                termios.tcsetattr(self._fd, termios.TCSANOW, _quiet(self._saved, quits=self._quits))

    def leave(self) -> None:
        """Restore the modes and drop what was typed. Does nothing in the background: the terminal belongs to another
        process now."""
        if self._entered and self.is_in_front:
            with contextlib.suppress(termios.error), _not_stopped():  # hung up
                _restore(self._fd, self._saved)
        self._entered = False

    def restart_output(self) -> None:
        """Let the terminal accept output again if Ctrl-S has stopped it. Does nothing in the background.

        Fact (tty_io.c, Linux): TCOON alone only ends a stop by TCOOFF.
        """
        if self._entered and self.is_in_front:
            with contextlib.suppress(termios.error), _not_stopped():  # hung up
                termios.tcflow(self._fd, termios.TCOOFF)
                termios.tcflow(self._fd, termios.TCOON)

    def rescue(self) -> None:
        """Restore the modes in a process of another session, after the owner was killed. Do nothing if the modes are
        not those that the owner had set, because then another process has changed them since."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # hung up
            return
        with contextlib.suppress(termios.error):
            quiet = _comparable(_quiet(self._saved, quits=self._quits))
            if _comparable(self._saved) != quiet and _comparable(termios.tcgetattr(fd)) == quiet:
                _restore(fd, self._saved)
        os.close(fd)


def _restore(fd: int, modes: list[Any]) -> None:
    termios.tcsetattr(fd, termios.TCSANOW, modes)
    termios.tcflush(fd, termios.TCIFLUSH)  # otherwise the shell would run what was typed here


def _quiet(modes: list[Any], *, quits: bool = True) -> list[Any]:
    """Return these modes without echo and lines, and without IEXTEN, because Ctrl-V would disarm Ctrl-C."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = modes
    characters = list(characters)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    if not quits:
        characters[termios.VQUIT] = b"\0"  # _POSIX_VDISABLE of Linux
    off = termios.ICANON | termios.ECHO | termios.ECHONL | termios.IEXTEN
    return [iflag, oflag, cflag, lflag & ~off, ispeed, ospeed, characters]


def _comparable(modes: list[Any]) -> list[Any]:
    """Return modes in comparable form: tcgetattr returns VMIN and VTIME as numbers or bytes, depending on ICANON."""
    return [*modes[:6], [c if isinstance(c, int) else c[0] for c in modes[6]]]


@contextlib.contextmanager
def _not_stopped() -> Iterator[None]:
    """Fail or continue, instead of being stopped (SIGTTIN, SIGTTOU), if we were just put into the background."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTIN, signal.SIGTTOU])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def echo_again(fd: int) -> None:
    """Make a terminal echo and collect lines, as shells expect it, after the process that has set its modes was killed.

    Does nothing in the background: a shell has taken the terminal, and has set its own modes. In those of readline CR
    is not translated, so with ICANON on top Enter would end no line.
    """
    with contextlib.suppress(termios.error, OSError), _not_stopped():  # hung up
        if os.tcgetpgrp(fd) != os.getpgrp():
            return
        modes = termios.tcgetattr(fd)
        modes[0] |= termios.ICRNL
        modes[3] |= termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
        termios.tcsetattr(fd, termios.TCSANOW, modes)


def terminal_size() -> tuple[int, int]:
    """Rows and columns of the user's terminal."""
    columns, rows = os.get_terminal_size(1)
    return (rows, columns) if rows and columns else (24, 80)


def is_at_terminal() -> bool:
    """Whether standard input and output are a terminal."""
    return os.isatty(0) and os.isatty(1)


class KeysFd:
    """The input of a terminal, as a separate non-blocking descriptor."""

    def __init__(self, fd: int) -> None:
        """Raise OSError if it cannot be opened again: after `su` it belongs to another user."""
        self.fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """Return what was typed; empty if nothing was. Raise OSError (EIO) after a hang-up."""
        with _not_stopped():
            try:
                return os.read(self.fd, 1 << 12)
            except BlockingIOError:
                return b""

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
