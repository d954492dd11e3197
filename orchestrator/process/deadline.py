"""Connections under one deadline, from the connect to the last byte: a peer that drips bytes does not extend it.

Fact: a socket's timeout limits each call, not the whole exchange (socket.settimeout). So every call gets the remaining
time. Looking up a host name cannot be limited: getaddrinfo(3) has separate timeouts (resolv.conf(5)).
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.model.masked import plain
from orchestrator.runtime.unix_socket import short_path


class Deadline:
    """A deadline, `timeout` seconds from now."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + timeout

    @property
    def left(self) -> float:
        """Return the remaining seconds. Raises TimeoutError if none remain."""
        left = self._at - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect over TCP, to the first address of a host that accepts. Raises OSError."""
    refusal: OSError = OSError(f"no address for {host}")
    for family, kind, protocol, _, address in socket.getaddrinfo(plain(host), port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.left)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            refusal = error
    raise refusal


def connect_unix(path: str, deadline: Deadline) -> socket.socket:
    """Connect to a unix socket. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(deadline.left)
        with short_path(Path(plain(path))) as short:
            connection.connect(short)
    except OSError:
        connection.close()
        raise
    return connection


class TimedSocket:
    """A socket as http.client uses it: each call gets the remaining time. The code that made the connection closes it;
    http.client closes a socket before it has read the response from its file."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        """Send all of `data`."""
        self._connection.settimeout(self._deadline.left)
        self._connection.sendall(data)

    def close(self) -> None:
        """Do nothing."""

    def makefile(self, _: str) -> io.BufferedReader:
        """Return a file to read from, which does not own the socket."""
        return io.BufferedReader(_Reader(self._connection, self._deadline))


class _Reader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._deadline.left)
        return self._connection.recv_into(buffer)
