"""Reads all the ptys and hands their lines, prefixed, to the console.

If a file or pipe accepts no more, no master is read until it has drained: the line discipline then blocks the writers.
If a terminal accepts no more, only the masters of floods are not read (`output.backlog`), and only while it makes
progress. During a stop no component is slowed: the console skips text instead.

Facts:
- A read of a pty returns at most 4095 bytes, and the next one sleeps until the kernel's worker has brought more
  (tty_buffer.c). While one component floods, that costs less than a turn of the loop for each read. If several flood,
  they are read one after the other, and the worker refills the rest meanwhile. They are read several times in a turn,
  because a turn costs as much as a read. Their output is processed together some turns later, because each processing
  step costs as much as copying 4 KB.
- A log is written between two reads: the worker is busy then, and the next read would only have slept (a flood with a
  log is 7 to 11 % quicker).
- A master returns EIO once no process has the slave open, and only after all output has been read (n_tty flushes its
  buffers first). So reading until EIO or EAGAIN after the tree is empty misses nothing.
- EIO is not final: a process of the session may open /dev/tty again. Until then level-triggered epoll(7) would report
  the hang-up continuously, so such a master is parked in an edge-triggered one, which reports only the next byte.
"""

from __future__ import annotations

import functools
import os

from orchestrator.output.console import LOW_WATER
from orchestrator.output.screen import MergedScreen
from orchestrator.output.stream import Stream
from orchestrator.output.unfinished_lines import UnfinishedLines
from orchestrator.runtime.loop import READ, EdgeWatch, Loop
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.lines import lf_for_crlf
from orchestrator.terminal.redraw import less_descents
from orchestrator.terminal.row import replay

READ_SIZE = 1 << 16
FULL = 4095  # bytes of a read of a pty after which more may be available
TURN_SIZE = 5 * FULL  # bytes that are read in one turn if only one master has any (with 8: 5 to 15 % slower)
COLLECTED = 24 * FULL  # bytes of one master that are shown and logged together while several flood
READS_OF_EACH = 4  # reads of each master in one turn if several have any
READS_OF_ALL = 128  # … and of all of them together, about, so that a turn does not grow with their number
LOG_AFTER = 4  # reads of a turn, if more follow, after which waiting log lines are written, see above
LINGER = 0.002  # seconds that they, or waiting log lines, wait for more at most
HEAP_KEPT = 1 << 21  # bytes that malloc does not return to the kernel
PRESENT = 1 << 18  # bytes of a master that `catch_up` reads at most
LAST_READ_MAX = 1 << 22  # bytes read at most after the tree is empty, in case an outside process holds the slave open
RECENT = 16384  # bytes of the last lines that are kept, to explain an exit and to show on attach
FEW = 1024  # bytes of one turn that do not make a flood
NEAR = 2000  # bytes shown since; up to this many, the last lines are still visible on a screen


