"""TCP ports that processes listen on, from /proc/net/tcp and tcp6 (proc_pid_net(5)). Without /proc there are none.

Light, unlike `sockets`: a start looks whether its ports are taken before the first fork.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from orchestrator.process import tree

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"  # include/net/tcp_states.h


def taken(ports: Collection[int]) -> dict[int, int]:
    """Return those of these ports that some process listens on, on whichever address, with its pid; 0 if the kernel
    does not tell."""
    found = {inode: port for inode, port in _sockets() if port in ports}
    holders = dict(_holders(found, _everyone())) if found else {}
    return {port: holders.get(inode, 0) for inode, port in found.items()}


def ports_of(guardian: int) -> list[int]:
    """Return the ports that the tree below a guardian listens on, in their order."""
    sockets = dict(_sockets())
    pids = (member.pid for member in tree.descendants(guardian))
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
        for link in _links(pid):
            if link.startswith("socket:[") and (inode := link[8:-1]) in inodes:
                yield inode, pid


def _links(pid: int) -> Iterator[str]:
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:  # another user's, not dumpable, or gone meanwhile
        return
    for name in names:
        try:
            yield os.readlink(f"{directory}/{name}")
        except OSError:
            continue


def _everyone() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())
