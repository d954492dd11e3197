"""Signals with their senders, as records on a descriptor (signalfd(2), Linux).

A handler in Python does not get the siginfo, and a wakeup fd carries only a number. So signals whose sender matters
are blocked, and read from a signalfd. This adds no wake-up and no system call, only one more watched descriptor.

Facts: a fork inherits the mask, so every process that we fork sets its own before it executes a program
(`signals.set_all_default`). `si_code` is SI_USER, SI_QUEUE or SI_TKILL for a signal that a process sent, and SI_KERNEL
for one from the kernel, such as the terminal's for Ctrl-C (sigaction(2)). A sender in another pid namespace has pid 0.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_RECORD = struct.Struct("=IiiII108x")  # signo, errno, code, pid, uid
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # as SFD_NONBLOCK and SFD_CLOEXEC
_SET_SIZE = 128  # sizeof(sigset_t) of glibc and musl
_KERNEL = 0x80


@dataclass(frozen=True, slots=True)
class Received:
    """A signal. `is_of_kernel` says that no process sent it; `pid` and `uid` are the sender's, 0 and -1 if unknown."""

    number: int
    is_of_kernel: bool = False
    pid: int = 0
    uid: int = -1


class SignalFd:
    """Owns a signalfd, and blocks its signals in this thread."""

    def __init__(self, numbers: Iterable[int]) -> None:
        """Raises OSError if the system has no signalfd."""
        if sys.platform != "linux":
            raise OSError("signalfd(2) is Linux's")
        numbers = frozenset(numbers)
        mask = sum(1 << (number - 1) for number in numbers).to_bytes(_SET_SIZE, sys.byteorder)
        self.read_fd: int = ctypes.CDLL(None, use_errno=True).signalfd(-1, mask, _FLAGS)
        if self.read_fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def read(self) -> list[Received]:
        """Return the signals that came since the last call, without waiting. Several of one number may be merged."""
        try:
            data = os.read(self.read_fd, 16 * _RECORD.size)
        except BlockingIOError:
            return []
        return [
            Received(number, code == _KERNEL, *((pid, uid) if code <= 0 and pid else (0, -1)))
            for number, _, code, pid, uid in _RECORD.iter_unpack(data)
        ]