class Multiplexer:
    """Owns every master descriptor that the supervisor has, from `open` to `close`."""

    def __init__(self, loop: Loop, screen: MergedScreen) -> None:
        self._loop = loop
        self._screen = screen
        self._console = screen.console
        self._by_fd: dict[int, Stream] = {}
        self._paused = False
        self._waiting: set[Stream] = set()  # not read because the terminal accepts no more of their output
        self._may_slow = True
        self._ready = 0
        self._are_several_ready = False  # whether several masters had output in the last turn
        self._ready_streams: list[Stream] = []  # if so, those that have output in this turn
        self._lingering: dict[Stream, bool] = {}  # and whether more output has arrived since
        self._unfinished_lines = UnfinishedLines(loop, screen, self._show)
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
        """Show the output that is already there before the next message. Include an unfinished line if no process has
        the slave open any more, because then nothing can continue it."""
        if not self._paused:
            self._drain(stream, PRESENT)
            if stream.parked or not stream.open:
                self._end_line(stream)
        self._console.merge(stream.flow)

    def close(self, stream: Stream) -> None:
        """Read the remaining output, show an unfinished line, close the master."""
        self._drain(stream, LAST_READ_MAX)
        self._end(stream)
        self._lingering.pop(stream, None)
        self._unfinished_lines.close(stream)
        self._end_line(stream)
        self._console.merge(stream.flow)
        stream.last = stream.recent
        if stream.seen_at is not None and self._screen.written - stream.seen_at <= NEAR:
            stream.recent = b""
        if stream.log is not None:
            stream.log.finish()

    def _drain(self, stream: Stream, left: int) -> None:
        more = False
        while left > 0:
            data, more = self._read(stream)
            if not data:
                break
            left -= len(data)
            self._take(stream, data, more)
        self._take(stream, b"", more)

    def _end_line(self, stream: Stream) -> None:
        self._unfinished_lines.hide(stream)
        is_held = stream.splitter.holds
        rest = stream.splitter.flush()
        is_blank_rows = is_held and not rest.strip(b"\r\n")  # rows that waited for the next output
        # A color that is reset, a row that is erased: nothing to show.
        if is_blank_rows or no_escapes(replay(rest[:-1])):
            self._show(stream, rest)

    def resize(self, rows: int, columns: int) -> None:
        """Give every pty a new size, except those sized by a viewer."""
        for stream in self._by_fd.values():
            if stream.terminal and not stream.sized:
                stream.resize(rows, columns)

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Take a stream's lines out of the merged stream while a terminal is attached, or let them in again."""
        stream.lent = lent
        if lent:
            self._unfinished_lines.hide(stream)
            self._let_go_on(stream)
        else:
            self._unfinished_lines.let_in(stream)

    def hurry(self) -> None:
        """Stop slowing components, because a stop is in progress."""
        self._may_slow = False
        self._console.hurry()
        self._resume()
        self._let_floods_go_on()

    def _listen(self, stream: Stream) -> None:
        if not stream.parked:
            self._loop.add(stream.master_fd, READ, functools.partial(self._on_readable, stream))

    def _on_readable(self, stream: Stream, _: int) -> None:
        self._ready += 1
        if self._are_several_ready:
            self._ready_streams.append(stream)
        else:
            self._take(stream, *self._read(stream))

    def _read_ready(self) -> None:
        """Read each ready master once, then those with more output again."""
        streams, self._ready_streams = self._ready_streams, []
        left = READS_OF_ALL
        for _ in range(READS_OF_EACH):
            left -= len(streams)
            streams = [stream for stream in streams if stream.open and self._collect(stream)]
            if left <= 0:
                break

    def _collect(self, stream: Stream) -> bool:
        """Read once; return whether more is available."""
        data, more = self._read_once(stream)
        if more and stream.backlog_size + len(data) < COLLECTED:
            stream.backlog.append(data)
            stream.backlog_size += len(data)
            self._linger(stream)
        else:
            self._take(stream, data, more)
        return more and not stream.waits

    def _linger(self, stream: Stream) -> None:
        if not self._lingering:
            self._loop.call_in(LINGER, self._end_lingering)
        self._lingering[stream] = stream in self._lingering

    def _end_lingering(self) -> None:
        lingering, self._lingering = self._lingering, {}
        for stream, more in lingering.items():
            self._take(stream, b"", more)

    def _read(self, stream: Stream) -> tuple[bytes, bool]:
        """Return the available output, up to about TURN_SIZE, and whether more is available."""
        chunk, more = self._read_once(stream)
        if not more:
            return chunk, False
        chunks = [chunk]
        left = TURN_SIZE - len(chunk)
        while more and left > 0:
            chunk, more = self._read_once(stream)
            chunks.append(chunk)
            left -= len(chunk)
            if len(chunks) == LOG_AFTER and stream.log is not None:
                stream.log.flush()
        if left <= 0:
            _keep_what_is_freed()
        return b"".join(chunks), more

    def _read_once(self, stream: Stream) -> tuple[bytes, bool]:
        """Return the result of one read, and whether more is available; park the master if the slave is closed."""
        if not stream.open:
            return b"", False
        try:
            data = os.read(stream.master_fd, READ_SIZE)
        except BlockingIOError:
            return b"", False
        except OSError:
            self._park(stream)
            return b"", False
        if not data:
            self._end(stream)
        return data, len(data) >= FULL

    def _take(self, stream: Stream, data: bytes, more: bool) -> None:
        """Log and show `data`, after the output collected before it. `more` says that more is available."""
        if stream.backlog:
            data = b"".join((*stream.backlog, data))
            stream.backlog.clear()
            stream.backlog_size = 0
        if data and stream.tap is not None:
            data = stream.tap.take(data)
        removed = 0
        if data:
            after_cr, stream.after_cr = stream.after_cr, data.endswith(b"\r")
            if not after_cr:
                removed = len(data)
                data = lf_for_crlf(data)
                removed -= len(data)
        if stream.log is not None and stream.log.write(data, more=more, removed=removed):
            self._linger(stream)
        if not data:
            return
        splitter = stream.splitter
        shown = less_descents(data) if b"\b" in data else data
        if whole := splitter.feed(shown, stream.recent):
            self._show(stream, whole, more)
        if splitter.took_screen:
            self._report_full_screen(stream)
        if splitter.overwritten:
            if stream.watcher is not None:
                stream.watcher(b"".join(splitter.overwritten))
            splitter.overwritten.clear()
        if piece := splitter.piece:
            splitter.piece = b""
            stream.recent = piece[-RECENT:]
            self._put(stream, stream.painter.paint_piece(piece) if stream.visible else b"", more)
        if not splitter.passes or stream.unfinished.since or stream.unfinished.standing_timer is not None:
            self._unfinished_lines.follow(stream, began=bool(whole))  # nothing to do for whole lines after whole lines

    @staticmethod
    def _report_full_screen(stream: Stream) -> None:
        stream.splitter.took_screen = False
        stream.full_screen_reported = stream.on_full_screen is not None and stream.visible
        if stream.on_full_screen is not None and stream.visible:
            report, stream.on_full_screen = stream.on_full_screen, None
            report()

    def _show(self, stream: Stream, whole: bytes, more: bool = False) -> None:
        stream.recent = whole[-RECENT:] if len(whole) >= RECENT else (stream.recent + whole)[-RECENT:]
        if stream.watcher is not None:
            stream.watcher(whole)
        if stream.lent:
            stream.held += whole.count(b"\n")
        self._put(stream, stream.painter.paint(whole) if stream.shown and not stream.lent else b"", more)

    def _put(self, stream: Stream, shown: bytes, more: bool) -> None:
        flow = stream.flow
        if flow.is_flood and not flow.size and not more and len(shown) <= FEW:
            flow.is_flood = False
        stream.seen_at = self._screen.written if shown and self._screen.show(shown, flow) else None
        if flow.is_flood and self._console.slows_floods and not stream.waits and not stream.parked and stream.open:
            stream.waits = True
            self._waiting.add(stream)
            self._loop.remove(stream.master_fd)

    def _let_go_on(self, stream: Stream) -> None:
        if stream.waits:
            stream.waits = False
            self._waiting.discard(stream)
            if stream.open and not self._paused:
                self._listen(stream)

    def _let_floods_go_on(self) -> None:
        for stream in tuple(self._waiting):
            self._let_go_on(stream)

    # Parking and closing masters, and pausing

    def _park(self, stream: Stream) -> None:
        if not stream.parked:
            self._loop.remove(stream.master_fd)
            stream.parked = self._parked.add(stream.master_fd, lambda: self._on_edge(stream))
            if not stream.parked:
                self._end(stream)

    def _on_edge(self, stream: Stream) -> None:
        data, more = (b"", False) if self._paused else self._read(stream)
        if data or self._paused:
            self._parked.remove(stream.master_fd)
            stream.parked = False
            if not self._paused and not stream.waits:
                self._listen(stream)
        if data:
            self._take(stream, data, more)

    def _end(self, stream: Stream) -> None:
        if stream.open:
            stream.open = False
            stream.waits = False
            self._waiting.discard(stream)
            del self._by_fd[stream.master_fd]
            self._loop.remove(stream.master_fd)
            self._parked.remove(stream.master_fd)
            os.close(stream.master_fd)

    def _balance(self) -> None:
        if self._ready_streams:
            self._read_ready()
        self._screen.end_turn()
        if self._ready:
            self._are_several_ready = self._ready > 1
            self._ready = 0
        if self._waiting and self._console.lets_floods_go_on:
            self._let_floods_go_on()
        if self._paused:
            if self._console.waiting <= LOW_WATER:
                self._resume()
        elif self._may_slow and self._console.full:
            self._paused = True
            for fd in self._by_fd:
                self._loop.remove(fd)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            for stream in self._by_fd.values():
                self._listen(stream)


@functools.cache
def _keep_what_is_freed() -> None:
    """Make malloc keep the free end of the heap, up to 2 MB, for the next turn. Otherwise a flood would return it to
    the kernel and request it again at every turn, a page fault for each 4 KB (half a million per GB, with logs and no
    pty). Not done before the first flood: guardians are forked with our heap.

    Fact: glibc raises its thresholds when a block is freed that was mapped for its size (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(HEAP_KEPT // 2)
