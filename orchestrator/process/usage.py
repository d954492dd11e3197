"""The resource usage of process trees: processor time, memory and listening ports, read from /proc (proc(5)). Linux
only."""

from __future__ import annotations

import os
from dataclasses import dataclass

from orchestrator.process import procfs, session_leader, socket_table, tree

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in seconds, of living processes and of those that were waited for; `memory` in bytes, shared pages divided
    among those that share them (PSS) if the kernel reports that, else counted for each."""

    cpu: float
    memory: int


class TreeReader:
    """Reads several trees at about the same time: each process once, and the sockets of the machine once for all.

    The kernel walks its whole table of connections for one read of /proc/net/tcp: 3 ms, even if there are none.
    """

    def __init__(self) -> None:
        self._listening: dict[str, int] | None = None
        self._processes: dict[int, dict[int, float]] = {}

    def usage_of(self, guardian: int) -> Usage | None:
        """Return what the tree below a guardian uses, without the session leader, which is ours. None if the tree is
        empty or not visible from here."""
        found = self._below(guardian)
        return Usage(sum(found.values()), sum(map(_memory, found))) if found else None

    def ports_of(self, guardian: int) -> list[int]:
        """Return the ports that the tree below a guardian listens on, in their order."""
        if self._listening is None:
            self._listening = socket_table.listening()
        return socket_table.held(self._listening, self._below(guardian))

    def _below(self, guardian: int) -> dict[int, float]:
        """Return the processes of a tree, with the processor time of each, without the session leader."""
        if guardian not in self._processes:
            found = {}
            for process in tree.descendants(guardian):
                fields = procfs.stat_fields(process.pid)
                if len(fields) > 14 and not session_leader.leads_a_session(process.pid, int(fields[3])):
                    found[process.pid] = sum(map(int, fields[11:15])) / _TICKS
            self._processes[guardian] = found
        return self._processes[guardian]


def _memory(pid: int) -> int:
    return _proportional(pid) or _resident(pid)


def _proportional(pid: int) -> int:
    for line in procfs.read(pid, "smaps_rollup").split(b"\n"):
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _resident(pid: int) -> int:
    fields = procfs.read(pid, "statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0
