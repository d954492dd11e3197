"""Connections to the supervisor, read in the loop of the view without blocking.

Each request has its own connection. That of `attach` carries frames after its first line, and is read only as fast as
the view draws: the supervisor drops output that the socket does not accept, and sends the current screen later.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Generic

from orchestrator.control.client import NotRunning, connect, peer_pid
from orchestrator.model.control import AttachRequest, MalformedRequest, Reply, Request, RowT, decode_reply
from orchestrator.model.frames import ClientTerminal, Frame, FrameKind, FrameReader, MalformedFrame, format_size
from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import READ, Loop

READ_MAX = 1 << 16  # bytes of an attachment that are read at once
LINE_MAX = 1 << 24  # bytes of one reply


class ViewConnection(Generic[RowT]):
    """One request. `on_reply` gets each reply, `on_end` is called once if the connection closes before the last one.

    `pid` is the supervisor's, None if the kernel does not report it. `is_answered` says whether there was a reply.
    """

    def __init__(
        self,
        path: Path,
        request: Request[RowT],
        loop: Loop,
        on_reply: Callable[[Reply[RowT]], None],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Raise NotRunning without a supervisor, OSError if the request cannot be sent."""
        self._on_reply = on_reply
        self._on_end = on_end
        self._request = request
        self._received = bytearray()
        self._is_done = False
        self.is_answered = False
        connection = connect(path)
        self.pid = peer_pid(connection)
        self._peer = Connection(connection, loop, self._receive, self._on_closed)
        self._peer.send(request.encode())

    def close(self) -> None:
        """Close the connection; no callback is called any more."""
        self._is_done = True
        self._peer.close()

    def _receive(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > LINE_MAX:
            self._peer.close()
        while not self._is_done and (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            try:
                reply = self._request.read_reply(line)
            except MalformedRequest:
                self._peer.close()
                return
            self._is_done, self.is_answered = reply.last, True
            self._on_reply(reply)

    def _on_closed(self) -> None:
        if not self._is_done:
            self._is_done = True
            self._on_end()


class Attachment:
    """A viewer's connection to a component's terminal, which has the size of the pane while no writer is attached.

    `on_frames` gets the frames, `on_end` the reason if there are none, or no more.
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
        terminal = ClientTerminal(*size, read_only=True, sizes=True)
        with contextlib.suppress(OSError):  # the supervisor has refused us; its reply can still be read
            self._connection.sendall(AttachRequest((name,), terminal).encode())
        self._paused = True
        self.resume()

    def resize(self, rows: int, columns: int) -> None:
        """Send the new size of the pane, once attached."""
        self._size = (rows, columns)
        if self._attached:
            self._send_size()

    def pause(self) -> None:
        """Stop reading until `resume`."""
        if self._connection is not None and not self._paused:
            self._paused = True
            self._loop.remove(self._connection.fileno())

    def resume(self) -> None:
        """Read again."""
        if self._connection is not None and self._paused:
            self._paused = False
            self._loop.add(self._connection.fileno(), READ, lambda _: self._receive())

    def close(self) -> None:
        """Detach; no callback is called any more."""
        if self._connection is not None:
            self.pause()
            self._connection.close()
            self._connection = None

    def _send_size(self) -> None:
        if self._size is not None and self._connection is not None:
            with contextlib.suppress(OSError):  # the supervisor has exited; the next read shows that
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
