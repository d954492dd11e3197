"""Reads all the ptys and hands their lines, prefixed, to the console.

If a file or pipe takes no more, all masters are left unread until it has drained: the line discipline then blocks the
writers. If a terminal takes no more, only the masters of floods are left unread (`output.backlog`), and only while it
makes progress. During a stop nobody is slowed: there the console skips in the end.

Facts: a read of a pty gives at most 4095 bytes, and the next one sleeps until the kernel's worker has brought more
(tty_buffer.c). While one component floods, that costs less than a turn of the loop for each read; of several, one is
read after the other, and the worker refills those meanwhile: all of them several times in a turn, because a turn costs
as much as a read. What they gave is then looked at some turns later, together, because each look costs as much as
copying 4 KB. A log is written between two reads: the worker is at work then, and the next read would only have slept (a
flood with a log: 7 to 11 % quicker). A master answers EIO once no process has the slave open, and only after all that
was written has been read (n_tty flushes its buffers first), so reading until EIO or EAGAIN after the tree is vacated
misses nothing. EIO is not for ever: a process of the session may open /dev/tty again. Until then level-triggered
epoll(7) would report the hang-up without end, so such a master is parked in an edge-triggered one, which tells of the
next byte only.
"""

from __future__ import annotations

import functools
import os

from orchestrator.output.console import LOW_WATER
from orchestrator.output.screen import MergedScreen
from orchestrator.output.stream import Stream
from orchestrator.output.unfinished_lines import UnfinishedLines
from orchestrator.runtime.loop import READ, EdgeWatch, Loop
from orchestrator.terminal.descents import less_descents
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.lines import lf_for_crlf
from orchestrator.terminal.row import replay

READ_SIZE = 1 << 16
FULL = 4095  # bytes of a read of a pty that may have left some
TURN_SIZE = 5 * FULL  # bytes that are read in one turn where one master alone has any (with 8: 5 to 15 % slower)
COLLECTED = 24 * FULL  # bytes of one master that are shown and logged together while several flood
SWEEPS = 4  # reads of each master in one turn where several have any
CROWD_READS = 128  # … and of all of them at most, about, so that a turn does not grow with their number
LOG_AFTER = 4  # reads of a turn, where there are more: what the log holds is written, see above
LINGER = 0.002  # seconds that they, or what a log holds, wait for more at most
HEAP_KEPT = 1 << 21  # bytes that malloc does not return to the kernel
PRESENT = 1 << 18  # bytes of a master that were there already, at most, when somebody asks for those
LAST_WORDS = 1 << 22  # bytes read after the tree has gone, should somebody outside it hold the slave open
RECENT = 16384  # bytes of the last lines that are kept to explain an end, and for who attaches
FEW = 1024  # bytes of one turn that do not make a flood
NEAR = 2000  # bytes shown since, up to which somebody who looks at the end has these lines before his eyes


