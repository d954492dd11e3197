"""Standard output, behind a queue, so that writing never blocks the supervisor.

Everything that one turn of the loop produces leaves in one write. While the sink makes progress nothing is skipped: the
reader of the ptys checks `full` (a file or pipe) or `slows_floods` (a terminal) and stops reading masters, so that
their writers block. A terminal *stalls* when it has accepted nothing for STALL seconds (^S, tmux copy mode, a broken
ssh). Then no component is slowed, and text is skipped until the terminal accepts something again. In a `hurry` (a stop)
no component is slowed either: for a terminal the last text of each component is kept, and a pipe skips text much later.

Facts: O_NONBLOCK belongs to the open file, which inherited descriptors share with the shell. So 0-2 are left unchanged
and are reopened through /proc/self/fd (open(2)). If that is refused (after `su`), or for a socket, we wait for poll(2),
write in small pieces, and give up a write after WRITE_TIMEOUT. After ^S, write(2) returns EAGAIN and
poll(2) does not report POLLOUT. A pty holds about 20 KB. poll(2) reports it as writable only when nearly all of that
has been read, but write(2) accepts 500 bytes or more before that (measured, Linux 6.18). So only a write shows reliably
whether there is progress.

This file also writes to descriptors that cannot be made non-blocking because another process shares them.

Fact: poll(2) reports a pty as writable while it has room for one byte, but an LF takes two (n_tty.c, ONLCR), and
write(2) then blocks (measured: pieces of any size block sooner or later). So a timer interrupts the write
(setitimer(2), SIGALRM without SA_RESTART). libc's write is called directly: os.write would retry (PEP 475).
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import select
import signal
import stat
from collections.abc import Callable
from types import FrameType

from orchestrator.output.backlog import LAST, Backlog, Flow
from orchestrator.runtime.loop import WRITE, Loop, Timer

HIGH_WATER = 1 << 18  # bytes waiting for a file or pipe at which readers pause
LOW_WATER = HIGH_WATER // 4  # … at which reading resumes
FLOOD_HIGH = 1 << 16  # bytes of floods waiting for a terminal at which they are not read
FLOOD_LOW = FLOOD_HIGH // 4  # … at which they are read again
STALL = 2.0  # seconds in which a terminal has accepted nothing, after which it skips
STALL_KEEP = 1 << 16  # bytes of each flood that are kept for a terminal that has stalled
STALL_MAX = 1 << 22  # bytes waiting for it in all at which it skips everything
HURRY_KEEP = 1 << 20  # bytes of each component that a terminal still gets in a hurry
HURRY_MAX = 1 << 24  # bytes waiting for a pipe at which it skips, in a hurry
TERMINAL_MAX = 1 << 26  # bytes waiting for a terminal at which it skips although it makes progress
OWN_MAX = 1 << 20  # bytes beyond these at which even our own lines are skipped
SMALL = 512  # bytes of one write that might block
REST = 0.1  # seconds until the next attempt after a write that accepted nothing


class OutputKind(enum.Enum):
    """The kind of standard output."""

    TERMINAL = "terminal"
    FILE = "file"
    STREAM = "stream"  # a pipe or a socket


def kind_of(fd: int) -> OutputKind:
    """Return the kind of `fd`."""
    if os.isatty(fd):
        return OutputKind.TERMINAL
    mode = os.fstat(fd).st_mode
    return OutputKind.STREAM if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else OutputKind.FILE


class Console:
    """A queue of bytes in front of one descriptor. `on_broken` is called, once, with the reason why nothing can be
    written any more. `skipped_note` makes the line that reports what was skipped."""

    def __init__(self, loop: Loop, fd: int, on_broken: Callable[[OSError], None]) -> None:
        self.kind = kind_of(fd)
        self._loop = loop
        self._on_broken = on_broken
        self._backlog = Backlog(fair=self.kind is OutputKind.TERMINAL)
        self._watching = False
        self._resting = False
        self._held = False
        self._broken = False
        self._in_hurry = False
        self._stalled = False
        self._progress_at = 0.0  # when the sink last accepted something, or the queue was empty
        self._stall_timer: Timer | None = None
        self._skip_at = TERMINAL_MAX if self.kind is OutputKind.TERMINAL else None
        self._skipping = False
        self.given_up = 0  # bytes that were dropped although there was a reader
        self.skipped_note: Callable[[int, int], bytes] = lambda lines, size: b""
        self._fd, self._owned = _reopen(fd, self.kind)
        self._careful = not self._owned and self.kind is not OutputKind.FILE

    @property
    def full(self) -> bool:
        """Whether all readers have to pause. Never for a terminal: see `slows_floods`."""
        return self._backlog.size >= HIGH_WATER and self.kind is not OutputKind.TERMINAL

    @property
    def slows_floods(self) -> bool:
        """Whether floods (`Flow.is_flood`) must not be read now."""
        return self._backlog.flood_size >= FLOOD_HIGH and not self._stalled and not self._in_hurry

    @property
    def lets_floods_go_on(self) -> bool:
        """Whether floods may be read again."""
        return self._backlog.flood_size <= FLOOD_LOW or self._stalled or self._in_hurry

    @property
    def is_blocked(self) -> bool:
        """Whether the sink accepts nothing now."""
        return self._watching or self._resting or self._held

    @property
    def waiting(self) -> int:
        """The number of bytes that the sink has not accepted yet."""
        return self._backlog.size

    def size(self) -> tuple[int, int] | None:
        """Columns and rows of the terminal; None if this is not a terminal or its size is 0."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            return None
        return (columns, rows) if columns and rows else None

    def hurry(self) -> None:
        """Stop pausing readers. If the sink falls behind, skip text, whatever its kind."""
        self._in_hurry = True
        self._set_limits()

    def write(self, shown: bytes, flow: Flow | None = None, *, may_skip: bool = True) -> bool:
        """Queue text that ends a line: a component's, with its `flow`, or our own. If the sink has stalled and much
        waits, it is counted and dropped instead; without `may_skip` only if very much waits.

        Returns whether it was queued.
        """
        if self._broken or not shown:
            return False
        if self._skip_at is not None and self._backlog.size >= self._skip_at:
            self._skipping = True
        if self._skipping and (may_skip or self._backlog.size >= (self._skip_at or 0) + OWN_MAX):
            self._backlog.skip(shown)
            return False
        self._backlog.append(shown, flow)
        return True

    def merge(self, flow: Flow) -> None:
        """Let no later text pass that of `flow`."""
        self._backlog.merge(flow)

    def flush(self, last: bytes = b"") -> bool:
        """Write what the sink takes now; the rest follows when it is writable. `last` is written behind everything, or
        not at all. Returns whether it has been, or its beginning."""
        if not (last or self._backlog.size) or self._watching or self._resting or self._held or self._broken:
            return False
        if last:
            self._backlog.append(last, LAST)
        self._write_out()
        return bool(last) and not self._broken and self._backlog.last_has_begun

    def drain(self, timeout: float | None) -> None:
        """Wait until everything is written, as long as something is accepted every `timeout` seconds (None: however
        long that takes). For a terminal, the time before the call counts too: a stalled terminal causes no delay."""
        self.flush()
        began = 0.0 if self.kind is OutputKind.TERMINAL else self._loop.now()
        while self._backlog.size:
            if timeout is None:
                self._loop.turn()
                continue
            until = max(began, self._progress_at) + timeout
            timer = self._loop.call_at(until, self._try_again)
            self._loop.turn()
            timer.cancel()
            if self._loop.now() >= max(began, self._progress_at) + timeout:
                return

    def hold(self) -> None:
        """Write nothing until `release`."""
        self._held = True
        self._watch(False)

    def release(self) -> None:
        """Write again."""
        self._held = False
        self.flush()

    def abandon(self) -> None:
        """Stop writing; drop everything from now on."""
        self._broken = True
        self.give_up()

    def resume(self) -> None:
        """Write again after `abandon`."""
        self._broken = False

    def give_up(self) -> None:
        """Drop what waits, and end a `drain`."""
        self.given_up += 0 if self._broken else self._backlog.size
        self._backlog.clear()
        self._watch(False)
        self._forget_stall_timer()

    def close(self) -> None:
        """Close the sink. Queued text is lost."""
        self._loop.remove(self._fd)
        if self._owned:
            os.close(self._fd)

    def _on_writable(self, _: int) -> None:
        self._write_out()

    def _write_out(self) -> None:
        if self._held:
            return
        backlog = self._backlog
        if not backlog.has_rest:
            self._progress_at = self._loop.now()
        try:
            done = self._write_all()
            if (self._skipping or backlog.skipped_bytes) and backlog.size <= LOW_WATER:
                self._note_skipped()
                done = done and self._write_all()
        except OSError as error:
            self._fail(error)
            return
        if backlog.size:
            backlog.settle()
            self._await_stall()
        if self._resting:
            self._rest()
        elif self._watching is done:
            self._watch(not done)

    def _write_all(self) -> bool:
        """Write as much as the sink takes; returns whether that is all."""
        backlog = self._backlog
        while backlog.size:
            data = backlog.head()
            if self._careful:
                done = self._write_carefully(memoryview(data))
            else:
                try:
                    done = os.write(self._fd, data)
                except BlockingIOError:
                    done = 0
            if done:
                backlog.consume(done)
                self._progress_at = self._loop.now()
                if self._stalled:
                    self._end_stall()
            if not done or (self._careful and done < len(data)):
                return False
        return True

    # What is skipped

    def _set_limits(self) -> None:
        if self.kind is OutputKind.TERMINAL:
            self._backlog.keep = HURRY_KEEP if self._in_hurry else STALL_KEEP if self._stalled else None
            self._skip_at = STALL_MAX if self._stalled and not self._in_hurry else TERMINAL_MAX
            self._backlog.trim()
        elif self._in_hurry:
            self._skip_at = HURRY_MAX

    def _await_stall(self) -> None:
        if self._stall_timer is None and not self._stalled and self.kind is OutputKind.TERMINAL:
            self._stall_timer = self._loop.call_at(self._progress_at + STALL, self._check_stall)

    def _try_again(self) -> None:
        if self._backlog.size and not self._resting:
            self._write_out()

    def _check_stall(self) -> None:
        """Try once more: this process may have been stopped all the time (^Z), and see the facts above."""
        self._stall_timer = None
        self._try_again()
        if not self._backlog.size:
            return
        if self._loop.now() < self._progress_at + STALL:
            self._await_stall()
            return
        self._stalled = True
        self._forget_stall_timer()
        self._set_limits()

    def _forget_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _end_stall(self) -> None:
        self._stalled = False
        self._set_limits()
        self._note_skipped()

    def _note_skipped(self) -> None:
        self._skipping = False
        if self._backlog.skipped_bytes:
            self._backlog.append(self.skipped_note(self._backlog.skipped_lines, self._backlog.skipped_bytes))
        self._backlog.skipped_lines = self._backlog.skipped_bytes = 0

    def _write_carefully(self, view: memoryview) -> int:
        """Write to a descriptor that is not ours and may block; return how much it took."""
        done = 0
        while done < len(view):
            if not accepts(self._fd):
                break
            try:
                done += write(self._fd, bytes(view[done : done + SMALL]))
            except BlockingIOError:
                self._resting = True
                break
        return done

    def _rest(self) -> None:
        """Stop watching for a while: poll(2) would report at every turn that a write is possible, though it is not."""
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
        self.give_up()
        self._on_broken(error)


