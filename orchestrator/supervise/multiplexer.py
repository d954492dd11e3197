"""Reads all the ptys and hands their lines, prefixed, to the console.

Where the sink is full (a pipe or file; never a terminal) all masters are left unread until it has drained: the line
discipline then blocks the writers. During a stop nobody is slowed: there the console skips in the end.

Facts: a read of a pty gives at most 4095 bytes, and the next one sleeps until the kernel's worker has brought more
(tty_buffer.c). While one component floods, that costs less than a turn of the loop for each read; of several, each gets
a share of the turn, and the worker refills the others meanwhile. A master answers EIO once no process has the slave
open, and only after all that was written has been read (n_tty flushes its buffers first), so reading until EIO or
EAGAIN after the tree is vacated misses nothing. EIO is not for ever: a process of the session may open /dev/tty again.
Until then level-triggered epoll(7) would report the hang-up without end, so such a master is parked in an
edge-triggered one, which tells of the next byte only.
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
from orchestrator.runtime.edge import EdgeWatch
from orchestrator.runtime.loop import READ, Loop, Timer
from orchestrator.text.block import BlockSplitter
from orchestrator.text.escapes import no_escapes
from orchestrator.text.prefix import Painter
from orchestrator.text.row import replay, rewrites

READ_SIZE = 1 << 16
FULL = 4095  # bytes of a read of a pty that may have left some
TURN_SIZE = 8 * FULL  # bytes that are read in one turn, shared by the masters that have any
LAST_WORDS = 1 << 22  # bytes read after the tree has gone, should somebody outside it hold the slave open
TAIL_AFTER = 0.1  # seconds until an unfinished line is shown
REDRAW_AFTER = 1.0  # seconds between two states of a row that is rewritten
TAIL_MAX = 8192  # bytes of an unfinished line that are looked at
RECENT = 16384  # bytes of the last lines that are kept to explain an end, and for who attaches
FEW = 1024  # bytes of one turn that do not make a flood
NEAR = 2000  # bytes shown since, up to which somebody who looks at the end has these lines before his eyes

Watcher = Callable[[bytes], None]


class Tap(Protocol):
    """Sees every chunk of a terminal first."""

    def take(self, data: bytes) -> bytes:
        """Return what of a chunk may be logged and shown."""


class Log(Protocol):
    """Where every byte of a terminal is kept."""

    def write(self, chunk: bytes) -> None:
        """Take a chunk."""

    def finish(self) -> None:
        """End an unfinished line; the incarnation has ended."""


@dataclass(slots=True, eq=False)
class Stream:
    """One open master. `watcher`, where set, sees every whole line too, and `tail_watcher` an unfinished one that
    stands; `shown` is off for a quiet component.

    `recent` is the end of what it printed (`last` the same, once it is closed), and `seen_at` where in the merged
    stream that stands, None where it was not shown.
    While it is `lent` to somebody who is attached its lines are not shown but counted in `held`, and its size is not
    ours to set.
    """

    master_fd: int
    painter: Painter
    log: Log | None = None
    shown: bool = True
    splitter: BlockSplitter = field(default_factory=BlockSplitter)
    watcher: Watcher | None = None
    tail_watcher: Watcher | None = None
    standing_timer: Timer | None = None
    recent: bytes = b""
    last: bytes = b""
    seen_at: int | None = 0
    terminal: bool = True
    tap: Tap | None = None
    lent: bool = False
    held: int = 0
    open: bool = True
    parked: bool = False
    line_since: float = 0.0
    tail_at: float = 0.0
    tail_timer: Timer | None = None
    touched_at: float = 0.0
    released_at: float = 0.0
    rows_timer: Timer | None = None

    @property
    def visible(self) -> bool:
        """Whether its lines go into the merged stream now."""
        return self.shown and not self.lent


class Multiplexer:
    """Owns every master descriptor that the supervisor has, from `open` to `close`."""

    def __init__(self, loop: Loop, screen: Screen) -> None:
        self._loop = loop
        self._screen = screen
        self._console = screen.console
        self._by_fd: dict[int, Stream] = {}
        self._paused = False
        self._patient = True
        self._ready = 0
        self._share = TURN_SIZE
        self._parked = EdgeWatch(loop)
        loop.after_each_turn(self._balance)

    def open(self, stream: Stream) -> Stream:
        """Take over a master and read it from now on."""
        os.set_blocking(stream.master_fd, False)
        self._by_fd[stream.master_fd] = stream
        if not self._paused:
            self._listen(stream)
        return stream

    def catch_up(self, stream: Stream) -> None:
        """Read what is there already, so that it stands before what is said next."""
        if not self._paused:
            self._on_readable(stream)

    def close(self, stream: Stream) -> None:
        """Read what is left, show an unfinished line, close the master."""
        left = LAST_WORDS
        while left > 0 and (data := self._read(stream)):
            left -= len(data)
            self._take(stream, data)
        self._end(stream)
        if stream.standing_timer is not None:
            stream.standing_timer.cancel()
        self._hide_tail(stream)
        if stream.rows_timer is not None:
            stream.rows_timer.cancel()
        rest = stream.splitter.flush()
        if no_escapes(replay(rest[:-1])):  # a colour that is reset, a row that is erased: nothing to show
            self._show(stream, rest)
        stream.last = stream.recent
        if stream.seen_at is not None and self._screen.written - stream.seen_at <= NEAR:
            stream.recent = b""
        if stream.log is not None:
            stream.log.finish()

    def resize(self, rows: int, columns: int) -> None:
        """Give every pty a new size; its foreground group gets SIGWINCH from the kernel (TIOCSWINSZ)."""
        for fd, stream in self._by_fd.items():
            if stream.terminal and not stream.lent:
                fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Take a stream's lines out of the merged one while somebody is attached, or let them in again."""
        stream.lent = lent
        if lent:
            self._hide_tail(stream)
        elif self._screen.shows_tails and stream.shown:
            self._follow_tail(stream, began=True)

    def hurry(self) -> None:
        """From now on slow nobody down: a stop is under way."""
        self._patient = False
        self._console.hurry()
        self._resume()

    def _listen(self, stream: Stream) -> None:
        if not stream.parked:
            self._loop.add(stream.master_fd, READ, lambda _: self._on_readable(stream))

    def _on_readable(self, stream: Stream) -> None:
        self._ready += 1
        if data := self._read(stream):
            self._take(stream, data)

    def _read(self, stream: Stream) -> bytes:
        """Return what is there, about its share of a turn; parks the master where the other side has gone."""
        if not stream.open:
            return b""
        chunks: list[bytes] = []
        left = self._share
        try:
            while left > 0:
                chunk = os.read(stream.master_fd, READ_SIZE)
                chunks.append(chunk)
                left -= len(chunk)
                if len(chunk) < FULL:
                    if not chunk:
                        self._end(stream)
                    break
        except BlockingIOError:
            pass
        except OSError:
            self._park(stream)
        return b"".join(chunks)

    def _take(self, stream: Stream, data: bytes) -> None:
        if stream.tap is not None:
            data = stream.tap.take(data)
        if stream.log is not None:
            stream.log.write(data)
        splitter = stream.splitter
        if whole := splitter.feed(data, stream.recent):
            self._show(stream, whole)
        if splitter.overwritten:
            if stream.watcher is not None:
                stream.watcher(b"".join(splitter.overwritten))
            splitter.overwritten.clear()
        if piece := splitter.piece:
            splitter.piece = b""
            stream.recent = piece[-RECENT:]
            self._put(stream, stream.painter.paint_piece(piece) if stream.visible else b"")
        if stream.tail_watcher is not None or stream.standing_timer is not None:
            self._await_standstill(stream)
        if self._screen.shows_tails and stream.visible:
            self._follow_tail(stream, bool(whole))
        if splitter.has_changes:
            self._follow_rows(stream)

    def _show(self, stream: Stream, whole: bytes) -> None:
        stream.recent = whole[-RECENT:] if len(whole) >= RECENT else (stream.recent + whole)[-RECENT:]
        if stream.watcher is not None:
            stream.watcher(whole)
        if stream.lent:
            stream.held += whole.count(b"\n")
        self._put(stream, stream.painter.paint(whole) if stream.visible else b"")

    def _put(self, stream: Stream, shown: bytes) -> None:
        # Where one component floods a slow terminal, the few words of the others are not skipped with it.
        may_skip = stream.seen_at is None or len(shown) > FEW
        stream.seen_at = self._screen.written if shown and self._screen.show(shown, may_skip=may_skip) else None

    # The unfinished line

    def _await_standstill(self, stream: Stream) -> None:
        """Let `tail_watcher` see the unfinished line once nothing more has come for a while."""
        if stream.standing_timer is not None:
            stream.standing_timer.cancel()
        stream.standing_timer = None
        if stream.tail_watcher is not None and stream.splitter.has_pending:
            stream.standing_timer = self._loop.call_in(TAIL_AFTER, lambda: self._show_standing(stream))

    def _show_standing(self, stream: Stream) -> None:
        stream.standing_timer = None
        if stream.tail_watcher is not None and stream.splitter.has_pending:
            stream.tail_watcher(stream.splitter.pending[-TAIL_MAX:])

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
        if not stream.splitter.has_pending or not stream.visible:
            self._screen.set_tail(stream, b"")
            return
        splitter = stream.splitter
        rewritten = rewrites(splitter.pending.rstrip(b"\r"))
        wait = REDRAW_AFTER if rewritten else TAIL_AFTER
        due = max(stream.line_since + TAIL_AFTER, stream.tail_at + wait if stream.tail_at else 0.0)
        now = self._loop.now()
        if now < due:
            self._arm_tail(stream, due)
            return
        stream.tail_at = now
        if rewritten:
            splitter.compact()
        self._screen.set_tail(stream, stream.painter.paint_tail(splitter.pending[:TAIL_MAX]))

    def _hide_tail(self, stream: Stream) -> None:
        if stream.tail_timer is not None:
            stream.tail_timer.cancel()
            stream.tail_timer = None
        stream.line_since = 0.0
        self._screen.set_tail(stream, b"")

    # Rows that are redrawn

    def _follow_rows(self, stream: Stream) -> None:
        stream.touched_at = self._loop.now()
        if stream.rows_timer is None:
            stream.rows_timer = self._loop.call_in(TAIL_AFTER, lambda: self._show_rows(stream))

    def _show_rows(self, stream: Stream) -> None:
        """Show them once a second at most; where that is no terminal only when they have rested for a second."""
        stream.rows_timer = None
        if not stream.splitter.has_changes:
            return
        now = self._loop.now()
        last = stream.released_at if self._screen.shows_tails else stream.touched_at
        if now < last + REDRAW_AFTER:
            stream.rows_timer = self._loop.call_at(last + REDRAW_AFTER, lambda: self._show_rows(stream))
            return
        stream.released_at = now
        if rows := stream.splitter.release():
            self._show(stream, rows)

    # The end of a master, and of patience

    def _park(self, stream: Stream) -> None:
        if not stream.parked:
            self._loop.remove(stream.master_fd)
            stream.parked = self._parked.add(stream.master_fd, lambda: self._on_edge(stream))
            if not stream.parked:
                self._end(stream)

    def _on_edge(self, stream: Stream) -> None:
        data = b"" if self._paused else self._read(stream)
        if data or self._paused:
            self._parked.remove(stream.master_fd)
            stream.parked = False
            if not self._paused:
                self._listen(stream)
        if data:
            self._take(stream, data)

    def _end(self, stream: Stream) -> None:
        if stream.open:
            stream.open = False
            del self._by_fd[stream.master_fd]
            self._loop.remove(stream.master_fd)
            self._parked.remove(stream.master_fd)
            os.close(stream.master_fd)

    def _balance(self) -> None:
        self._screen.end_turn()
        if self._ready:
            self._share = max(1, TURN_SIZE // self._ready)
            self._ready = 0
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
