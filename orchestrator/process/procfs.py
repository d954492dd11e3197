"""Facts about one process from its entry in /proc (proc(5)). Linux only; elsewhere nothing is known.

This file also finds the terminal and the tmux pane in which a process was started. Without /proc both are empty.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from orchestrator.runtime.fd_limit import ReservedDescriptors
from orchestrator.terminal.escapes import printable_line

LINUX = sys.platform.startswith("linux")


def stat_fields(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the state on; empty if the process does not exist."""
    with ReservedDescriptors():
        try:
            fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            return os.read(fd, 4096).rpartition(b")")[2].split()
        except ProcessLookupError:
            return []
        finally:
            os.close(fd)


def read(pid: int, name: str) -> bytes:
    """Return the first 4096 bytes of a file in the entry of a process; empty if it cannot be read."""
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)


def exists(pid: int) -> bool:
    """Whether the process exists, even as a zombie."""
    return bool(stat_fields(pid))


def pids() -> Iterator[int]:
    """Yield the pids of all processes that are visible here; none without /proc."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


def open_files(pid: int) -> Iterator[str]:
    """Yield what each descriptor of a process leads to, as /proc/PID/fd names it. Nothing if we may not see it."""
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:  # another user's, not dumpable, or gone by now
        return
    for name in names:
        try:
            yield os.readlink(f"{directory}/{name}")
        except OSError:
            continue


def parent_of(pid: int) -> int:
    """Return the parent's pid; 0 if the process has gone."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def session_of(pid: int) -> int:
    """Return the session's number; 0 if the process has gone."""
    fields = stat_fields(pid)
    return int(fields[3]) if fields else 0


def group_of(pid: int) -> int:
    """Return the process group; 0 if the process has exited."""
    fields = stat_fields(pid)
    return int(fields[2]) if fields else 0


def arguments_of(pid: int) -> list[str]:
    """Return the argument list; empty for a zombie, and if it cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(argument) for argument in file.read(65536).split(b"\0")[:-1]]
    except OSError:
        return []


def start_time(pid: int) -> int:
    """Return when it started, in clock ticks since boot; 0 if it has gone. With the pid that identifies a process."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def is_zombie(pid: int) -> bool:
    """Whether the process is a zombie or gone."""
    fields = stat_fields(pid)
    return LINUX and (not fields or fields[0] in (b"Z", b"X"))


def is_stopped(pid: int) -> bool:
    """Whether it is suspended: by a signal, as after Ctrl-Z, or by a debugger."""
    return stat_fields(pid)[:1] in ([b"T"], [b"t"])


def command_of(pid: int) -> str:
    """Return the beginning of a process's command line, fit for a message; `?` if it cannot be read.

    A process may choose its command line freely, so characters that could control a terminal are replaced.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return printable_line(file.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()) or "?"
    except OSError:
        return "?"


def describe(pid: int) -> str:
    """Return pid, command line and state, for a message about a process that does not end."""
    fields = stat_fields(pid)
    return f"{pid} ({command_of(pid)}, state {fields[0].decode() if fields else '?'})"


_PTS = range(136, 144)  # major numbers of /dev/pts (devices.txt of the kernel), 256 terminals each
_TTY = 4
_ENVIRONMENT_MAX = 1 << 20


def terminal_of(pid: int) -> str:
    """Return the controlling terminal, like `pts/3`; empty if it has none."""
    fields = stat_fields(pid)
    device = int(fields[4]) if fields else 0
    major, minor = os.major(device & 0xFFFFFFFF), os.minor(device & 0xFFFFFFFF)
    if major in _PTS:
        return f"pts/{(major - _PTS[0]) * 256 + minor}"
    return f"tty{minor}" if major == _TTY else ""


def tmux_pane_of(pid: int) -> str:
    """Return the tmux pane that it runs in, like `%7`; empty if it runs in none, or belongs to another user."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read(_ENVIRONMENT_MAX).split(b"\0")
    except OSError:
        return ""
    found = next((word for word in words if word.startswith(b"TMUX_PANE=")), b"=")
    return found.partition(b"=")[2][:20].decode("ascii", "replace")
