"""The sink of the merged stream: a queue in front of standard output.

What a turn of the loop produced leaves in one write. Nobody waits here: a terminal that does not take bytes (^S, tmux
copy mode, a stalled ssh) makes the console skip and say so afterwards; a file or pipe loses nothing, and `full` asks
the reader of the ptys to pause instead. Only in a `hurry`, when readers must not pause any more, does a pipe skip too,
much later.

Facts: O_NONBLOCK belongs to the open file, which inherited descriptors share with the shell, so 0-2 are left as they
are and reopened through /proc/self/fd (open(2)). Where that is refused (after `su`), or for a socket, writes wait for
poll(2), go in small pieces, and are given up after a moment (`output.blocking`).
"""

from __future__ import annotations

import collections
import enum
import fcntl
import os
import select
import stat
from collections.abc import Callable

from orchestrator.output import blocking
from orchestrator.runtime.loop import WRITE, Loop

HIGH_WATER = 1 << 18  # bytes waiting for the sink at which readers pause, or a terminal skips
LOW_WATER = HIGH_WATER // 4  # … at which they go on
OWN_MAX = 4 * HIGH_WATER  # bytes waiting at which even our own lines are skipped
HURRY_MAX = 1 << 24  # bytes waiting for a pipe at which it skips, in a hurry
JOIN_MAX = 1 << 20  # bytes that are copied for the sake of one write
SMALL = 512  # bytes of one write where a write might block
REST = 0.1  # seconds until it is tried again where it did


class Kind(enum.Enum):
    """What standard output is."""

    TERMINAL = "terminal"
    FILE = "file"
    STREAM = "stream"  # a pipe or a socket


def kind_of(fd: int) -> Kind:
    """Say what `fd` is."""
    if os.isatty(fd):
        return Kind.TERMINAL
    mode = os.fstat(fd).st_mode
    return Kind.STREAM if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else Kind.FILE


class Console:
    """A queue of bytes in front of one descriptor. `on_broken` is told, once, why nothing can be written any more."""

    def __init__(self, loop: Loop, fd: int, on_broken: Callable[[OSError], None]) -> None:
        self.kind = kind_of(fd)
        self._loop = loop
        self._on_broken = on_broken
        self._queue: collections.deque[bytes | memoryview] = collections.deque()
        self._size = 0
        self._watching = False
        self._resting = False
        self._broken = False
        self._skip_at = HIGH_WATER if self.kind is Kind.TERMINAL else None
        self._skipping = False
        self._skipped_bytes = 0
        self._skipped_lines = 0
        self.skipped_note: Callable[[int, int], bytes] = lambda lines, size: b""
        self._fd, self._owned = _reopen(fd, self.kind)
        self._careful = not self._owned and self.kind is not Kind.FILE

    @property
    def full(self) -> bool:
        """Whether readers have to pause. Never for a terminal: that skips."""
        return self._size >= HIGH_WATER and self.kind is not Kind.TERMINAL

    @property
    def waiting(self) -> int:
        """Bytes that the sink has not taken yet."""
        return self._size

    def size(self) -> tuple[int, int] | None:
        """Columns and rows of the terminal; None where it has none, or says 0."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            return None
        return (columns, rows) if columns and rows else None

    def hurry(self) -> None:
        """From now on no reader can pause: skip in the end, whatever the sink is."""
        if self._skip_at is None:
            self._skip_at = HURRY_MAX

    def write(self, shown: bytes, *, may_skip: bool = True, counts: bool = True) -> bool:
        """Queue bytes. Where the sink has stalled they are counted and dropped, unless `may_skip` is off; without
        `counts` they are dropped silently.

        Returns whether they were queued.
        """
        if self._broken or not shown:
            return False
        if self._skip_at is not None and self._size >= self._skip_at:
            self._skipping = True
        if self._skipping and (may_skip or self._size >= self._skip_at_last()):
            if counts:
                self._skipped_bytes += len(shown)
                self._skipped_lines += shown.count(b"\n")
            return False
        self._queue.append(shown)
        self._size += len(shown)
        return True

    def _skip_at_last(self) -> int:
        return (self._skip_at or 0) + OWN_MAX

    def flush(self) -> None:
        """Write what the sink takes now; the rest follows when it is writable."""
        if not self._queue or self._watching or self._resting:
            return
        self._write_out()

    def drain(self, patience: float) -> None:
        """Wait until all is written, as long as something is taken every `patience` seconds."""
        while self._queue:
            before = self._size
            timer = self._loop.call_in(patience, lambda: None)
            while self._queue and self._size == before and timer.callback is not None:
                self._loop.turn()
            if timer.callback is None:
                return
            timer.cancel()

    def close(self) -> None:
        """Let go of the sink. What is still queued is lost."""
        self._loop.remove(self._fd)
        if self._owned:
            os.close(self._fd)

    def _on_writable(self, _: int) -> None:
        self._write_out()

    def _write_out(self) -> None:
        try:
            while self._queue and self._write_first():
                pass
        except OSError as error:
            self._fail(error)
            return
        if self._skipping and self._size <= LOW_WATER:
            self._skipping = False
            if self._skipped_bytes:
                note = self.skipped_note(self._skipped_lines, self._skipped_bytes)
                self._queue.append(note)
                self._size += len(note)
            self._skipped_lines = self._skipped_bytes = 0
        if self._resting:
            self._rest()
        else:
            self._watch(bool(self._queue))

    def _write_first(self) -> bool:
        """Write the first part of the queue; False once the sink takes no more."""
        if len(self._queue) > 1 and self._size <= JOIN_MAX:
            joined = b"".join(self._queue)
            self._queue.clear()
            self._queue.append(joined)
        data = memoryview(self._queue[0])
        done = self._write_some(data)
        self._size -= done
        if done == len(data):
            self._queue.popleft()
            return True
        self._queue[0] = data[done:]
        return False

    def _write_some(self, view: memoryview) -> int:
        done = 0
        while done < len(view):
            if self._careful:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                if not poll.poll(0):
                    break
            try:
                if self._careful:
                    done += blocking.write(self._fd, bytes(view[done : done + SMALL]))
                else:
                    done += os.write(self._fd, view[done:])
            except BlockingIOError:
                self._resting = self._careful
                break
        return done

    def _rest(self) -> None:
        """Not to be told at every turn that a write is possible, which is not."""
        self._watch(False)
        self._loop.call_in(REST, self._end_rest)

    def _end_rest(self) -> None:
        self._resting = False
        self.flush()

    def _watch(self, wanted: bool) -> None:
        if wanted and not self._watching:
            self._loop.add(self._fd, WRITE, self._on_writable)
        elif self._watching and not wanted:
            self._loop.remove(self._fd)
        self._watching = wanted

    def _fail(self, error: OSError) -> None:
        self._broken = True
        self._queue.clear()
        self._size = 0
        self._watch(False)
        self._on_broken(error)


def _reopen(fd: int, kind: Kind) -> tuple[int, bool]:
    """Return a descriptor of our own for what `fd` is, non-blocking, or `fd` itself, and whether it is ours."""
    if kind is not Kind.FILE:
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            own_fd = os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            pass
        else:
            _widen(own_fd)
            return own_fd, True
    return fd, False


def _widen(fd: int) -> None:
    """Let a pipe hold as much as the queue before it may. What is no pipe refuses that (EBADF), and so does the kernel
    where the user has too much in pipes already (EPERM; pipe(7))."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < HIGH_WATER:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, HIGH_WATER)
    except (AttributeError, OSError):  # macOS has no such call
        pass
