"""Datagrams to a service manager: the part of the protocol of sd_notify(3) that a service needs."""

from __future__ import annotations

import contextlib
import socket


class Notifier:
    """Sends to NOTIFY_SOCKET, a path or, after `@`, an abstract name. Never waits; a missing receiver is ignored."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def send(self, *assignments: str) -> None:
        """Send lines like `READY=1`."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.sendto("\n".join(assignments).encode("utf-8", "replace"), self._address)
