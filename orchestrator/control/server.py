"""The supervisor's end of the socket in the home, served by its one loop.

No client can block it. A client that sends garbage gets an error. One that sends no line end is cut off at LINE_MAX,
one that does not read is cut off at BACKLOG_MAX, and one that disconnects is forgotten. If there are too many clients,
the one that has been silent longest is closed. This file does not interpret requests: it calls `handle` with the
request and the client, and `handle` may answer now or later.

Only this user and root are let in: the socket is 0600 in a 0700 directory, and the kernel reports the peer's uid
(SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from orchestrator.model.control import MalformedRequest, Reply, Request, Row, decode_request, refusal
from orchestrator.model.errors import USAGE_STATUS
from orchestrator.runtime.connection import Connection
from orchestrator.runtime.loop import READ, Loop
from orchestrator.runtime.unix_socket import short_path

REQUEST_MAX = 1 << 16
REPLY_BACKLOG_MAX = 1 << 20
CLIENTS_MAX = 64


class Client:
    """One connection; `peer` is its pid and uid. `on_close`, if set by the handler, is called once when it has gone."""

    def __init__(
        self,
        connection: socket.socket,
        loop: Loop,
        handle: Callable[[Request[Row], Client], None],
        forget: Callable[[Client], object],
        peer: tuple[int, int] = (0, -1),
    ) -> None:
        self._handle = handle
        self._forget = forget
        self._received = b""
        self._surplus = 0
        self.has_asked = False
        self.peer = peer
        self.on_close: Callable[[], None] | None = None
        self._peer = Connection(connection, loop, self._hear, self._gone)

    def send(self, reply: Reply[Row]) -> None:
        """Send a reply; the last one closes the connection."""
        if not self._peer.hears:
            return
        encoded = reply.encode()
        if self._peer.waiting + len(encoded) > REPLY_BACKLOG_MAX:
            self.close()
            return
        self._peer.send(encoded)
        if reply.last:
            self._peer.end()

    def hand_over(self, reply: Reply[Row]) -> socket.socket | None:
        """Send a reply and give the connection away; return None if the client has disconnected."""
        self.send(reply)
        if not self.open or self._peer.waiting:
            self.close()
            return None
        self._forget(self)
        return self._peer.release()

    @property
    def open(self) -> bool:
        """Whether the connection is open and ours."""
        return self._peer.open

    def close(self) -> None:
        """Forget the client."""
        self._peer.close()

    def _gone(self) -> None:
        self._forget(self)
        on_close, self.on_close = self.on_close, None  # which usually refers to us
        if on_close is not None:
            on_close()

    def _hear(self, data: bytes) -> None:
        if not self.has_asked:
            self._received += data
            self._take_line()
        else:  # one request per connection: further data is dropped, within limits
            self._surplus += len(data)
            if self._surplus > REQUEST_MAX:
                self.close()

    def _take_line(self) -> None:
        line, end, _ = self._received.partition(b"\n")
        if not end and len(self._received) <= REQUEST_MAX:
            return
        self.has_asked = True
        self._received = b""
        try:
            if len(line) > REQUEST_MAX:
                raise MalformedRequest(f"a line has at most {REQUEST_MAX} bytes")
            request = decode_request(line)
        except MalformedRequest as error:
            self.send(refusal(str(error), USAGE_STATUS))
            return
        self._handle(request, self)


class ControlServer:
    """Listens on the socket. The caller holds the home's lock, so an existing file at `path` is a leftover."""

    def __init__(self, path: Path, loop: Loop, handle: Callable[[Request[Row], Client], None]) -> None:
        """Raises OSError if the socket cannot be made."""
        self._path = path
        self._loop = loop
        self._handle = handle
        self._clients: dict[Client, None] = {}  # the oldest first
        self._spare_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with short_path(path) as name:
                self._socket.bind(name)
        finally:
            os.umask(before)
        self._socket.listen(CLIENTS_MAX)
        loop.add(self._socket.fileno(), READ, lambda _: self._accept())

    def close(self) -> None:
        """Stop listening; clients that still wait for an answer lose their connection."""
        self._loop.remove(self._socket.fileno())
        self._socket.close()
        os.close(self._spare_fd)
        self._path.unlink(missing_ok=True)
        for client in list(self._clients):
            client.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away()
            return
        connection.setblocking(False)
        peer = _peer_of(connection)
        if peer[1] not in (-1, 0, os.geteuid()):
            _refuse(connection, "this system belongs to another user")
        elif not self._make_room():
            _refuse(connection, "too many ask already")
        else:
            client = Client(connection, self._loop, self._handle, lambda gone: self._clients.pop(gone, None), peer)
            self._clients[client] = None

    def _turn_away(self) -> None:
        """Close the connection with the help of the spare descriptor, because no other is left. Left in the backlog it
        would keep the socket readable, and us busy."""
        os.close(self._spare_fd)
        with contextlib.suppress(OSError):
            self._socket.accept()[0].close()
        self._spare_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _make_room(self) -> bool:
        """Close the client that has been silent longest if there are too many; return False if all wait for replies."""
        if len(self._clients) < CLIENTS_MAX:
            return True
        silent = next((client for client in self._clients if not client.has_asked), None)
        if silent is not None:
            silent.close()
        return silent is not None


def _refuse(connection: socket.socket, why: str) -> None:
    with contextlib.suppress(OSError):
        connection.send(refusal(why).encode())
    connection.close()


def _peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the other side."""
    if not hasattr(socket, "SO_PEERCRED"):  # macOS: only the modes of socket and directory protect it
        return 0, -1
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return pid, uid
