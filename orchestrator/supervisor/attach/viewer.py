"""One attached client: a socket that receives the terminal's output and sends what is typed.

Writing to it never blocks. A client is behind when it has more than BACKLOG_MAX bytes still to read: then nothing more
is queued for it, and once it has read everything it gets the present state instead.

This file also types into a pty: a bounded queue in front of its master.

Fact: a master accepts no more while the component does not read, like a keyboard's buffer. It is watched through a
duplicate, because a descriptor can be registered with the loop only once, and the multiplexer has registered it.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol

from orchestrator.model.frames import ClientTerminal, Frame, FrameKind, FrameReader, MalformedFrame, format_size
from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import WRITE, Loop

BACKLOG_MAX = 1 << 18


class ViewerHost(Protocol):
    """Receives the events of a viewer."""

    def hear(self, viewer: Viewer, frame: Frame) -> None:
        """Handle a frame: input, or a new size of the terminal."""

    def caught_up(self, viewer: Viewer) -> None:
        """Called when it has read everything after falling behind."""

    def left(self, viewer: Viewer) -> None:
        """Called when its connection has closed."""


class Viewer:
    """Owns the socket."""

    def __init__(self, connection: socket.socket, terminal: ClientTerminal, loop: Loop, host: ViewerHost) -> None:
        self.terminal = terminal
        self.rows, self.columns = terminal.rows, terminal.columns
        self.skipped = 0
        self._viewer_host = host
        self._reader = FrameReader()
        self._peer = Connection(connection, loop, self._take, lambda: host.left(self), self._caught_up)

    def show(self, output: bytes) -> None:
        """Queue output for it."""
        self.give(Frame(FrameKind.OUTPUT, output).encode(), len(output))

    def give(self, encoded: bytes, size: int) -> bool:
        """Send it a whole output frame of `size` bytes, encoded once for all clients. Return whether it is accepted."""
        if not self._peer.hears:
            return False
        if self.skipped or self._peer.waiting + len(encoded) > BACKLOG_MAX:
            self.skipped += size
            return False
        self._peer.send(encoded)
        return True

    def note(self, text: str) -> None:
        """Show a message at this terminal."""
        self._send(Frame(FrameKind.NOTE, text.encode()))

    def tell_size(self, rows: int, columns: int) -> None:
        """Send the new size of the component's terminal."""
        self._send(Frame(FrameKind.SIZE, format_size(rows, columns).encode()))

    def end(self, status: int, why: str) -> None:
        """End the attach session; the connection closes once that is read."""
        self._send(Frame(FrameKind.END, f"{status} {why}".encode()))
        self._peer.end()

    def close(self) -> None:
        """Drop the connection."""
        self._peer.close()

    def _send(self, frame: Frame) -> None:
        if self._peer.hears:
            self._peer.send(frame.encode())  # a few bytes, and few times: not counted

    def _caught_up(self) -> None:
        if self.skipped:
            self._viewer_host.caught_up(self)

    def _take(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if self._peer.open:
                    self._viewer_host.hear(self, frame)
        except MalformedFrame:
            self.close()


QUEUE_MAX = 1 << 20


class PtyWriter:
    """Types into one master, which its caller keeps open until `close`."""

    def __init__(self, loop: Loop, master_fd: int) -> None:
        self._loop = loop
        self._master_fd = master_fd
        self._queue = bytearray()
        self._watch_fd = -1
        self._closed = False

    def type(self, data: bytes) -> bool:
        """Type this; return False and drop it if too much is waiting."""
        if self._closed or len(self._queue) + len(data) > QUEUE_MAX:
            return False
        self._queue += data
        self._flush()
        return True

    @property
    def waiting(self) -> int:
        """The number of bytes that the pty has not accepted yet."""
        return len(self._queue)

    def close(self) -> None:
        """Drop what was not typed yet."""
        self._closed = True
        self._queue.clear()
        self._unwatch()

    def _flush(self) -> None:
        try:
            while self._queue:
                del self._queue[: os.write(self._master_fd, self._queue)]
        except BlockingIOError:
            if self._watch_fd < 0:
                self._watch_fd = os.dup(self._master_fd)
                self._loop.add(self._watch_fd, WRITE, lambda _: self._flush())
            return
        except OSError:  # EIO: no process has the slave open
            self._queue.clear()
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch_fd >= 0:
            self._loop.remove(self._watch_fd)
            os.close(self._watch_fd)
            self._watch_fd = -1
