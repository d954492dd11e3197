"""A client's end of the socket in the home: sends one request, waits for its replies and reads them.

It also opens attach sessions: the request, its reply, and then a socket for frames.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.model.control import AttachRequest, MalformedRequest, Reply, Request, RowT
from orchestrator.runtime.unix_socket import short_path

if TYPE_CHECKING:
    from orchestrator.model.control import AttachRow


class NotRunning(Exception):
    """No supervisor listens on the socket."""


def connect(path: Path) -> socket.socket:
    """Return a connection to the supervisor at `path`. Raises NotRunning if no supervisor listens, OSError if access is
    denied."""
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
    """Return the supervisor's pid (SO_PEERCRED, unix(7)); None if the kernel does not say."""
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
        """The supervisor's pid; None if the kernel does not say."""
        return peer_pid(self._connection)

    def ask(self, request: Request[RowT], limit: float | None = None) -> Iterator[Reply[RowT]]:
        """Send `request` and yield its replies to the last.

        Raises TimeoutError if no reply comes for `limit` seconds, ConnectionError if the supervisor exits before the
        last reply, MalformedRequest if a reply is malformed.
        """
        self._connection.settimeout(limit)
        try:
            self._connection.sendall(request.encode())
        except BrokenPipeError:
            pass  # it has refused us: its reply can still be read
        with self._connection.makefile("rb") as lines:
            for line in lines:
                reply = request.read_reply(line)
                yield reply
                if reply.last:
                    return
        raise ConnectionResetError("the supervisor ended while it was asked")


_REPLY_MAX = 1 << 20


def open_attachment(
    path: Path, request: AttachRequest, connected: Callable[[int | None], None], limit: float | None = None
) -> tuple[Reply[AttachRow], socket.socket, bytes]:
    """Send `request` to the supervisor at `path`; call `connected` with its pid before waiting for the reply.

    Return its reply, the connection, and the bytes that followed the reply. Raises NotRunning if no supervisor runs,
    ConnectionError if it exits or its reply is malformed, TimeoutError if no reply comes for `limit` seconds.
    """
    connection = connect(path)
    try:
        connected(peer_pid(connection))
        connection.settimeout(limit)
        connection.sendall(request.encode())
        line, rest = _first_line(connection)
        connection.settimeout(None)
        return request.read_reply(line), connection, rest
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
