"""Leftovers: the processes that remain of a start whose supervisor and guardians were killed together.

A guardian keeps a record beside its lock for as long as its tree may live. If there is a record but its lock is free,
the guardian was killed. Its remaining processes are found by a census, listed, and killed on request. We signal only
our own processes: each is pinned by a pidfd first, and its start time is compared after that.

A census of /proc (proc(5)) finds the processes of earlier starts. It sends no signals.

Three marks identify a leftover; any of them may be missing:

- The leader, by pid and start time (proc_pid_stat(5)): the pair identifies one process until the machine restarts.
- Its session (`process.session_leader`): the leader's children stay in it, and its number is not reused as a pid while
  the session has a process. So gunicorn and postgres are found too, whose titles overwrite the environment that they
  were started with.
- MARK in the environment, with the token of the start and the instance. It is inherited across setsid(2) and double
  forks, and no other process has it. The name of the home does not suffice: a container may have a home of the same
  name.

All descendants of those count too. A process that has left its session *and* has wiped its environment is not found.
The pty is not a mark: after the hang-up its number can be reused.

/proc cannot be read at one instant: a process that forks and exits meanwhile may appear in none of its entries. So the
scan is repeated, for new processes only, which takes a millisecond.
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
TOKEN = os.urandom(16).hex()  # of this start: the guardians are forked after it is drawn
LOOKS = 200  # of one search, each of a millisecond or two: some programs fork and exit all the time
ROUNDS = 20  # of killing processes that were forked while others were being killed
KILL_WAIT = 5.0


def marked(environment: Mapping[str, str], instance: str) -> dict[str, str]:
    """Return the environment with the mark, for a guardian that is to be forked.

    Facts that each guardian would otherwise find out for itself are found out here, once.
    """
    if procfs.LINUX:
        _boot()
    return {**environment, MARK: mark_of(instance, TOKEN)}


def record_path(lock_path: str) -> str:
    """Return the path of the record beside this guardian's lock: each run has one, so that none hides another."""
    return f"{lock_path.removesuffix('.lock')}.{TOKEN}{SUFFIX}"


def write_record(lock_path: str, leader: int = 0, session: int = 0) -> None:
    """Record a leader and the process that leads its session (default: the leader); before there is one, only the run.

    Does nothing without /proc.

    Errors are ignored: a full disk must not keep a component from starting.
    """
    if not procfs.LINUX:
        return
    start = procfs.start_time(leader) if leader else 0
    session = session or leader
    session_start = start if session == leader else procfs.start_time(session)
    # Not O_TRUNC: ext4 flushes a file that was truncated and rewritten (auto_da_alloc), which takes 4 ms.
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
    """Remove the record, because the tree is empty."""
    try:
        os.unlink(record_path(lock_path))
    except OSError:
        pass


def find(directory: Path) -> tuple[list[Leftover], list[Path]]:
    """Return the leftovers of the runs whose records are in `directory`, and the records without leftovers.

    Call it while no guardian of this home lives.
    """
    return _search(directory, 0)


def end(directory: Path, grace: float, loop: Loop) -> list[Leftover]:
    """Send TERM, and after `grace` seconds KILL, until nothing new is found; return what still runs."""
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
    """Find all leftovers, including those forked during the search. Signal each as soon as it is found."""
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
    """Identify this boot and this PID namespace: in any other, the same pid is another process."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"


def _read(path: Path) -> LeaderRecord | None:
    try:
        instance, token, _ = path.name.rsplit(".", 2)
        content = path.read_text(encoding="ascii")
        if not content:  # the disk was full; the token is still found in environments
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
    """Wait until all have ended; return False on a timeout."""
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
        """Whether it is still running."""
        return procfs.start_time(self.pid) == self.start and not procfs.is_zombie(self.pid)


def mark_of(instance: str, token: str) -> str:
    """Return the value of MARK for an instance of a run."""
    return f"{token}.{instance}"


class LeftoverScan:
    """The leftovers of the runs of `records`."""

    def __init__(self, records: Collection[LeaderRecord]) -> None:
        self._by_mark = {mark_of(record.instance, record.token).encode(): record for record in records}
        self._by_leader = {record.leader: record for record in records if record.leader}
        self._by_session = {record.session: record for record in records if record.session}
        # We were started by hand in the shell of a leftover component: we must not kill our own ancestors.
        self._above = frozenset(_above(os.getpid()))
        self._seen = set(self._above)
        self._own_session = procfs.session_of(os.getpid())
        self._of_pid: dict[int, LeaderRecord] = {}
        self._found: dict[Leftover, LeaderRecord] = {}
        self._living: set[Leftover] = set()
        self.is_settled = False

    def look(self) -> list[Leftover]:
        """Return the leftovers that were not found before. The census `is_settled` if no process is new, and none has
        exited: that one may have forked before."""
        gone = {survivor for survivor in self._living if not survivor.lives}
        unseen = [pid for pid in procfs.pids() if pid not in self._seen]
        self.is_settled = not unseen and not gone
        self._living -= gone
        self._seen.update(unseen)
        fresh: list[Leftover] = []
        for pid in reversed(unseen):  # the youngest first: they may be gone soonest
            if record := self._record_of(pid):
                for each in (pid, *(process.pid for process in tree.descendants(pid))):
                    fresh += self._add(each, record)
        self._living.update(fresh)
        return fresh

    def left(self) -> dict[Leftover, LeaderRecord]:
        """Return the processes that lived at the last look. If the census is not settled, include the last process of
        each record, because it may have forked and exited."""
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
        """Return the run whose leader the process is, or whose session it is in."""
        if (record := self._by_leader.get(pid)) and procfs.start_time(pid) == record.start:
            return record
        record = self._by_session.get(procfs.session_of(pid))
        if record is None or procfs.start_time(pid) < record.session_start:
            return None
        # The number belongs to a session while it has members. A foreign session can reuse it only after ours is empty.
        # Then either its leader exists, with another start time, or its environment is complete and has no mark of
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
    """Return the environment that it was started with; empty if that cannot be read or was wiped."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return [entry for entry in file.read().split(b"\0") if entry]
    except OSError:
        return []
