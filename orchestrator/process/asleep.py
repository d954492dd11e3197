"""What a thread of another process is asleep in: the descriptors whose input it waits for, and whether it ever woke.

Facts: /proc/PID/task/TID/syscall (proc(5)) has the number of the call and its arguments while a thread is blocked, and
is shown to who may trace the process. The sets of select(2) and poll(2) stand in the process's memory, untouched until
the call returns; an epoll instance lists its descriptors in fdinfo. The timeout is one of the arguments.
`voluntary_ctxt_switches` grows each time a thread goes to sleep: while it is the same the thread has not run. `wchar`
of its io file is what it has ever written.
"""

from __future__ import annotations

import contextlib
import enum
import os
import platform
import re
import struct
from collections.abc import Container
from dataclasses import dataclass

FDS_MAX = 256  # descriptors of one call that are looked at
_POLLFD = struct.Struct("ihh")
_POLL_INPUT = 0x41  # POLLIN | POLLRDNORM, asm-generic/poll.h
_WATCHED = re.compile(rb"^tfd:\s*(\d+)", re.MULTILINE)
_SWITCHES = re.compile(rb"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
_WRITTEN = re.compile(rb"^wchar:\s*(\d+)", re.MULTILINE)
UNKNOWN = -1


class Call(enum.Enum):
    """The calls in which input is waited for."""

    READ = enum.auto()
    SELECT = enum.auto()
    POLL = enum.auto()
    EPOLL = enum.auto()


# asm/unistd.h; where only read(2) is named, who waits in another way is not seen. (All that have SELECT here are
# little-endian.)
_GENERIC = {b"63": Call.READ, b"72": Call.SELECT, b"73": Call.POLL, b"22": Call.EPOLL, b"441": Call.EPOLL}
_X86_64 = {
    b"0": Call.READ,
    b"7": Call.POLL,
    b"23": Call.SELECT,
    b"232": Call.EPOLL,
    b"270": Call.SELECT,
    b"271": Call.POLL,
    b"281": Call.EPOLL,
    b"441": Call.EPOLL,
}
_OLDER = {b"3": Call.READ}
_CALLS = {
    "x86_64": _X86_64,
    "aarch64": _GENERIC,
    "riscv64": _GENERIC,
    "armv7l": _OLDER,
    "ppc64le": _OLDER,
    "s390x": _OLDER,
}.get(platform.machine(), {})
# Which argument is the timeout, and whether it is in milliseconds (-1 for none) or a pointer (null for none).
_TIMEOUTS = {
    b"x86_64": {
        b"7": (3, True),
        b"23": (5, False),
        b"232": (4, True),
        b"270": (5, False),
        b"271": (3, False),
        b"281": (4, True),
        b"441": (4, False),
    },
}.get(platform.machine().encode(), {b"72": (5, False), b"73": (3, False), b"22": (4, True), b"441": (4, False)})
KNOWS_ALL = Call.SELECT in _CALLS.values()  # whether every call in which input is waited for is known here


@dataclass(frozen=True, slots=True)
class Wait:
    """What a thread waits for: the descriptors whose input it wants, in which call, and whether it wakes up in time."""

    fds: list[int]
    call: Call
    timed: bool


def wait_of(pid: int, task: str, calls: Container[Call]) -> Wait | None:
    """Return what a thread waits for in one of `calls`; None if it does not wait in one of them.

    Raises OSError if the kernel does not report it.
    """
    words = _read(f"/proc/{pid}/task/{task}/syscall").split()
    call = _CALLS.get(words[0]) if len(words) > 6 else None  # "running" is one word
    if call is None or call not in calls:
        return None
    first, second = int(words[1], 16), int(words[2], 16)
    timed = call is not Call.READ and _is_timed(words)
    try:
        return Wait(_fds(pid, call, first, second), call, timed)
    except OSError:
        return None


def _fds(pid: int, call: Call, first: int, second: int) -> list[int]:
    if call is Call.READ:
        return [first]
    if call is Call.SELECT:
        count = min(first, FDS_MAX)
        members = int.from_bytes(_memory(pid, second, count + 7 >> 3), "little")
        return [fd for fd in range(count) if members >> fd & 1]
    if call is Call.POLL:
        polled = _memory(pid, first, min(second, FDS_MAX) * _POLLFD.size)
        whole = len(polled) // _POLLFD.size * _POLLFD.size
        return [fd for fd, events, _ in _POLLFD.iter_unpack(polled[:whole]) if events & _POLL_INPUT]
    return [int(number) for number in _WATCHED.findall(_read(f"/proc/{pid}/fdinfo/{first}"))[:FDS_MAX]]


def _is_timed(words: list[bytes]) -> bool:
    place, in_milliseconds = _TIMEOUTS.get(words[0], (0, False))
    if not place:
        return False
    timeout = int(words[place], 16)
    return timeout & 0xFFFFFFFF != 0xFFFFFFFF if in_milliseconds else timeout != 0


def switches(pid: int, task: str) -> int:
    """Return how often a thread has gone to sleep; UNKNOWN where it has ended."""
    return _number(_SWITCHES, f"/proc/{pid}/task/{task}/status")


def written(pid: int, task: str) -> int:
    """Return how many bytes a thread has written; UNKNOWN where the kernel does not count or show it."""
    return _number(_WRITTEN, f"/proc/{pid}/task/{task}/io")


def _number(pattern: re.Pattern[bytes], path: str) -> int:
    with contextlib.suppress(OSError):
        if found := pattern.search(_read(path)):
            return int(found[1])
    return UNKNOWN


def _memory(pid: int, address: int, size: int) -> bytes:
    if not address or not size:
        return b""
    fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, address)
    finally:
        os.close(fd)


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(1 << 14)
