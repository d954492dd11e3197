"""A client's end of the socket in the home: sends one request and reads what is answered, waiting for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from orchestrator.control.address import short_path
from orchestrator.model.control import Reply, Request, decode_reply


class NotRunning(Exception):
    """Nobody listens there."""


def ask(path: Path, request: Request) -> Iterator[Reply]:
    """Send `request` to the supervisor at `path` and yield its replies until it closes.

    Raises NotRunning where there is none, and ConnectionError where it goes without a last word.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with short_path(path) as name:
                connection.connect(name)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise NotRunning from None
        connection.sendall(request.encode())
        with connection.makefile("rb") as lines:
            for line in lines:
                reply = decode_reply(line)
                yield reply
                if reply.last:
                    return
    raise ConnectionError("the supervisor ended while it was asked")
