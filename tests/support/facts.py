"""How a test waits, and what it sees of processes it did not start itself.

A test waits for a fact only: a line, an exit, the end of a tree. Facts come as readable fds, and one `pump` drains
those of all runs at once, so that no command is held up because the test looks at another. What has no fd (a file
that appears, a tmux server that answers) is looked for in `until`, the only place that polls. What has a
time to be there is held to it by lateness.py.
"""

import fcntl
import os
import re
import selectors
import struct
import termios
import time
from pathlib import Path

from programs.reaper import stat_of

PATIENCE = 60.0  # seconds for what takes well under one on an idle machine
ESCAPES = re.compile(rb"\x1b\[[0-9;:?]*[a-zA-Z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>]|\x0f")

watched = selectors.DefaultSelector()  # what is ready calls its `data`


def pump(done, timeout):
    """Drain the fds of all runs until `done()`; false when the time is over first."""
    deadline = time.monotonic() + timeout
    while not done():
        for key, _ in watched.select(max(0.0, deadline - time.monotonic())):
            key.data()
        if time.monotonic() >= deadline:  # even where something is always said: who floods must not hold the test
            return done()
    return True


def until(look, timeout=PATIENCE, interval=0.005):
    """Poll `look` for what has no fd, every `interval` seconds or, with 0, as fast as it answers.

    Its first true value, or None when the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found or None
        pump(lambda: False, interval)


def describe(pid):
    """A process in words, for the message of a test that fails."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        command = ""
    stat = stat_of(pid)
    if stat is None:
        return f"{pid} (gone meanwhile)"
    return f"{pid} {stat[0]} state {stat[1]} parent {stat[2]} session {stat[4]}: {command}"


def children(pid):
    """The direct children of a process, living or not."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(child) for task in tasks for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def plain(data):
    """As a reader sees it: text without escapes and CR."""
    return ESCAPES.sub(b"", bytes(data)).replace(b"\r", b"").decode("utf-8", "replace")


def unread(fd):
    """Bytes that wait in a pipe or terminal."""
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]


# 32 and 33 are the C library's own: its posix_spawn, by which CPython 3.13 starts processes, leaves them ignored, and
# its signal() refuses to name them. Bits of a mask in /proc/PID/status.
LIBC_SIGNALS = 3 << 31
