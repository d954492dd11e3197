"""Whose TCP or unix socket it is that answers: our own tree's, another process's, or unknown. Linux only.

Facts this relies on:
- /proc/net/tcp and tcp6 (proc(5), proc_pid_net(5)) list the sockets of this network namespace with address, state and
  inode; a descriptor of it reads `socket:[INODE]`, which root and the owner of a dumpable process may see.
- Of several listening sockets on one port the kernel takes the one bound to the very address, then the one on every
  address, IPv4's own before a dual-stack IPv6 one (inet_lhash2_lookup, compute_score). With SO_REUSEPORT several are
  equal, and it chooses by a hash; then only the accepted end of a connection tells.
- A connection that waits to be accepted has the inode 0.
"""

from __future__ import annotations

import enum
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from orchestrator.process import procfs, tree

_LISTEN = 0x0A  # include/net/tcp_states.h
_UCRED = struct.Struct("3i")  # pid, uid, gid
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
End = tuple[Address, int]


class Owner(enum.Enum):
    """Who holds a socket."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNKNOWN = "owner unknown"


@dataclass(frozen=True, slots=True)
class OwnerVerdict:
    """`pid` is a process that holds it, where it is somebody else's."""

    owner: Owner
    pid: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    local: End
    remote: End
    state: int
    inode: int
    old: bool  # IPv4's own


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of the other end of a connection: inodes of its accepted end, and of the socket that the kernel
    chose, or may have chosen, to accept it. Neither where the peer is on another machine. Of a unix socket `pid` is the
    process that listened (SO_PEERCRED), 0 if the kernel does not tell."""

    accepted: frozenset[int] = frozenset()
    listening: frozenset[int] = frozenset()
    local: bool = False
    pid: int = 0


def look(connection: socket.socket) -> Evidence:
    """Gather the evidence while a connection is open. Raises OSError where it has none any more."""
    if connection.family == socket.AF_UNIX:
        return Evidence(local=True, pid=_listener_of(connection))
    here, there = _end(connection.getsockname()), _end(connection.getpeername())
    if not _is_local(here, there):
        return Evidence()
    entries = list(_entries())
    accepted = frozenset(e.inode for e in entries if e.inode and e.local == there and e.remote == here)
    return Evidence(accepted, frozenset(_listening(entries, there)), local=True)


def owner(evidence: Evidence, root: int) -> OwnerVerdict:
    """Say whether the other end was that of the tree below `root`.

    OURS and FOREIGN are proven; UNKNOWN where the peer is on another machine, or the kernel does not tell us. The
    accepted end counts, where it was seen; else the listening socket.
    """
    if evidence.pid:
        return _owner_of_pid(evidence.pid, root)
    verdict = _owner(evidence.accepted, root)
    return verdict if verdict.owner is not Owner.UNKNOWN else _owner(evidence.listening, root)


def _listener_of(connection: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    return int(_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[0])


def _owner_of_pid(pid: int, root: int) -> OwnerVerdict:
    """The process that called listen(2): ours, another one, or gone, as the parent of a daemon is."""
    if pid == root or any(member.pid == pid for member in tree.descendants(root)):
        return OwnerVerdict(Owner.OURS)
    return OwnerVerdict(Owner.FOREIGN, pid) if os.path.exists(f"/proc/{pid}") else OwnerVerdict(Owner.UNKNOWN)


def listener(port: int) -> int:
    """Return the pid of a process that listens on `port`, on whichever address; 0 where the kernel does not tell."""
    inodes = {e.inode for e in _entries() if e.state == _LISTEN and e.local[1] == port}
    return _holder(inodes, procfs.pids()) if inodes else 0


def _is_local(here: End, there: End) -> bool:
    """Whether the peer is on this machine: to an address of its own the kernel connects from that address."""
    return there[0].is_loopback or here[0] == there[0]


def _listening(entries: Iterable[_Entry], there: End) -> set[int]:
    address, port = there
    ranks: dict[tuple[bool, bool], set[int]] = {}
    for entry in entries:
        if entry.state == _LISTEN and entry.local[1] == port and (exact := _fits(entry, address)) is not None:
            ranks.setdefault((exact, entry.old), set()).add(entry.inode)
    return ranks[max(ranks)] if ranks else set()


def _fits(entry: _Entry, address: Address) -> bool | None:
    """Whether it listens on the very address (True) or on every one (False); None where on another."""
    if entry.local[0] == address:
        return True
    every = entry.local[0].is_unspecified and (not entry.old or address.version == 4)
    return False if every else None


def _owner(inodes: Collection[int], root: int) -> OwnerVerdict:
    if not inodes:
        return OwnerVerdict(Owner.UNKNOWN)
    ours = [root, *(member.pid for member in tree.descendants(root))]
    if _holder(inodes, ours):
        return OwnerVerdict(Owner.OURS)
    if not all(map(_is_open_to_us, ours)):
        return OwnerVerdict(Owner.UNKNOWN)
    pid = _holder(inodes, procfs.pids())
    return OwnerVerdict(Owner.FOREIGN, pid) if pid else OwnerVerdict(Owner.UNKNOWN)


def _holder(inodes: Collection[int], pids: Iterable[int]) -> int:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return next((pid for pid in pids if not wanted.isdisjoint(procfs.open_files(pid))), 0)


def _is_open_to_us(pid: int) -> bool:
    """Whether we may see its descriptors; one that has gone holds none."""
    try:
        os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _entries() -> Iterator[_Entry]:
    for path in _TABLES:
        try:
            with open(path, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            old = path == _TABLES[0]
            yield _Entry(_hex_end(fields[1]), _hex_end(fields[2]), int(fields[3], 16), int(fields[9]), old)


def _hex_end(text: str) -> End:
    """Read `0100007F:1F90`: 32-bit words in the byte order of the machine, then the port."""
    words, _, port = text.partition(":")
    packed = b"".join(int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8))
    return _plain(ipaddress.ip_address(packed)), int(port, 16)


def _end(name: tuple[str, int]) -> End:
    return _plain(ipaddress.ip_address(name[0].partition("%")[0])), name[1]


def _plain(address: Address) -> Address:
    """An IPv4 address that an IPv6 socket shows as ::ffff:a.b.c.d is that IPv4 address."""
    return getattr(address, "ipv4_mapped", None) or address
