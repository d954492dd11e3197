"""What a process tree uses: processor time and memory, read from /proc (proc(5)). Linux only."""

from __future__ import annotations

import os
from dataclasses import dataclass

from orchestrator.process import procfs, session_leader, tree


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in seconds, of the living and of those that were waited for; `memory` in bytes, shared pages shared out
    among those that share them (PSS) where the kernel tells, else counted for each."""

    cpu: float
    memory: int


def usage_of(guardian: int) -> Usage | None:
    """Return what the tree below a guardian uses, without the session leader, which is ours. None if there is no tree,
    or it cannot be seen from here."""
    members = [m.pid for m in tree.descendants(guardian) if not session_leader.leads_a_session(m.pid)]
    if not members:
        return None
    return Usage(sum(map(_cpu, members)), sum(map(_memory, members)))


def _cpu(pid: int) -> float:
    fields = procfs.stat_fields(pid)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if len(fields) > 14 else 0.0


def _memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
