"""A buffered, non-blocking stream connection to a client, which is dropped when the client disconnects.

Received data is passed on as it arrives; data that the client has not read yet is kept. The owner decides how much of
that is too much.

`Outbox` buffers the output: the socket accepts a part, and the rest is kept.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from orchestrator.runtime.loop import READ, WRITE, Loop

READ_SIZE = 1 << 16


class Connection:
    """Owns the socket until `close` or `release`. `heard` gets what the client sends. `gone` is called when the client
    has disconnected, `caught_up` when it has read everything again after falling behind."""

    def __init__(
        self,
        connection: socket.socket,
        loop: Loop,
        heard: Callable[[bytes], None],
        gone: Callable[[], None],
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.open = True
        self._connection = connection
        self._loop = loop
        self._heard = heard
        self._gone = gone
        self._caught_up = caught_up
        self._unsent = Outbox(connection)
        self._stop_sequence = False
        connection.setblocking(False)
        loop.add(connection.fileno(), READ, self._on_event)

    @property
    def waiting(self) -> int:
        """The number of bytes that the client has not read yet."""
        return len(self._unsent)

    @property
    def hears(self) -> bool:
        """Whether anything may still be sent."""
        return self.open and not self._stop_sequence

    def send(self, data: bytes) -> None:
        """Send this; the part that is not accepted now follows later."""
        self._unsent.add(data)
        self._flush()

    def end(self) -> None:
        """Close as soon as everything is sent."""
        self._stop_sequence = True
        if self.open and not self._unsent:
            self.close()

    def close(self) -> None:
        """Close immediately."""
        if self.open:
            self._leave_alone()
            self._connection.close()
            self._gone()

    def release(self) -> socket.socket:
        """Give the connection away; `gone` is not called."""
        self._leave_alone()
        return self._connection

    def _leave_alone(self) -> None:
        self.open = False
        self._loop.remove(self._connection.fileno())

    def _flush(self) -> None:
        try:
            self._unsent.flush()
        except OSError:
            self.close()
            return
        if self._stop_sequence and not self._unsent:
            self.close()
        else:
            self._loop.change(self._connection.fileno(), READ | WRITE if self._unsent else READ)

    def _on_event(self, mask: int) -> None:
        if mask & WRITE:
            self._flush()
            if self.open and not self._unsent:
                self._caught_up()
        if mask & READ and self.open:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._heard(data)
        else:
            self.close()


class Outbox:
    """The output buffer of a non-blocking socket, which its owner closes; its length is the number of unsent bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unsent = bytearray()

    def __len__(self) -> int:
        return len(self._unsent)

    def add(self, data: bytes) -> None:
        """Add data to be sent."""
        self._unsent += data

    def flush(self) -> None:
        """Send as much as the socket accepts; if the other end has gone, drop the rest and raise OSError."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
            raise
