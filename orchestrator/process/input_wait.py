"""Finds out whether a program waits for input from a pty: facts from the kernel, through the master.

A program that waits for input is blocked in read(2) on the terminal, or in select, poll or epoll, in the terminal's
foreground process group; this is visible if its threads may be traced (see below). Otherwise /proc/PID/wchan is
`n_tty_read` on some kernels (not on those that name its callee, `wait_woken`, which a read of a socket shows too).
Otherwise only the modes remain: a line editor (readline, prompt_toolkit) turns ICANON off while it reads, a password
prompt turns ECHO off.

Facts: on Linux the ioctls of a master answer for its slave (pty.c, `tty->link`); TIOCGPTN gives the slave's number.
With ICANON off and VMIN 0, read(2) returns after a time (termios(3)).

This file also finds the descriptors whose input a sleeping thread of another process waits for, and whether the thread
has run since.

Facts: /proc/PID/task/TID/syscall (proc(5)) has the number of the call and its arguments while a thread is blocked, and
is visible to processes that may trace it. The sets of select(2) and poll(2) are in the process's memory, unchanged
until the call returns; an epoll instance lists its descriptors in fdinfo. The timeout is one of the arguments.
`voluntary_ctxt_switches` grows each time a thread goes to sleep: while it is the same the thread has not run. `wchar`
of its io file is the number of bytes that it has ever written.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
import platform
import re
import struct
import termios
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_TIOCGPTN = 0x80045430  # asm-generic/ioctls.h; other architectures have the same number with another direction bit
_PTS_MAJORS = range(136, 144)
_DEV_TTY = os.makedev(5, 0)
_LFLAG, _CC = 3, 6
TASKS_MAX = 512  # threads that are inspected


def is_hidden(master_fd: int) -> bool:
    """Whether the terminal does not echo what is typed; False if that is unknown."""
    return not _flags(master_fd) & termios.ECHO


def is_echoed(master_fd: int) -> bool:
    """Whether input is echoed: by the terminal's ECHO, or by a line editor, which has ICANON off."""
    flags = _flags(master_fd)
    return bool(flags & termios.ECHO) or not flags & termios.ICANON


def is_edited(master_fd: int) -> bool:
    """Whether a line editor or a password prompt has the terminal: ICANON or ECHO is off."""
    return _is_edited(_flags(master_fd))


@dataclass(frozen=True, slots=True)
class Reader:
    """A process of the foreground group that waits for input from the terminal.

    It is `blocked` if it does nothing else until input arrives: in read(2), or under a line editor in another call
    without a timeout and for the terminal alone. Otherwise it may be an event loop, or the kernel does not report it.
    `is_main` says that its first thread waits, `threads` how many there are.
    """

    blocked: bool
    is_main: bool = True
    threads: int = 1


def find_reader(master_fd: int, tree: Iterable[int]) -> Reader | None:
    """Return a process of `tree` that waits for input from the terminal; prefer one that is blocked."""
    device, flags = _device(master_fd), _attributes(master_fd)
    edited = _is_edited(flags[_LFLAG])
    returns = not flags[_LFLAG] & termios.ICANON and flags[_CC][termios.VMIN] == 0
    found: Reader | None = None
    unknown = not KNOWS_ALL
    for pid, task in _foreground_tasks(master_fd, tree):
        try:
            wait = wait_of(pid, task, tuple(Call))
        except OSError:
            if _stands_in(pid, task) == b"n_tty_read":
                return Reader(blocked=True)
            unknown = True
            continue
        terminals = sum(_is_terminal(pid, fd, device) for fd in wait.fds) if wait else 0
        if wait is None or not terminals:
            continue
        if wait.call is Call.READ:
            blocked = not returns
        else:
            blocked = edited and not wait.timed and terminals == len(wait.fds)
        if blocked or found is None:
            found = Reader(blocked, task == str(pid), len(_tasks(pid)))
        if blocked:
            break
    return found or (Reader(blocked=False) if unknown and edited else None)


@dataclass(frozen=True, slots=True)
class Sleeper:
    """A thread of the foreground group that waits for input from the terminal.

    `switches` tells later whether it has run since, `written` whether it has written; `alone` says that it waits for
    nothing else, as debuggers and shells do, and event loops do not; `timed` that it will wake up by itself.
    """

    pid: int
    task: str
    switches: int
    written: int
    alone: bool
    timed: bool = False

    def is_same(self, other: Sleeper) -> bool:
        """Whether both are one thread."""
        return (self.pid, self.task) == (other.pid, other.task)

    def has_run_since(self, before: Sleeper) -> bool:
        """Whether this thread has run since `before`."""
        return self.switches != before.switches

    def has_written_since(self, before: Sleeper) -> bool:
        """Whether this thread has, or may have, written anything since `before`."""
        return self.written != before.written or self.written == UNKNOWN


