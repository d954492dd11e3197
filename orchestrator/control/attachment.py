"""A client's end of an attachment: the request, its reply, and then a socket that speaks frames."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from orchestrator.control.client import connect, peer_pid
from orchestrator.model.control import MalformedRequest, Reply, Request, decode_reply

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
