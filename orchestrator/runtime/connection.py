"""Who is at the other end of a stream socket: nobody waits for him, and he is forgotten when he goes.

What comes is handed on as it comes, what he has not taken yet is kept; how much of that is too much its owner says.

What is still to be sent on a socket that nobody waits for: it takes what it takes, the rest stays.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from orchestrator.runtime.loop import READ, WRITE, Loop

READ_SIZE = 1 << 16


class Connection:
    """Owns the socket until `close` or `release`. `heard` is told what he sends, `gone` once that he has gone, and
    `caught_up`, where given, that after a while in which he did not he has taken everything again."""

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
        """Bytes that he has not taken yet."""
        return len(self._unsent)

    @property
    def hears(self) -> bool:
        """Whether anything may still be said to him."""
        return self.open and not self._stop_sequence

    def send(self, data: bytes) -> None:
        """Send this; what he does not take now follows when he does."""
        self._unsent.add(data)
        self._flush()

    def end(self) -> None:
        """Close, as soon as he has taken everything."""
        self._stop_sequence = True
        if self.open and not self._unsent:
            self.close()

    def close(self) -> None:
        """Let him go at once."""
        if self.open:
            self._leave_alone()
            self._connection.close()
            self._gone()

    def release(self) -> socket.socket:
        """Give the connection away; `gone` is not told."""
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
    """Of a non-blocking socket, which its owner closes; its length is what has not been sent."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unsent = bytearray()

    def __len__(self) -> int:
        return len(self._unsent)

    def add(self, data: bytes) -> None:
        """Add what is to be sent."""
        self._unsent += data

    def flush(self) -> None:
        """Send as much as the socket takes; raises OSError where the other end has gone, and forgets the rest."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
            raise
