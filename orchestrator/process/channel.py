"""The duplex pipe between supervisor and guardian: messages, and the descriptors that follow one.

A message is one pickled dataclass, small enough to be written at once. `multiprocessing.Pipe(duplex=True)` is a
socket pair; a plain pipe could not carry a descriptor.

Fact: if a process closes a UNIX stream socket, or ends, before it has read everything, the other side reads ECONNRESET
instead of the end (Linux, `unix_release_sock`).
"""

from __future__ import annotations

import pickle
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Out = TypeVar("Out")
In = TypeVar("In")


class ChannelClosed(Exception):
    """The other side has gone. `is_unread` says that it had not read everything that was sent to it."""

    def __init__(self, *, is_unread: bool = False) -> None:
        super().__init__()
        self.is_unread = is_unread


class Channel(Generic[Out, In]):
    """One end of the pipe: sends `Out`, receives `In`."""

    def __init__(self, connection: Connection[Out, In]) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._connection.fileno()

    def send(self, message: Out) -> None:
        """Send one message; raises ChannelClosed."""
        try:
            self._connection.send_bytes(pickle.dumps(message))
        except OSError:
            raise ChannelClosed(is_unread=True) from None

    def receive(self) -> In:
        """Return the next message, waiting for it; raises ChannelClosed at the end."""
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise ChannelClosed(is_unread=isinstance(error, ConnectionResetError)) from None

    def send_fd(self, fd: int) -> None:
        """Send a duplicate of `fd`."""
        try:
            reduction.send_handle(self._connection, fd, 0)
        except OSError:
            raise ChannelClosed from None

    def receive_fd(self) -> int:
        """Return the descriptor that the other side sent after its last message; raises ChannelClosed."""
        try:
            return reduction.recv_handle(self._connection)
        except (EOFError, RuntimeError, OSError):
            raise ChannelClosed from None

    def close(self) -> None:
        """Close our end."""
        self._connection.close()
