"""Survivors: what is left of a run whose supervisor and guardians were killed together.

A guardian keeps a record beside its lock for as long as its tree may live; where a record is found and nobody holds
the lock, the guardian was killed. What it stood over is then found by three marks, each of which another may lack:

- The leader, by pid and start time (proc_pid_stat(5)): the pair names one process for as long as the machine runs.
- Its session: what the leader forked stays in it, and its number is nobody else's pid while one member lives. So
  gunicorn and postgres are found too, whose titles overwrite the environment that they were started with.
- MARK in the environment, with the token of the run and the instance: it is inherited across setsid(2) and double
  forks, and nobody else's by accident. The home's name would not do: a container beside us may have one of that name.

And all that descends from those. What has left its session *and* has wiped its environment is not found. The pty is
no mark: its number is free for the next comer after the hang-up.

A stranger is never signalled: a process is pinned by a pidfd first, and its start time compared after that.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.process import proc, tree
from orchestrator.runtime.loop import READ, Loop

MARK = "ORCHESTRATE_RUN"
SUFFIX = ".tree"
TOKEN = os.urandom(16).hex()  # of this run: the guardians are forked after it is drawn
_PREFIX = f"{MARK}=".encode()
ROUNDS = 20  # of looking for what was born while others were being ended
KILL_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class Survivor:
    """One process of `instance`; `start` is its start time in clock ticks since boot."""

    instance: str
    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.instance}: {proc.describe(self.pid)}"


@dataclass(frozen=True, slots=True)
class _Record:
    instance: str
    token: str
    leader: int
    start: int


def mark(instance: str, token: str = TOKEN) -> str:
    """Return the value of MARK for an instance."""
    return f"{token}.{instance}"


def marked(environment: Mapping[str, str], instance: str) -> dict[str, str]:
    """Return the environment with the mark, for a guardian that is to be forked.

    All that a guardian of ours would otherwise find out for itself is found out here, once.
    """
    if proc.LINUX:
        _boot()
    return {**environment, MARK: mark(instance)}


def record_path(lock_path: str) -> str:
    """Return where the record of the guardian with this lock is: each run has its own, so that none hides another."""
    return f"{lock_path.removesuffix('.lock')}.{TOKEN}{SUFFIX}"


def write_record(lock_path: str, leader: int = 0) -> None:
    """Record a leader; before there is one, only the run. Nothing is written where there is no /proc.

    An error is passed over: a full disk must not keep a component from starting.
    """
    if not proc.LINUX:
        return
    start = proc.start_time(leader) if leader else 0
    # Not O_TRUNC: ext4 begins to write a file to the disk that was emptied and filled again (auto_da_alloc), 4 ms.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(record_path(lock_path), flags, 0o600)
    except OSError:
        return
    try:
        os.ftruncate(fd, os.write(fd, f"{_boot()} {leader} {start}\n".encode()))
    except OSError:
        pass
    finally:
        os.close(fd)


def forget_record(lock_path: str) -> None:
    """The tree is empty."""
    try:
        os.unlink(record_path(lock_path))
    except OSError:
        pass


def find(directory: Path) -> tuple[list[Survivor], list[Path]]:
    """Return what is left of the runs whose records are in `directory`, and the records that nothing is left of.

    Call it while no guardian of this home lives.
    """
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    records = {path: record for path in paths if (record := _read(path))}
    found = _search(list(records.values())) if records else {}
    living = set(found.values())
    return list(found), [path for path in paths if records.get(path) not in living]


def end(directory: Path, grace: float, loop: Loop) -> list[Survivor]:
    """TERM, and after `grace` seconds KILL, until nothing new is found; return what is left all the same."""
    found, _ = find(directory)
    _signal(found, signal.SIGTERM)
    _signal(found, signal.SIGCONT)
    _wait(found, grace, loop)
    found = _freeze(directory)
    while found:
        _signal(found, signal.SIGKILL)
        if not _wait(found, KILL_WAIT, loop):
            break
        found = _freeze(directory)
    return found


def _freeze(directory: Path) -> list[Survivor]:
    """Stop what is left, until nothing new is found that was born meanwhile; return all of it."""
    stopped: list[Survivor] = []
    for _ in range(ROUNDS):
        found, _ = find(directory)
        fresh = [survivor for survivor in found if survivor not in stopped]
        if not fresh:
            break
        _signal(fresh, signal.SIGSTOP)
        stopped += fresh
    return found


@functools.cache
def _boot() -> str:
    """Name this boot and this PID namespace: in any other, the same pid is another process."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def _read(path: Path) -> _Record | None:
    try:
        instance, token, _ = path.name.rsplit(".", 2)
        content = path.read_text(encoding="ascii")
        if not content:  # the disk was full; the token is found in environments all the same
            return _Record(instance, token, 0, 0)
        boot, leader, start = content.split()
        if boot != _boot():
            return None
        return _Record(instance, token, int(leader), int(start))
    except (OSError, ValueError):
        return None