def find_sleeper(master_fd: int, tree: Iterable[int], before: Sleeper | None) -> Sleeper | None:
    """Return a thread that waits for input from the terminal, in read(2), or under a line editor also in select, poll
    or epoll.

    The thread of `before` is checked first: while it waits, the others are not checked.
    """
    device, edited = _device(master_fd), is_edited(master_fd)
    if before is not None and _group_of(before.pid) == _foreground(master_fd):
        sleeper = _sleeper(before.pid, before.task, device, edited)
        if sleeper is not None:
            return sleeper
    for pid, task in _foreground_tasks(master_fd, tree):
        sleeper = _sleeper(pid, task, device, edited)
        if sleeper is not None:
            return sleeper
    return None


def _sleeper(pid: int, task: str, device: int, edited: bool) -> Sleeper | None:
    try:
        wait = wait_of(pid, task, tuple(Call) if edited else (Call.READ,))
    except OSError:
        if _stands_in(pid, task) != b"n_tty_read":
            return None
        alone, timed = True, False
    else:
        terminals = sum(_is_terminal(pid, fd, device) for fd in wait.fds) if wait else 0
        if wait is None or not terminals:
            return None
        alone, timed = terminals == len(wait.fds), wait.timed
    return Sleeper(pid, task, switches(pid, task), written(pid, task), alone, timed)


def _is_edited(flags: int) -> bool:
    return not flags & termios.ICANON or not flags & termios.ECHO


def _flags(master_fd: int) -> int:
    flags: int = _attributes(master_fd)[_LFLAG]
    return flags


def _attributes(master_fd: int) -> list[Any]:
    try:
        return termios.tcgetattr(master_fd)
    except (OSError, termios.error):
        return [0, 0, 0, termios.ICANON | termios.ECHO, 0, 0, {}]


def _foreground(master_fd: int) -> int:
    try:
        return os.tcgetpgrp(master_fd)
    except OSError:
        return -1


def _device(master_fd: int) -> int:
    try:
        number: int = struct.unpack("i", fcntl.ioctl(master_fd, _TIOCGPTN, b"\0" * 4))[0]
    except OSError:
        return -1
    return os.makedev(_PTS_MAJORS[number >> 20], number & 0xFFFFF)


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -2


def _foreground_tasks(master_fd: int, tree: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield the threads of those of `tree` that are in the terminal's foreground group, TASKS_MAX at most."""
    group = _foreground(master_fd)
    left = TASKS_MAX
    for pid in tree:
        if left > 0 and _group_of(pid) == group:
            tasks = _tasks(pid)[:left]
            left -= len(tasks)
            for task in tasks:
                yield pid, task


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _is_terminal(pid: int, fd: int, device: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}/fd/{fd}").st_rdev in (device, _DEV_TTY)
    except OSError:
        return False


def _stands_in(pid: int, task: str) -> bytes:
    try:
        with open(f"/proc/{pid}/task/{task}/wchan", "rb") as file:
            return file.read(256).strip()
    except OSError:
        return b""


FDS_MAX = 256  # descriptors of one call that are inspected
_POLLFD = struct.Struct("ihh")
_POLL_INPUT = 0x41  # POLLIN | POLLRDNORM, asm-generic/poll.h
_WATCHED = re.compile(rb"^tfd:\s*(\d+)", re.MULTILINE)
_SWITCHES = re.compile(rb"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
_WRITTEN = re.compile(rb"^wchar:\s*(\d+)", re.MULTILINE)
UNKNOWN = -1


class Call(enum.Enum):
    """The calls that can wait for input."""

    READ = enum.auto()
    SELECT = enum.auto()
    POLL = enum.auto()
    EPOLL = enum.auto()


# asm/unistd.h; where only read(2) is named, other kinds of waiting are not detected. (All that have SELECT here are
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
KNOWS_ALL = Call.SELECT in _CALLS.values()  # whether every call that can wait for input is known here


@dataclass(frozen=True, slots=True)
class Wait:
    """What a thread waits for: the descriptors it reads, in which call, and whether it has a timeout."""

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
    """Return how often a thread has gone to sleep; UNKNOWN if it has ended."""
    return _number(_SWITCHES, f"/proc/{pid}/task/{task}/status")


def written(pid: int, task: str) -> int:
    """Return how many bytes a thread has written; UNKNOWN if the kernel does not count or show it."""
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