def _reopen(fd: int, kind: OutputKind) -> tuple[int, bool]:
    """Return a new non-blocking descriptor for the file of `fd`, or `fd` itself; and whether it is a new one."""
    if kind is not OutputKind.FILE:
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
    """Enlarge a pipe's buffer. Ignore EBADF (not a pipe) and EPERM (the user's pipes exceed the kernel's limit;
    pipe(7))."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < HIGH_WATER:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, HIGH_WATER)
    except (AttributeError, OSError):  # macOS has no such call
        pass


def accepts(fd: int) -> bool:
    """Return whether a write would be accepted now."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


WRITE_TIMEOUT = 0.02  # seconds


def _nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing. With a handler, the signal interrupts the write."""


def write(fd: int, data: bytes) -> int:
    """Write what is accepted within WRITE_TIMEOUT and return its length. Raises BlockingIOError if nothing was
    accepted."""
    import ctypes  # 3 ms, for descriptors of others only

    libc = ctypes.CDLL(None, use_errno=True)
    if signal.getsignal(signal.SIGALRM) is not _nothing:
        signal.signal(signal.SIGALRM, _nothing)
        signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, WRITE_TIMEOUT, WRITE_TIMEOUT)
    try:
        done: int = libc.write(fd, data, len(data))
        error = ctypes.get_errno()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    if done < 0:
        raise OSError(errno.EAGAIN if error == errno.EINTR else error, os.strerror(error))
    return done
