"""Finds the owner of a TCP or unix socket that answers: our own tree, another process, or unknown. Linux only.

Facts this relies on:
- /proc/net/tcp and tcp6 list the sockets of this network namespace with address, state and inode (`socket_table`).
- Of several listening sockets on one port the kernel takes the one bound to the very address, then the one on every
  address, IPv4's own before a dual-stack IPv6 one (inet_lhash2_lookup, compute_score). With SO_REUSEPORT several are
  equal, and it chooses by a hash; then only the accepted end of a connection identifies the owner.
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
from orchestrator.process.socket_table import INODE, LISTEN, LOCAL, REMOTE, STATE, holder, rows

_NO_INODE = "0"
_UCRED = struct.Struct("3i")  # pid, uid, gid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
End = tuple[Address, int]


class Owner(enum.Enum):
    """The owner of a socket."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNKNOWN = "owner unknown"


@dataclass(frozen=True, slots=True)
class OwnerVerdict:
    """`pid` is the process that holds the socket, if it is FOREIGN."""

    owner: Owner
    pid: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    local: End
    remote: End
    state: str
    inode: str
    old: bool  # from the IPv4 table


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of the other end of a connection: inodes of its accepted end, and of the socket that the kernel
    chose, or may have chosen, to accept it. Neither is set if the peer is on another machine. Of a unix socket `pid` is
    the process that listened (SO_PEERCRED), 0 if the kernel does not show it."""

    accepted: frozenset[str] = frozenset()
    listening: frozenset[str] = frozenset()
    local: bool = False
    pid: int = 0


def look(connection: socket.socket) -> Evidence:
    """Gather the evidence while a connection is open. Raises OSError if it has no peer any more."""
    if connection.family == socket.AF_UNIX:
        return Evidence(local=True, pid=_listener_of(connection))
    here, there = _end(connection.getsockname()), _end(connection.getpeername())
    if not _is_local(here, there):
        return Evidence()
    entries = list(_entries(there[1]))
    accepted = frozenset(e.inode for e in entries if e.inode != _NO_INODE and e.local == there and e.remote == here)
    return Evidence(accepted, frozenset(_listening(entries, there[0])), local=True)


def owner(evidence: Evidence, root: int) -> OwnerVerdict:
    """Return whether the other end belonged to the tree below `root`.

    OURS and FOREIGN are proven; UNKNOWN means that the peer is on another machine or the kernel does not show it. The
    accepted end counts, if it was seen; else the listening socket.
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
    """Return whose process called listen(2). It may be gone, like the parent of a daemon: then the owner is unknown."""
    if pid == root or any(process.pid == pid for process in tree.descendants(root)):
        return OwnerVerdict(Owner.OURS)
    return OwnerVerdict(Owner.FOREIGN, pid) if os.path.exists(f"/proc/{pid}") else OwnerVerdict(Owner.UNKNOWN)


def remote_peers(port: int) -> set[str]:
    """Return the addresses on other machines that are connected to our `port`, or were a moment ago."""
    known = (e for e in _entries(port) if e.state != LISTEN and not e.remote[0].is_unspecified)
    return {str(e.remote[0]) for e in known if not _is_local(e.local, e.remote)}


def _is_local(here: End, there: End) -> bool:
    """Whether the peer is on this machine: the kernel connects to a local address from the same address."""
    return there[0].is_loopback or here[0] == there[0]


def _listening(entries: Iterable[_Entry], address: Address) -> set[str]:
    ranks: dict[tuple[bool, bool], set[str]] = {}
    for entry in entries:
        if entry.state == LISTEN and (exact := _fits(entry, address)) is not None:
            ranks.setdefault((exact, entry.old), set()).add(entry.inode)
    return ranks[max(ranks)] if ranks else set()


def _fits(entry: _Entry, address: Address) -> bool | None:
    """Whether a socket listens on exactly this address (True) or on all (False); None if on another."""
    if entry.local[0] == address:
        return True
    every = entry.local[0].is_unspecified and (not entry.old or address.version == 4)
    return False if every else None


def _owner(inodes: Collection[str], root: int) -> OwnerVerdict:
    if not inodes:
        return OwnerVerdict(Owner.UNKNOWN)
    ours = [root, *(process.pid for process in tree.descendants(root))]
    if holder(inodes, ours):
        return OwnerVerdict(Owner.OURS)
    if not all(map(_is_open_to_us, ours)):
        return OwnerVerdict(Owner.UNKNOWN)
    pid = holder(inodes, procfs.pids())
    return OwnerVerdict(Owner.FOREIGN, pid) if pid else OwnerVerdict(Owner.UNKNOWN)


def _is_open_to_us(pid: int) -> bool:
    """Whether we may see the descriptors of a process; one that has exited holds none."""
    try:
        os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _entries(port: int) -> Iterator[_Entry]:
    """Yield the sockets on a local port."""
    for fields, old in rows(port=port):
        yield _Entry(_hex_end(fields[LOCAL]), _hex_end(fields[REMOTE]), fields[STATE], fields[INODE], old)


def _hex_end(text: str) -> End:
    """Read `0100007F:1F90`: 32-bit words in the byte order of the machine, then the port."""
    words, _, port = text.partition(":")
    packed = b"".join(int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8))
    return _plain(ipaddress.ip_address(packed)), int(port, 16)


def _end(name: tuple[str, int]) -> End:
    return _plain(ipaddress.ip_address(name[0].partition("%")[0])), name[1]


def _plain(address: Address) -> Address:
    """Return the IPv4 address of ::ffff:a.b.c.d, as an IPv6 socket shows it; others unchanged."""
    return getattr(address, "ipv4_mapped", None) or address
