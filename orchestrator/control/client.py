"""A client's end of the socket in the home: sends one request and reads what is answered, waiting for it.

A client's end of an attachment: the request, its reply, and then a socket that speaks frames.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.model.control import MalformedRequest, Reply, Request, decode_reply
from orchestrator.runtime.unix_socket import short_path


class NotRunning(Exception):
    """Nobody listens there."""


def connect(path: Path) -> socket.socket:
    """Return a connection to the supervisor at `path`. Raises NotRunning where nobody listens, OSError where he may
    not be asked."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            connection.connect(name)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        raise NotRunning from None
    except BaseException:
        connection.close()
        raise
    return connection


def peer_pid(connection: socket.socket) -> int | None:
    """Return the supervisor's pid (SO_PEERCRED, unix(7)); None where the kernel does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0]) or None


class Conversation:
    """One connection: the constructor connects, `ask` sends the request. A context manager that closes it."""

    def __init__(self, path: Path) -> None:
        """Raises as `connect` does."""
        self._connection = connect(path)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def pid(self) -> int | None:
        """The supervisor's pid; None where the kernel does not say."""
        return peer_pid(self._connection)

    def ask(self, request: Request, limit: float | None = None) -> Iterator[Reply]:
        """Send `request` and yield its replies to the last.

        Raises TimeoutError where none comes for `limit` seconds, ConnectionError where the supervisor goes without a
        last word, MalformedRequest where it does not speak as expected.
        """
        self._connection.settimeout(limit)
        try:
            self._connection.sendall(request.encode())
        except BrokenPipeError:
            pass  # it has refused us: what it said can still be read
        with self._connection.makefile("rb") as lines:
            for line in lines:
                reply = decode_reply(line)
                yield reply
                if reply.last:
                    return
        raise ConnectionResetError("the supervisor ended while it was asked")


_REPLY_MAX = 1 << 20


def open_attachment(
    path: Path, request: Request, connected: Callable[[int | None], None]
) -> tuple[Reply, socket.socket, bytes]:
    """Send `request` to the supervisor at `path`; `connected` is told its pid before the answer is waited for.

    Returns its reply, the connection, and what came after the reply already. Raises NotRunning where there is no
    supervisor, ConnectionError where it ends, or does not speak as expected.
    """
    connection = connect(path)
    try:
        connected(peer_pid(connection))
        connection.sendall(request.encode())
        line, rest = _first_line(connection)
        return decode_reply(line), connection, rest
    except MalformedRequest as error:
        connection.close()
        raise ConnectionError(str(error)) from None
    except BaseException:
        connection.close()
        raise


def _first_line(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\n" not in received:
        data = connection.recv(1 << 16)
        if not data or len(received) > _REPLY_MAX:
            raise ConnectionError("the supervisor ended while it was asked")
        received += data
    line, _, rest = received.partition(b"\n")
    return line, rest
