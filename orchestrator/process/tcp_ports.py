"""TCP ports before a start: whether one can be listened on, and which others are free.

Facts: with SO_REUSEADDR, which every server sets, bind(2) fails on Linux exactly if another socket listens on an
address that overlaps.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from orchestrator.process import procfs, socket_table


def fault(host: str, port: int) -> str:
    """Say in a few words why `port` cannot be listened on; empty if it can. `::` means every address."""
    try:
        _listen(host, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"is taken{_by_whom(port)}"
        return f"cannot be listened on: {(error.strerror or str(error)).lower()}"
    except OverflowError:
        return "is not a port"
    return ""


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host name; none if it is unknown."""
    return [str(address[0]) for *_, address in _resolved(host)]


def _resolved(host: str) -> list[tuple[int, int, int, str, Any]]:
    try:
        return list(socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM))
    except (OSError, UnicodeError):  # UnicodeError: a label that is too long for DNS
        return []


def is_own(host: str) -> bool:
    """Whether a name or address leads to this machine. bind(2) succeeds only with our own addresses."""
    found = _resolved(host)
    for family, kind, number, _, address in found:
        try:
            with socket.socket(family, kind, number) as sock:
                sock.bind(address)
        except OSError:
            return False
    return bool(found)


def free(host: str, avoid: set[int]) -> int:
    """Return a port on `host` that can be listened on and is not in `avoid`. Raises OSError."""
    held: list[socket.socket] = []
    try:
        while True:
            sock = _listen(host, 0)
            held.append(sock)
            port: int = sock.getsockname()[1]
            if port not in avoid:
                return port
    finally:
        for sock in held:
            sock.close()


def _listen(host: str, port: int) -> socket.socket:
    address = host.strip("[]")
    if address in ("::", "*"):
        dual = socket.has_dualstack_ipv6()
        family, address = (socket.AF_INET6, "::") if dual else (socket.AF_INET, "0.0.0.0")
    else:
        dual = False
        family = socket.getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        sock.bind((address, port))
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def _by_whom(port: int) -> str:
    if pid := socket_table.listener(port):
        return f" by pid {pid} ({procfs.command_of(pid)})"
    return ""
