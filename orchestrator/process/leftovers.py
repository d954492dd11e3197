"""Survivors: what is left of a run whose supervisor and guardians were killed together.

A guardian keeps a record beside its lock for as long as its tree may live; where a record is found and nobody holds
the lock, the guardian was killed. What it stood over is found by a census, named, and ended where that is asked for.
A stranger is never signalled: a process is pinned by a pidfd first, and its start time compared after that.

A census of /proc (proc(5)): which processes belong to runs that are over. It signals nobody.

Three marks tell one, each of which another process may lack:

- The leader, by pid and start time (proc_pid_stat(5)): the pair names one process for as long as the machine runs.
- Its session (`process.session_leader`): what the leader forked stays in it, and its number is no other process's pid
  while it has a process. So gunicorn and postgres are found too, whose titles overwrite the environment that they
  were started with.
- MARK in the environment, with the token of the run and the instance: it is inherited across setsid(2) and double
  forks, and nobody else's by accident. The home's name would not do: a container beside us may have one of that name.

And all that descends from those. What has left its session *and* has wiped its environment is not found. The pty is
no mark: its number is free for the next comer after the hang-up.

/proc cannot be read at one instant: what forks and exits meanwhile is in none of its entries. So one looks again, at
those processes only that no earlier look has seen, which takes a millisecond.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.process import procfs, tree
from orchestrator.runtime.loop import READ, Loop

SUFFIX = ".tree"
TOKEN = os.urandom(16).hex()  # of this run: the guardians are forked after it is drawn
LOOKS = 200  # of one search, each of a millisecond or two: some programs go on as a new process all the time
ROUNDS = 20  # of killing what was born while others were being killed
KILL_WAIT = 5.0


def marked(environment: Mapping[str, str], instance: str) -> dict[str, str]:
    """Return the environment with the mark, for a guardian that is to be forked.

    All that a guardian of ours would otherwise find out for itself is found out here, once.
    """
    if procfs.LINUX:
        _boot()
    return {**environment, MARK: mark_of(instance, TOKEN)}


def record_path(lock_path: str) -> str:
    """Return where the record of the guardian with this lock is: each run has its own, so that none hides another."""
    return f"{lock_path.removesuffix('.lock')}.{TOKEN}{SUFFIX}"


def write_record(lock_path: str, leader: int = 0, session: int = 0) -> None:
    """Record a leader and the process that leads its session (default: the leader); before there is one, only the run.

    Nothing is written where there is no /proc.

    An error is passed over: a full disk must not keep a component from starting.
    """
    if not procfs.LINUX:
        return
    start = procfs.start_time(leader) if leader else 0
    session = session or leader
    session_start = start if session == leader else procfs.start_time(session)
    # Not O_TRUNC: ext4 begins to write a file to the disk that was emptied and filled again (auto_da_alloc), 4 ms.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(record_path(lock_path), flags, 0o600)
    except OSError:
        return
    try:
        os.ftruncate(fd, os.write(fd, f"{_boot()} {leader} {start} {session} {session_start}\n".encode()))
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


def find(directory: Path) -> tuple[list[Leftover], list[Path]]:
    """Return what is left of the runs whose records are in `directory`, and the records that nothing is left of.

    Call it while no guardian of this home lives.
    """
    return _search(directory, 0)


def end(directory: Path, grace: float, loop: Loop) -> list[Leftover]:
    """TERM, and after `grace` seconds KILL, until nothing new is found; return what is left all the same."""
    found, _ = find(directory)
    _signal(found, signal.SIGTERM)
    _signal(found, signal.SIGCONT)
    _wait(found, grace, loop)
    for _ in range(ROUNDS):
        found, _ = _search(directory, signal.SIGSTOP)
        _signal(found, signal.SIGKILL)
        if not found or not _wait(found, KILL_WAIT, loop):
            break
    return found


def _search(directory: Path, number: int) -> tuple[list[Leftover], list[Path]]:
    """Find what is left, each signalled as soon as it is found, until nothing new appears that was born meanwhile."""
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    records = {path: record for path in paths if (record := _read(path))}
    if not records:
        return [], paths
    census = LeftoverScan(list(records.values()))
    for _ in range(LOOKS):
        _signal(census.look(), number)
        if census.is_settled:
            break
    found = census.left()
    living = set(found.values())
    return list(found), [path for path in paths if records.get(path) not in living]


@functools.cache
def _boot() -> str:
    """Name this boot and this PID namespace: in any other, the same pid is another process."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def _read(path: Path) -> LeaderRecord | None:
    try:
        instance, token, _ = path.name.rsplit(".", 2)
        content = path.read_text(encoding="ascii")
        if not content:  # the disk was full; the token is found in environments all the same
            return LeaderRecord(instance, token, 0, 0)
        boot, *numbers = content.split()
        if boot != _boot():
            return None
        leader, start, session, session_start = map(int, numbers if len(numbers) > 2 else 2 * numbers)
        return LeaderRecord(instance, token, leader, start, session, session_start)
    except (OSError, ValueError):
        return None


