"""Where a process was started: its terminal and its tmux pane, from /proc (proc(5)). Elsewhere both are empty."""

from __future__ import annotations

import os

from orchestrator.process import procfs

_PTS = range(136, 144)  # major numbers of /dev/pts (devices.txt of the kernel), 256 terminals each
_TTY = 4
_ENVIRONMENT_MAX = 1 << 20


def terminal_of(pid: int) -> str:
    """Return the controlling terminal, like `pts/3`; empty if it has none."""
    fields = procfs.stat_fields(pid)
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
