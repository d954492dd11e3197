"""Conversations with the supervisor, in the loop of the view: nothing here waits for an answer.

Each request has a connection. One for `attach` carries frames after its first line, and is read only as fast as the
view draws: what the socket does not take the supervisor drops, and it sends the present state later.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from orchestrator.control.client import NotRunning, connect
from orchestrator.model.control import (
    Frame,
    FrameKind,
    FrameReader,
    MalformedFrame,
    MalformedRequest,
    Reply,
    Request,
    Seat,
    Verb,
    decode_reply,
    format_size,
)
from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import READ, Loop

READ_MAX = 1 << 16  # bytes of an attachment that are read at once
LINE_MAX = 1 << 24  # bytes of one reply


class ViewConnection:
    """One request. `on_reply` gets each reply, `on_end` is called once if the connection closes without a last one."""

    def __init__(
        self,
        path: Path,
        request: Request,
        loop: Loop,
        on_reply: Callable[[Reply], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Raise NotRunning if there is no supervisor, OSError if it cannot be asked."""
        self._on_reply = on_reply
        self._on_end = on_end
        self._received = bytearray()
        self._over = False
        self._peer = Connection(connect(path), loop, self._hear, self._gone)
        self._peer.send(request.encode())

    def close(self) -> None:
        """Hear no more."""
        self._over = True
        self._peer.close()

    def _hear(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > LINE_MAX:
            self._peer.close()
        while not self._over and (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            try:
                reply = decode_reply(line)
            except MalformedRequest:
                self._peer.close()
                return
            self._over = reply.last
            self._on_reply(reply)

    def _gone(self) -> None:
        if not self._over:
            self._over = True
            self._on_end()


class Attachment:
    """A component's terminal, read only, which has the size of the pane while no writer is attached.

    Frames are handed to `on_frames`, the reason why there are none, or no more, to `on_end`.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        size: tuple[int, int],
        loop: Loop,
        on_frames: Callable[[list[Frame]], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`size` is rows and columns. Raises NotRunning and OSError."""
        self._loop = loop
        self._on_frames = on_frames
        self._on_end = on_end
        self._reader = FrameReader()
        self._first = bytearray()
        self._attached = False
        self._size: tuple[int, int] | None = None  # to be sent once it is attached
        self._connection: socket.socket | None = connect(path)
        self._connection.setblocking(False)
        seat = Seat(*size, read_only=True, sizes=True)
        with contextlib.suppress(OSError):  # it has refused us: what it said can still be read
            self._connection.sendall(Request(Verb.ATTACH, (name,), seat.encode()).encode())
        self._paused = True
        self.resume()

    @property
    def open(self) -> bool:
        """Whether it still has its connection."""
        return self._connection is not None

    def resize(self, rows: int, columns: int) -> None:
        """The pane has another size."""
        self._size = (rows, columns)
        if self._attached:
            self._send_size()

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self._connection is not None and not self._paused:
            self._paused = True
            self._loop.remove(self._connection.fileno())

    def resume(self) -> None:
        """Read again."""
        if self._connection is not None and self._paused:
            self._paused = False
            self._loop.add(self._connection.fileno(), READ, lambda _: self._receive())

    def close(self) -> None:
        """Leave; nothing more is handed on."""
        if self._connection is not None:
            self.pause()
            self._connection.close()
            self._connection = None

    def _send_size(self) -> None:
        if self._size is not None and self._connection is not None:
            with contextlib.suppress(OSError):  # it has gone: that is read next
                self._connection.sendall(Frame(FrameKind.SIZE, format_size(*self._size).encode()).encode())
            self._size = None

    def _receive(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(READ_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end("")
        elif self._attached:
            self._take(data)
        else:
            self._first += data
            self._take_reply()

    def _take_reply(self) -> None:
        end = self._first.find(b"\n")
        if end < 0:
            return
        try:
            reply = decode_reply(bytes(self._first[:end]))
        except MalformedRequest as error:
            self._end(str(error))
            return
        if not reply.ok:
            self._end(reply.error)
            return
        self._attached = True
        self._send_size()
        if rest := bytes(self._first[end + 1 :]):
            self._take(rest)

    def _take(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except MalformedFrame as error:
            self._end(str(error))
            return
        if frames:
            self._on_frames(frames)

    def _end(self, why: str) -> None:
        self.close()
        self._on_end(why)


__all__ = ["Attachment", "NotRunning", "ViewConnection"]
