"""TCP ports before a start: whether one can be listened on, who holds it, which others are free.

Facts: with SO_REUSEADDR, which every server sets, bind(2) fails on Linux exactly where another socket listens on an
address that overlaps.

TCP ports that processes listen on, from /proc/net/tcp and tcp6 (proc_pid_net(5)). Without /proc there are none.

Light, unlike `socket_owner`: a start looks whether its ports are taken before the first fork.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping

from orchestrator.process import procfs


def fault(host: str, port: int) -> str:
    """Say in a few words why `port` cannot be listened on; empty where it can. `::` means every address."""
    try:
        _listen(host, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"is taken{_by_whom(port)}"
        return f"cannot be listened on: {(error.strerror or str(error)).lower()}"
    except OverflowError:
        return "is not a port"
    return ""


def is_own(host: str) -> bool:
    """Return whether a name or address leads to this machine. bind(2) succeeds only with our own addresses."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, number, _, address in found:
        try:
            with socket.socket(family, kind, number) as sock:
                sock.bind(address)
        except OSError:
            return False
    return bool(found)


def free(host: str, avoid: set[int]) -> int:
    """Return a port on `host` that can be listened on, and is none of `avoid`. Raises OSError."""
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
    from orchestrator.process import socket_owner  # and ipaddress; most starts need neither

    if pid := socket_owner.listener(port):
        return f" by pid {pid} ({procfs.command_of(pid)})"
    return ""


_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"  # include/net/tcp_states.h


def taken(ports: Collection[int]) -> dict[int, int]:
    """Return those of these ports that some process listens on, on whichever address, with its pid; 0 if the kernel
    does not tell."""
    found = {inode: port for inode, port in _sockets() if port in ports}
    holders = dict(_holders(found, procfs.pids())) if found else {}
    return {port: holders.get(inode, 0) for inode, port in found.items()}


def listening() -> dict[str, int]:
    """Return the port of each listening socket on this machine, by inode."""
    return dict(_sockets())


def held(sockets: Mapping[str, int], pids: Iterable[int]) -> list[int]:
    """Return the ports of those of `sockets` that these processes have open, in their order."""
    return sorted({sockets[inode] for inode, _ in _holders(sockets, pids)}) if sockets else []


def _sockets() -> Iterator[tuple[str, int]]:
    for path in _TABLES:
        try:
            with open(path, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN:
                yield fields[9], int(fields[1].rpartition(":")[2], 16)


def _holders(inodes: Collection[str], pids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Yield the inodes of these that a process has open, with its pid."""
    for pid in pids:
        for link in procfs.open_files(pid):
            if link.startswith("socket:[") and (inode := link[8:-1]) in inodes:
                yield inode, pid
