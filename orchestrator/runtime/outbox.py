"""What is still to be sent on a socket that nobody waits for: it takes what it takes, the rest stays."""

from __future__ import annotations

import socket


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
