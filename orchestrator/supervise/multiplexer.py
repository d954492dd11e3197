"""Reads all the ptys and hands their lines, prefixed, to the console.

One `read` is at most 4095 bytes of a pty, so each readable master is read several times in a row and its lines are
painted in one piece. Where the sink is full (a pipe or file; never a terminal) all masters are left unread until it has
drained: the line discipline then blocks the writers. During a stop nobody is slowed: what exceeds STOP_MAX is counted
and dropped.

Facts: a master answers EIO once no process has the slave open, and only after all that was written has been read
(n_tty flushes its buffers first), so reading until EIO or EAGAIN after the tree is vacated misses nothing.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.output.console import LOW_WATER
from orchestrator.output.screen import Screen
from orchestrator.runtime.loop import READ, Loop, Timer
from orchestrator.text.lines import LineSplitter
from orchestrator.text.prefix import Painter

READS = 16  # of one master in one turn, before the others get theirs
READ_SIZE = 1 << 16
LAST_WORDS = 1 << 22  # bytes read after the tree has gone, should somebody outside it hold the slave open
STOP_MAX = 1 << 24  # bytes queued for a sink that takes nothing, while stopping
TAIL_AFTER = 0.1  # seconds until an unfinished line is shown
REDRAW_AFTER = 1.0  # seconds between two states of a row that is rewritten
TAIL_MAX = 8192  # bytes of an unfinished line that are looked at
RECENT = 8192  # bytes of the last lines that are kept to explain an end

Watcher = Callable[[bytes], None]


class Log(Protocol):
    """Where every byte of a terminal is kept."""

    def write(self, chunk: bytes) -> None:
        """Take a chunk."""

    def finish(self) -> None:
        """End an unfinished line; the incarnation has ended."""


@dataclass(slots=True, eq=False)
class Stream:
    """One open master. `watcher`, where set, sees every whole line too; `shown` is off for a quiet component."""

    master_fd: int
    painter: Painter
    log: Log | None = None
    shown: bool = True
    splitter: LineSplitter = field(default_factory=LineSplitter)
    watcher: Watcher | None = None
    recent: bytes = b""
    open: bool = True
    line_since: float = 0.0
    tail_at: float = 0.0
    tail_timer: Timer | None = None


class Multiplexer:
    """Owns every master descriptor that the supervisor has, from `open` to `close`."""

    def __init__(self, loop: Loop, screen: Screen) -> None:
        self._loop = loop
        self._screen = screen
        self._console = screen.console
        self._by_fd: dict[int, Stream] = {}
        self._paused = False
        self._patient = True
        self.dropped = 0
        loop.after_each_turn(self._balance)

    def open(self, stream: Stream) -> Stream:
        """Take over a master and read it from now on."""
        os.set_blocking(stream.master_fd, False)
        self._by_fd[stream.master_fd] = stream
        if not self._paused:
            self._listen(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Read what is left, show an unfinished line, close the master."""
        left = LAST_WORDS
        while left > 0 and (data := self._read(stream, READS)):
            left -= len(data)
            self._take(stream, data)
        if stream.open:
            self._end(stream)
        self._hide_tail(stream)
        self._show(stream, stream.splitter.flush())
        if stream.log is not None:
            stream.log.finish()

    def resize(self, rows: int, columns: int) -> None:
        """Give every pty a new size; its foreground group gets SIGWINCH from the kernel (TIOCSWINSZ)."""
        for fd in self._by_fd:
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hurry(self) -> None:
        """From now on slow nobody down: a stop is under way."""
        self._patient = False
        self._resume()

    def _listen(self, stream: Stream) -> None:
        self._loop.add(stream.master_fd, READ, lambda _: self._on_readable(stream))

    def _on_readable(self, stream: Stream) -> None:
        if data := self._read(stream, READS):
            self._take(stream, data)

    def _read(self, stream: Stream, times: int) -> bytes:
        """Return what is there, at most `times` reads of it; closes the master where the other side has gone."""
        if not stream.open:
            return b""
        chunks: list[bytes] = []
        try:
            for _ in range(times):
                chunks.append(os.read(stream.master_fd, READ_SIZE))
        except BlockingIOError:
            pass
        except OSError:
            self._end(stream)
        return b"".join(chunks)

    def _take(self, stream: Stream, data: bytes) -> None:
        if stream.log is not None:
            stream.log.write(data)
        splitter = stream.splitter
        whole = splitter.feed(data)
        self._show(stream, whole)
        if splitter.piece:
            self._put(stream, stream.painter.paint_piece(splitter.piece))
            splitter.piece = b""
        if self._screen.shows_tails and stream.shown:
            self._follow_tail(stream, b"\n" in data)

    def _show(self, stream: Stream, whole: bytes) -> None:
        if whole:
            stream.recent = whole[-RECENT:] if len(whole) >= RECENT else (stream.recent + whole)[-RECENT:]
            if stream.watcher is not None:
                stream.watcher(whole)
            if stream.shown:
                self._put(stream, stream.painter.paint(whole))

    def _put(self, stream: Stream, shown: bytes) -> None:
        if not self._patient and self._console.waiting > STOP_MAX:
            self.dropped += len(shown)
        else:
            self._screen.show(shown)

    # The unfinished line

    def _follow_tail(self, stream: Stream, began: bool) -> None:
        now = self._loop.now()
        if began or not stream.line_since:
            stream.line_since = now
            stream.tail_at = 0.0
            self._screen.set_tail(stream, b"")
        if not stream.splitter.has_pending:
            self._hide_tail(stream)
        elif stream.tail_timer is None:
            self._arm_tail(stream, max(stream.line_since, stream.tail_at) + TAIL_AFTER)

    def _arm_tail(self, stream: Stream, when: float) -> None:
        stream.tail_timer = self._loop.call_at(when, lambda: self._draw_tail(stream))

    def _draw_tail(self, stream: Stream) -> None:
        stream.tail_timer = None
        if not stream.splitter.has_pending:
            return
        pending = stream.splitter.pending
        if len(pending) > TAIL_MAX:
            pending = pending[:TAIL_MAX]
        wait = REDRAW_AFTER if b"\r" in pending.rstrip(b"\r") else TAIL_AFTER
        due = max(stream.line_since + TAIL_AFTER, stream.tail_at + wait if stream.tail_at else 0.0)
        now = self._loop.now()
        if now < due:
            self._arm_tail(stream, due)
            return
        stream.tail_at = now
        self._screen.set_tail(stream, stream.painter.paint_tail(pending))

    def _hide_tail(self, stream: Stream) -> None:
        if stream.tail_timer is not None:
            stream.tail_timer.cancel()
            stream.tail_timer = None
        stream.line_since = 0.0
        self._screen.set_tail(stream, b"")

    # The end of a master, and of patience

    def _end(self, stream: Stream) -> None:
        stream.open = False
        del self._by_fd[stream.master_fd]
        self._loop.remove(stream.master_fd)
        os.close(stream.master_fd)

    def _balance(self) -> None:
        self._screen.end_turn()
        if self._paused:
            if self._console.waiting <= LOW_WATER:
                self._resume()
        elif self._patient and self._console.full:
            self._paused = True
            for fd in self._by_fd:
                self._loop.remove(fd)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            for stream in self._by_fd.values():
                self._listen(stream)
