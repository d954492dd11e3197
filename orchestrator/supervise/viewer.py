"""One attached client: a socket that takes the terminal's output, and gives what is typed.

Nobody waits for it. Beyond BACKLOG_MAX bytes that it has not read it is behind: nothing more is kept for it, and once
it has read everything it is shown the present state instead.
"""

from __future__ import annotations

import socket
from typing import Protocol

from orchestrator.model.frames import Frame, FrameReader, Kind, MalformedFrame, Seat
from orchestrator.runtime.loop import READ, WRITE, Loop
from orchestrator.runtime.outbox import Outbox

BACKLOG_MAX = 1 << 18
_READ_SIZE = 1 << 16


class Room(Protocol):
    """What a viewer tells of."""

    def hear(self, viewer: Viewer, frame: Frame) -> None:
        """It has typed, or its terminal has another size."""

    def caught_up(self, viewer: Viewer) -> None:
        """It has read everything after it had been behind."""

    def left(self, viewer: Viewer) -> None:
        """Its connection has gone."""


class Viewer:
    """Owns the socket."""

    def __init__(self, connection: socket.socket, seat: Seat, loop: Loop, room: Room) -> None:
        self.seat = seat
        self.rows, self.columns = seat.rows, seat.columns
        self.open = True
        self.skipped = 0
        self._connection = connection
        self._loop = loop
        self._room = room
        self._reader = FrameReader()
        self._unsent = Outbox(connection)
        self._ending = False
        connection.setblocking(False)
        loop.add(connection.fileno(), READ, self._on_event)

    def show(self, output: bytes) -> None:
        """Give it output."""
        self.give(Frame(Kind.OUTPUT, output).encode(), len(output))

    def give(self, encoded: bytes, size: int) -> None:
        """Give it a whole output frame, encoded once for everybody, of `size` bytes of output."""
        if not self.open or self._ending:
            return
        if self.skipped or len(self._unsent) + len(encoded) > BACKLOG_MAX:
            self.skipped += size
            return
        self._unsent.add(encoded)
        self._flush()

    def note(self, text: str) -> None:
        """Say a line to whoever sits there."""
        self._send(Frame(Kind.NOTE, text.encode()))

    def end(self, status: int, why: str) -> None:
        """Say that it is over; the connection closes once that is read."""
        self._send(Frame(Kind.END, f"{status} {why}".encode()))
        self._ending = True
        if self.open and not self._unsent:
            self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self.open:
            self.open = False
            self._loop.remove(self._connection.fileno())
            self._connection.close()
            self._room.left(self)

    def _send(self, frame: Frame) -> None:
        if self.open and not self._ending:
            self._unsent.add(frame.encode())  # a few bytes, and few times: not counted
            self._flush()

    def _flush(self) -> None:
        try:
            self._unsent.flush()
        except OSError:
            self.close()
            return
        self._loop.change(self._connection.fileno(), READ | WRITE if self._unsent else READ)

    def _on_event(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
            if self.open and not self._unsent:
                self._drained()
        if mask & READ and self.open:
            self._receive()

    def _drained(self) -> None:
        if self._ending:
            self.close()
        elif self.skipped:
            self._room.caught_up(self)

    def _receive(self) -> None:
        try:
            data = self._connection.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                if self.open:
                    self._room.hear(self, frame)
        except MalformedFrame:
            self.close()
