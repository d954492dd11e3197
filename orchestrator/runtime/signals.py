"""Signals as bytes on a descriptor.

The handlers do nothing: the byte that CPython's own C handler writes into the wakeup fd is the signal
(signal.set_wakeup_fd). Signals that were ignored at our start stay ignored if the caller says so (nohup).

Facts: a full wakeup pipe loses bytes, and warns on stderr unless that is turned off (warn_on_full_buffer); it holds 64
KiB, and it is read to its end at each turn of the loop.
"""

from __future__ import annotations

# The C functions below `signal`, which converts every number and handler to an enum: for all signals, as here, 0.6 ms
# in each component and its guardian.
import _signal  # type: ignore[import-not-found]
import os
import signal
from collections.abc import Iterable
from types import FrameType

_ALL = frozenset(_signal.valid_signals())

# Faults, whose handler would return to the fault, and the two that cannot have a handler.
_FAULTS = {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"}
_HARMLESS = {"SIGCHLD", "SIGURG", "SIGTTIN", "SIGTTOU", "SIGIO", "SIGPOLL", "SIGCLD"}


def _nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing; a handler must be set so that CPython installs its C handler, which writes the byte."""


class SignalPipe:
    """Owns the wakeup fd of this process. Only one can be open at a time."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.read_fd, self._write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self._write_fd, False)
        _signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in numbers:
            self.hear(number)

    def hear(self, number: int) -> None:
        """Read this signal too."""
        _signal.signal(number, _nothing)
        _signal.siginterrupt(number, False)

    def read(self) -> list[int]:
        """Return the signals that came since the last call, in order, without waiting."""
        try:
            return list(os.read(self.read_fd, 65536))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Release the wakeup fd; the handlers stay and do nothing."""
        signal.set_wakeup_fd(-1)
        os.close(self.read_fd)
        os.close(self._write_fd)


def that_end_or_stop() -> list[signal.Signals]:
    """Every signal that terminates or suspends a process and can be handled, and the terminal's signals."""
    ignored = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    kept = {"SIGPIPE", "SIGXFSZ"}  # CPython itself ignores them
    return [
        number
        for number in signal.Signals
        if number.name not in _FAULTS | _HARMLESS and not (number in ignored and number.name not in kept)
    ]


def inherited_ignored(number: int) -> bool:
    """Whether this process was started with `number` ignored, as nohup does with SIGHUP."""
    return signal.getsignal(number) is signal.SIG_IGN


def block_all() -> set[int]:
    """Block every signal of this thread; returns the mask to restore. Used around fork: a signal that comes
    between the fork and the child's own handlers would run the parent's in the child."""
    mask: set[int] = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL)
    return mask


def restore(mask: Iterable[int]) -> None:
    """Set the mask that `block_all` returned."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def block_all_but(numbers: Iterable[int]) -> None:
    """Block all other signals; they stay pending."""
    restore(_ALL.difference(numbers))


def set_all_default() -> None:
    """Set every signal to its default and empty the mask, as a program started from a shell expects.

    ptyprocess resets nothing: without this a component inherits the SIGPIPE and SIGXFSZ that CPython ignores, and
    the INT and QUIT that `sh -c '… &'` ignores (measured).
    """
    for number in _ALL:
        if _signal.getsignal(number) not in (_signal.SIG_DFL, None):  # None: a C handler, which exec resets
            _signal.signal(number, _signal.SIG_DFL)
    restore(())


def stop_by(number: int) -> None:
    """Stop this process as the default action of `number` does, until SIGCONT. If no shell could continue it, the
    kernel does not stop it, and this returns immediately (an orphaned process group)."""
    handler = signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    signal.signal(number, handler)


def die_of(number: int) -> None:
    """End this process by `number`, so that a calling shell sees what really happened; return only if that fails."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.raise_signal(number)
