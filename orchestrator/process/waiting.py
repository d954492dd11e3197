"""Whether somebody at a terminal is being waited for: facts about a pty, asked of the kernel through its master.

A line editor (readline, prompt_toolkit) takes ICANON off while it reads, a password prompt takes ECHO off. Everybody
else who asks sits in read(2) on the terminal, in its foreground process group; that stands in /proc/PID/syscall
(proc(5): the number of the call, then its arguments), which the kernel shows to who may trace the process. Where it
does not, /proc/PID/wchan says `n_tty_read` on some kernels (not on those that name its callee, `wait_woken`: a socket
is waited for there too).

Facts: on Linux the ioctls of a master answer for its slave (pty.c, `tty->link`); TIOCGPTN gives the slave's number.
"""

from __future__ import annotations

import fcntl
import os
import platform
import struct
import termios
from collections.abc import Iterable

_TIOCGPTN = 0x80045430  # asm-generic/ioctls.h; others have the same number under another direction bit
_READ_NUMBER = {"x86_64": b"0", "aarch64": b"63", "riscv64": b"63", "armv7l": b"3", "ppc64le": b"3", "s390x": b"3"}
_READ = _READ_NUMBER.get(platform.machine())
_PTS_MAJORS = range(136, 144)
_DEV_TTY = os.makedev(5, 0)
_LFLAG = 3
TASKS_MAX = 512  # threads that are looked at


def is_hidden(master_fd: int) -> bool:
    """Whether what is typed is not echoed by the terminal; False where it cannot be told."""
    return not _flags(master_fd) & termios.ECHO


def is_echoed(master_fd: int) -> bool:
    """Whether what is typed comes back: by the terminal's ECHO, or by a line editor, which has ICANON off."""
    flags = _flags(master_fd)
    return bool(flags & termios.ECHO) or not flags & termios.ICANON


def is_waited_for(master_fd: int, tree: Iterable[int]) -> bool:
    """Whether a line editor has the terminal, or one of `tree` in its foreground group is in read(2) on it."""
    flags = _flags(master_fd)
    if not flags & termios.ICANON or not flags & termios.ECHO:
        return True
    group, device = _foreground(master_fd), _device(master_fd)
    left = TASKS_MAX
    for pid in tree:
        if left > 0 and _group_of(pid) == group:
            tasks = _tasks(pid)[:left]
            left -= len(tasks)
            if any(_reads(pid, task, device) for task in tasks):
                return True
    return False


def _flags(master_fd: int) -> int:
    try:
        flags: int = termios.tcgetattr(master_fd)[_LFLAG]
    except (OSError, termios.error):
        return termios.ICANON | termios.ECHO
    return flags


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


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _reads(pid: int, task: str, device: int) -> bool:
    words = _words(f"/proc/{pid}/task/{task}/syscall")
    if not words:
        return _words(f"/proc/{pid}/task/{task}/wchan") == [b"n_tty_read"]
    if len(words) < 2 or words[0] != _READ:  # "running" is one word
        return False
    try:
        seen = os.stat(f"/proc/{pid}/fd/{int(words[1], 16)}").st_rdev
    except OSError:
        return False
    return seen in (device, _DEV_TTY)


def _words(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read(256).split()
    except OSError:
        return []
