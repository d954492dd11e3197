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

from orchestrator.output.console import HIGH_WATER, Console
from orchestrator.runtime.loop import READ, Loop
from orchestrator.text.lines import LineSplitter
from orchestrator.text.prefix import Painter

READS = 16  # of one master in one turn, before the others get theirs
READ_SIZE = 1 << 16
LAST_WORDS = 1 << 22  # bytes read after the tree has gone, should somebody outside it hold the slave open
STOP_MAX = 1 << 24  # bytes queued for a sink that takes nothing, while stopping

Watcher = Callable[[bytes], None]


@dataclass(slots=True)
class Stream:
    """One open master. `watcher`, where set, sees every whole line too."""

    master_fd: int
    painter: Painter
    splitter: LineSplitter = field(default_factory=LineSplitter)
    watcher: Watcher | None = None
    open: bool = True


class Multiplexer:
    """Owns every master descriptor that the supervisor has, from `open` to `close`."""

    def __init__(self, loop: Loop, console: Console) -> None:
        self._loop = loop
        self._console = console
        self._by_fd: dict[int, Stream] = {}
        self._paused = False
        self._patient = True
        self.dropped = 0
        loop.after_each_turn(self._balance)

    def open(self, master_fd: int, painter: Painter) -> Stream:
        """Take over a master and read it from now on."""
        os.set_blocking(master_fd, False)
        stream = Stream(master_fd, painter)
        self._by_fd[master_fd] = stream
        if not self._paused:
            self._listen(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Read what is left, show an unfinished line, close the master."""
        if stream.open:
            left = LAST_WORDS
            while left > 0 and (data := self._read(stream, READS)):
                left -= len(data)
                self._show(stream, data)
            self._end(stream)
        self._emit(stream, stream.splitter.flush())

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
            self._show(stream, data)

    def _read(self, stream: Stream, times: int) -> bytes:
        """Return what is there, at most `times` reads of it; closes the master where the other side has gone."""
        chunks: list[bytes] = []
        try:
            for _ in range(times):
                if not stream.open:
                    break
                chunk = os.read(stream.master_fd, READ_SIZE)
                if not chunk:
                    self._end(stream)
                chunks.append(chunk)
        except BlockingIOError:
            pass
        except OSError:
            self._end(stream)
        return b"".join(chunks)

    def _show(self, stream: Stream, data: bytes) -> None:
        self._emit(stream, stream.splitter.feed(data))

    def _emit(self, stream: Stream, whole: bytes) -> None:
        if not whole:
            return
        if stream.watcher is not None:
            stream.watcher(whole)
        if not self._patient and self._console.waiting > STOP_MAX:
            self.dropped += len(whole)
            return
        self._console.write(stream.painter.paint(whole))

    def _end(self, stream: Stream) -> None:
        stream.open = False
        del self._by_fd[stream.master_fd]
        self._loop.remove(stream.master_fd)
        os.close(stream.master_fd)

    def _balance(self) -> None:
        if self._paused:
            if self._console.waiting < HIGH_WATER // 2:
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