class Multiplexer:
    """Owns every master descriptor that the supervisor has, from `open` to `close`."""

    def __init__(self, loop: Loop, screen: MergedScreen) -> None:
        self._loop = loop
        self._screen = screen
        self._console = screen.console
        self._by_fd: dict[int, Stream] = {}
        self._paused = False
        self._waiting: set[Stream] = set()  # not read because the terminal takes no more of theirs
        self._patient = True
        self._ready = 0
        self._crowded = False  # whether several masters had something in the last turn
        self._crowd: list[Stream] = []  # those that have in this one, then
        self._more = False  # whether the last read has left something
        self._lingering: dict[Stream, bool] = {}  # and whether more has come meanwhile
        self._tails = UnfinishedLines(loop, screen, self._show)
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
        """Show what is there already, so that it stands before what is said next; an unfinished line too, where nobody
        has the other side open any more, who could go on with it."""
        if not self._paused:
            self._drain(stream, PRESENT)
            if stream.parked or not stream.open:
                self._end_line(stream)
        self._console.merge(stream.flow)

    def close(self, stream: Stream) -> None:
        """Read what is left, show an unfinished line, close the master."""
        self._drain(stream, LAST_WORDS)
        self._end(stream)
        self._lingering.pop(stream, None)
        self._tails.close(stream)
        self._end_line(stream)
        self._console.merge(stream.flow)
        stream.last = stream.recent
        if stream.seen_at is not None and self._screen.written - stream.seen_at <= NEAR:
            stream.recent = b""
        if stream.log is not None:
            stream.log.finish()

    def _drain(self, stream: Stream, left: int) -> None:
        while left > 0 and (data := self._read(stream)):
            left -= len(data)
            self._take(stream, data)
        self._take(stream, b"")

    def _end_line(self, stream: Stream) -> None:
        self._tails.hide(stream)
        is_held = stream.splitter.holds
        rest = stream.splitter.flush()
        is_blank_rows = is_held and not rest.strip(b"\r\n")  # which waited for what follows
        # A color that is reset, a row that is erased: nothing to show.
        if is_blank_rows or no_escapes(replay(rest[:-1])):
            self._show(stream, rest)

    def resize(self, rows: int, columns: int) -> None:
        """Give every pty a new size; not where that is a viewer's."""
        for stream in self._by_fd.values():
            if stream.terminal and not stream.sized:
                stream.resize(rows, columns)

    def lend(self, stream: Stream, *, lent: bool) -> None:
        """Take a stream's lines out of the merged one while somebody is attached, or let them in again."""
        stream.lent = lent
        if lent:
            self._tails.hide(stream)
            self._let_go_on(stream)
        else:
            self._tails.let_in(stream)

    def hurry(self) -> None:
        """From now on slow nobody down: a stop is under way."""
        self._patient = False
        self._console.hurry()
        self._resume()
        self._let_floods_go_on()

    def _listen(self, stream: Stream) -> None:
        if not stream.parked:
            self._loop.add(stream.master_fd, READ, lambda _: self._on_readable(stream))

    def _on_readable(self, stream: Stream) -> None:
        self._ready += 1
        if self._crowded:
            self._crowd.append(stream)
        else:
            self._take(stream, self._read(stream))

    def _sweep(self) -> None:
        """Read each of a crowd once, then what is left of it again."""
        crowd, self._crowd = self._crowd, []
        left = CROWD_READS
        for _ in range(SWEEPS):
            left -= len(crowd)
            crowd = [stream for stream in crowd if stream.open and self._collect(stream)]
            if left <= 0:
                break

    def _collect(self, stream: Stream) -> bool:
        """Read once; return whether that has left some."""
        data = self._read_once(stream)
        more = self._more
        if more and stream.backlog_size + len(data) < COLLECTED:
            stream.backlog.append(data)
            stream.backlog_size += len(data)
            self._linger(stream)
        else:
            self._take(stream, data)
        return more and not stream.waits

    def _linger(self, stream: Stream) -> None:
        if not self._lingering:
            self._loop.call_in(LINGER, self._end_lingering)
        self._lingering[stream] = stream in self._lingering

    def _end_lingering(self) -> None:
        lingering, self._lingering = self._lingering, {}
        for stream, self._more in lingering.items():
            self._take(stream, b"")

    def _read(self, stream: Stream) -> bytes:
        """Return what is there, up to about TURN_SIZE."""
        chunks = [chunk := self._read_once(stream)]
        left = TURN_SIZE - len(chunk)
        while self._more and left > 0:
            chunks.append(chunk := self._read_once(stream))
            left -= len(chunk)
            if len(chunks) == LOG_AFTER and stream.log is not None:
                stream.log.flush()
        if left <= 0:
            _keep_what_is_freed()
        return b"".join(chunks)

    def _read_once(self, stream: Stream) -> bytes:
        """Return what one read gives; parks the master where the other side has gone."""
        self._more = False
        if not stream.open:
            return b""
        try:
            data = os.read(stream.master_fd, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError:
            self._park(stream)
            return b""
        if not data:
            self._end(stream)
        self._more = len(data) >= FULL
        return data

    def _take(self, stream: Stream, data: bytes) -> None:
        """Log and show `data`, after what was collected before it."""
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
        if stream.log is not None and stream.log.write(data, more=self._more, removed=removed):
            self._linger(stream)
        if not data:
            return
        splitter = stream.splitter
        if whole := splitter.feed(less_descents(data), stream.recent):
            self._show(stream, whole)
        if splitter.took_screen:
            self._report_full_screen(stream)
        if splitter.overwritten:
            if stream.watcher is not None:
                stream.watcher(b"".join(splitter.overwritten))
            splitter.overwritten.clear()
        if piece := splitter.piece:
            splitter.piece = b""
            stream.recent = piece[-RECENT:]
            self._put(stream, stream.painter.paint_piece(piece) if stream.visible else b"")
        self._tails.follow(stream, began=bool(whole))

    @staticmethod
    def _report_full_screen(stream: Stream) -> None:
        stream.splitter.took_screen = False
        stream.full_screen_reported = stream.on_full_screen is not None and stream.visible
        if stream.on_full_screen is not None and stream.visible:
            report, stream.on_full_screen = stream.on_full_screen, None
            report()

    def _show(self, stream: Stream, whole: bytes) -> None:
        stream.recent = whole[-RECENT:] if len(whole) >= RECENT else (stream.recent + whole)[-RECENT:]
        if stream.watcher is not None:
            stream.watcher(whole)
        if stream.lent:
            stream.held += whole.count(b"\n")
        self._put(stream, stream.painter.paint(whole) if stream.visible else b"")

    def _put(self, stream: Stream, shown: bytes) -> None:
        flow = stream.flow
        if flow.is_flood and not flow.size and not self._more and len(shown) <= FEW:
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
            if not self._paused and not stream.waits:
                self._listen(stream)
        if data:
            self._take(stream, data)

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
        self._sweep()
        self._screen.end_turn()
        if self._ready:
            self._crowded = self._ready > 1
            self._ready = 0
        if self._waiting and self._console.lets_floods_go_on:
            self._let_floods_go_on()
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


@functools.cache
def _keep_what_is_freed() -> None:
    """Make malloc keep the free end of the heap, up to 2 MB, for the next turn; else a flood has it returned to the
    kernel and asked for again at every turn, a page fault for each 4 KB (half a million a GB, with logs and no pty).
    Not before there is a flood: guardians are forked with the heap that we have.

    Fact: glibc raises its thresholds when a block is freed that was mapped for its size (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(HEAP_KEPT // 2)