def _search(records: Collection[_Record]) -> dict[Survivor, _Record]:
    by_mark = {mark(record.instance, record.token).encode(): record for record in records}
    by_leader = {record.leader: record for record in records if record.leader}
    of_pid: dict[int, _Record] = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        environment = _environment(pid)
        named = next((by_mark[entry[len(_PREFIX) :]] for entry in environment if _is_mark(entry, by_mark)), None)
        if record := named or _by_leader(pid, environment, by_leader):
            of_pid[pid] = record
    for pid, record in list(of_pid.items()):
        for member in tree.descendants(pid):
            of_pid.setdefault(member.pid, record)
    # Started by hand in a component's shell that has survived: what we stand on is not ours to end.
    own = proc.session_of(os.getpid())
    for pid in list(of_pid):
        if pid in _above(os.getpid()) or proc.session_of(pid) == own or proc.is_zombie(pid):
            del of_pid[pid]
    return {Survivor(r.instance, pid, start): r for pid, r in of_pid.items() if (start := proc.start_time(pid))}


def _above(pid: int) -> set[int]:
    """Return a process and its parents, up to the first."""
    found = set()
    while pid:
        found.add(pid)
        pid = proc.parent_of(pid)
    return found


def _is_mark(entry: bytes, known: Collection[bytes]) -> bool:
    return entry.startswith(_PREFIX) and entry[len(_PREFIX) :] in known


def _by_leader(pid: int, environment: list[bytes], by_leader: Mapping[int, _Record]) -> _Record | None:
    """Return whose leader it is, or in whose leader's session."""
    if record := by_leader.get(pid):
        return record if proc.start_time(pid) == record.start else None
    record = by_leader.get(proc.session_of(pid))
    if record is None or proc.start_time(pid) < record.start:
        return None
    # The number is a session's for as long as it has members; a stranger can have it only once ours were gone, and
    # then either its leader is there, under another start time, or its environment is whole and has no mark of ours.
    if leader_start := proc.start_time(record.leader):
        return record if leader_start == record.start else None
    is_whole = bool(environment) and all(b"=" in entry for entry in environment)
    return None if is_whole else record


def _environment(pid: int) -> list[bytes]:
    """Return the environment that it was started with; empty where that cannot be read, or was wiped."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return [entry for entry in file.read().split(b"\0") if entry]
    except OSError:
        return []


def _signal(survivors: Iterable[Survivor], number: int) -> None:
    for survivor in survivors:
        tree.send_exact(survivor.pid, survivor.start, number)


def _wait(survivors: Iterable[Survivor], seconds: float, loop: Loop) -> bool:
    """Wait until all have ended; False where the time was over first."""
    left: set[int] = set()

    def ended(fd: int) -> None:
        loop.remove(fd)
        os.close(fd)
        left.discard(fd)

    for survivor in survivors:
        if (fd := tree.pin(survivor.pid, survivor.start)) >= 0:
            left.add(fd)
            loop.add(fd, READ, lambda _, fd=fd: ended(fd))  # type: ignore[misc]
    late: list[bool] = []
    timer = loop.call_in(seconds, lambda: late.append(True))
    while left and not late:
        loop.turn()
    timer.cancel()
    for fd in list(left):
        ended(fd)
    return not late