def _signal(survivors: Iterable[Leftover], number: int) -> None:
    for survivor in survivors:
        tree.send_exact(survivor.pid, survivor.start, number)


def _wait(survivors: Iterable[Leftover], seconds: float, loop: Loop) -> bool:
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


MARK = "ORCHESTRATE_RUN"
_PREFIX = f"{MARK}=".encode()


@dataclass(frozen=True, slots=True)
class LeaderRecord:
    """One run of a start that is over. `start` and `session_start` are the start times of `leader` and of the process
    that leads its session, which may be the leader too; all are 0 if only the start is known."""

    instance: str
    token: str
    leader: int
    start: int
    session: int = 0
    session_start: int = 0


@dataclass(frozen=True, slots=True)
class Leftover:
    """One process of `instance`; `start` is its start time in clock ticks since boot."""

    instance: str
    pid: int
    start: int

    def __str__(self) -> str:
        return f"{self.instance}: {procfs.describe(self.pid)}"

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet."""
        return procfs.start_time(self.pid) == self.start and not procfs.is_zombie(self.pid)


def mark_of(instance: str, token: str) -> str:
    """Return the value of MARK for an instance of a run."""
    return f"{token}.{instance}"


class LeftoverScan:
    """What is left of the runs of `records`."""

    def __init__(self, records: Collection[LeaderRecord]) -> None:
        self._by_mark = {mark_of(record.instance, record.token).encode(): record for record in records}
        self._by_leader = {record.leader: record for record in records if record.leader}
        self._by_session = {record.session: record for record in records if record.session}
        # Started by hand in a component's shell that has survived: what we stand on is not ours to end.
        self._above = frozenset(_above(os.getpid()))
        self._seen = set(self._above)
        self._own_session = procfs.session_of(os.getpid())
        self._of_pid: dict[int, LeaderRecord] = {}
        self._found: dict[Leftover, LeaderRecord] = {}
        self._living: set[Leftover] = set()
        self.is_settled = False

    def look(self) -> list[Leftover]:
        """Return those that no look has found yet. The census `is_settled` where nobody new was there to look at, and
        nobody has gone, who may have gone on as a new process."""
        gone = {survivor for survivor in self._living if not survivor.lives}
        unseen = [pid for name in os.listdir("/proc") if name.isdigit() and (pid := int(name)) not in self._seen]
        self.is_settled = not unseen and not gone
        self._living -= gone
        self._seen.update(unseen)
        fresh: list[Leftover] = []
        for pid in reversed(unseen):  # the youngest first: they may be gone soonest
            if record := self._record_of(pid):
                for each in (pid, *(member.pid for member in tree.descendants(pid))):
                    fresh += self._add(each, record)
        self._living.update(fresh)
        return fresh

    def left(self) -> dict[Leftover, LeaderRecord]:
        """Return who lived at the last look. Where the census is not settled, the last of each record stands for it
        too: it may have gone on as a new process."""
        living = {survivor: record for survivor, record in self._found.items() if survivor in self._living}
        if not self.is_settled:
            last = {record: survivor for survivor, record in self._found.items()}
            living |= {survivor: record for record, survivor in last.items() if record not in set(living.values())}
        return living

    def _add(self, pid: int, record: LeaderRecord) -> list[Leftover]:
        if pid in self._of_pid or pid in self._above or procfs.session_of(pid) == self._own_session:
            return []
        survivor = Leftover(record.instance, pid, procfs.start_time(pid))
        if not survivor.start or procfs.is_zombie(pid):
            return []
        self._of_pid[pid] = self._found[survivor] = record
        return [survivor]

    def _record_of(self, pid: int) -> LeaderRecord | None:
        environment = _environment(pid)
        marks = (entry[len(_PREFIX) :] for entry in environment if entry.startswith(_PREFIX))
        named = next((self._by_mark[mark] for mark in marks if mark in self._by_mark), None)
        return named or self._of_pid.get(procfs.parent_of(pid)) or self._of_session(pid, environment)

    def _of_session(self, pid: int, environment: list[bytes]) -> LeaderRecord | None:
        """Return whose leader it is, or whose session it is in."""
        if (record := self._by_leader.get(pid)) and procfs.start_time(pid) == record.start:
            return record
        record = self._by_session.get(procfs.session_of(pid))
        if record is None or procfs.start_time(pid) < record.session_start:
            return None
        # The number is a session's for as long as it has members; a stranger can have it only once ours were gone, and
        # then either its leader is there, under another start time, or its environment is whole and has no mark of
        # ours.
        if session_start := procfs.start_time(record.session):
            return record if session_start == record.session_start else None
        is_whole = bool(environment) and all(b"=" in entry for entry in environment)
        return None if is_whole else record


def _above(pid: int) -> set[int]:
    """Return a process and its parents, up to the first."""
    found = set()
    while pid:
        found.add(pid)
        pid = procfs.parent_of(pid)
    return found


def _environment(pid: int) -> list[bytes]:
    """Return the environment that it was started with; empty where that cannot be read, or was wiped."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return [entry for entry in file.read().split(b"\0") if entry]
    except OSError:
        return []
