"""Writes to a descriptor that cannot be made non-blocking, because it is somebody else's too.

Fact: poll(2) says of a pty that it is writable while there is room for one byte, but an LF takes two (n_tty.c,
ONLCR), and write(2) then waits (measured: pieces of any size block sooner or later). So a timer interrupts it
(setitimer(2), SIGALRM without SA_RESTART). libc's write is called as it is: os.write would try again (PEP 475).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from types import FrameType

PATIENCE = 0.02  # seconds

_libc = ctypes.CDLL(None, use_errno=True)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Be a handler, so that the signal interrupts."""


def write(fd: int, data: bytes) -> int:
    """Write what is taken within PATIENCE and return its length. Raises BlockingIOError where that is nothing."""
    if signal.getsignal(signal.SIGALRM) is not _nothing:
        signal.signal(signal.SIGALRM, _nothing)
        signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
    try:
        done: int = _libc.write(fd, data, len(data))
        error = ctypes.get_errno()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    if done < 0:
        raise OSError(errno.EAGAIN if error == errno.EINTR else error, os.strerror(error))
    return done
