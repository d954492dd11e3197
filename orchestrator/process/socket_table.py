"""The TCP sockets of this network namespace, from /proc/net/tcp and tcp6 (proc_pid_net(5)), and the processes that hold
them. Without /proc there are none.

A descriptor of a socket reads `socket:[INODE]` in /proc/PID/fd, which root and the owner of a dumpable process may see.

This imports little, unlike `socket_owner`, because a start checks its ports before the first fork.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from orchestrator.process import procfs

LISTEN = "0A"  # include/net/tcp_states.h
LOCAL, REMOTE, STATE, INODE = 1, 2, 3, 9  # fields of a row

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def rows(*, port: int | None = None, is_listening: bool = False) -> Iterator[tuple[list[str], bool]]:
    """Yield the fields of each socket, and whether it is from the IPv4 table: those on a local `port`, those that
    listen.

    Most rows are skipped before they are split: with 1500 connections between local processes, a look at one port takes
    17 ms instead of 42.
    """
    part = f" {LISTEN} " if is_listening else ""
    end = "" if port is None else f":{port:04X}"
    for path in _TABLES:
        try:
            with open(path, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            if part in line and end in line:
                fields = line.split()
                if fields[LOCAL].endswith(end) and (not is_listening or fields[STATE] == LISTEN):
                    yield fields, path == _TABLES[0]


def port_of(end: str) -> int:
    """Return the port of a field such as `0100007F:1F90`."""
    return int(end.rpartition(":")[2], 16)


def listening() -> dict[str, int]:
    """Return the port of each listening socket on this machine, by inode."""
    return {fields[INODE]: port_of(fields[LOCAL]) for fields, _ in rows(is_listening=True)}


def taken(ports: Collection[int]) -> dict[int, int]:
    """Return those of these ports that some process listens on, on any address, with its pid; 0 if the kernel does
    not show it."""
    found = {inode: port for inode, port in listening().items() if port in ports}
    pids = dict(holders(found, procfs.pids())) if found else {}
    return {port: pids.get(inode, 0) for inode, port in found.items()}


def listener(port: int) -> int:
    """Return the pid of a process that listens on `port`, on any address; 0 if the kernel does not show it."""
    inodes = {fields[INODE] for fields, _ in rows(port=port, is_listening=True)}
    return holder(inodes, procfs.pids())


def held(sockets: Mapping[str, int], pids: Iterable[int]) -> list[int]:
    """Return the ports of those of `sockets` that these processes have open, in their order."""
    return sorted({sockets[inode] for inode, _ in holders(sockets, pids)}) if sockets else []


def holder(inodes: Collection[str], pids: Iterable[int]) -> int:
    """Return the first of these processes that has one of these sockets open; 0 if none has."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return next((pid for pid in pids if not wanted.isdisjoint(procfs.open_files(pid))), 0) if wanted else 0


def holders(inodes: Collection[str], pids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Yield the inodes of these that a process has open, with its pid."""
    for pid in pids:
        for link in procfs.open_files(pid):
            if link.startswith("socket:[") and (inode := link[8:-1]) in inodes:
                yield inode, pid
