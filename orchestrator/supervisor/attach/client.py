"""One attached client: a socket that takes the terminal's output, and gives what is typed.

Nobody waits for it. Beyond BACKLOG_MAX bytes that it has not read it is behind: nothing more is kept for it, and once
it has read everything it is shown the present state instead.

Types into a pty: a bounded queue in front of its master.

Fact: a master takes no more while the component does not read, as a keyboard's buffer does. It is watched through a
duplicate, because one descriptor is registered with the loop once, and the multiplexer reads it there.
"""

from __future__ import annotations

import os
import socket
from typing import Protocol

from orchestrator.model.control import Frame, FrameKind, FrameReader, MalformedFrame, Seat, format_size
from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import WRITE, Loop

BACKLOG_MAX = 1 << 18


class ViewerHost(Protocol):
    """What a viewer tells of."""

    def hear(self, viewer: Viewer, frame: Frame) -> None:
        """It has typed, or its terminal has another size."""

    def caught_up(self, viewer: Viewer) -> None:
        """It has read everything after it had been behind."""

    def left(self, viewer: Viewer) -> None:
        """Its connection has gone."""


class Viewer:
    """Owns the socket."""

    def __init__(self, connection: socket.socket, seat: Seat, loop: Loop, room: ViewerHost) -> None:
        self.seat = seat
        self.rows, self.columns = seat.rows, seat.columns
        self.skipped = 0
        self._viewer_host = room
        self._reader = FrameReader()
        self._peer = Connection(connection, loop, self._take, lambda: room.left(self), self._caught_up)

    def show(self, output: bytes) -> None:
        """Give it output."""
        self.give(Frame(FrameKind.OUTPUT, output).encode(), len(output))

    def give(self, encoded: bytes, size: int) -> bool:
        """Give it a whole output frame, encoded once for everybody, of `size` bytes. Return whether it is taken."""
        if not self._peer.hears:
            return False
        if self.skipped or self._peer.waiting + len(encoded) > BACKLOG_MAX:
            self.skipped += size
            return False
        self._peer.send(encoded)
        return True

    def note(self, text: str) -> None:
        """Say a line to whoever sits there."""
        self._send(Frame(FrameKind.NOTE, text.encode()))

    def tell_size(self, rows: int, columns: int) -> None:
        """Say which size the component's terminal has from here on."""
        self._send(Frame(FrameKind.SIZE, format_size(rows, columns).encode()))

    def end(self, status: int, why: str) -> None:
        """Say that it is over; the connection closes once that is read."""
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
        """Type this; False where so much is waiting already that none of it is taken."""
        if self._closed or len(self._queue) + len(data) > QUEUE_MAX:
            return False
        self._queue += data
        self._flush()
        return True

    @property
    def waiting(self) -> int:
        """Bytes that the pty has not taken yet."""
        return len(self._queue)

    def close(self) -> None:
        """Forget what was not typed yet."""
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
        except OSError:  # EIO: nobody has the slave open
            self._queue.clear()
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch_fd >= 0:
            self._loop.remove(self._watch_fd)
            os.close(self._watch_fd)
            self._watch_fd = -1
