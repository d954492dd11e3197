"""Survivors: what is left of a run whose supervisor and guardians were killed together.

A guardian keeps a record beside its lock for as long as its tree may live; where a record is found and nobody holds
the lock, the guardian was killed. What it stood over is found by a census, named, and ended where that is asked for.
A stranger is never signalled: a process is pinned by a pidfd first, and its start time compared after that.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.process import procfs, tree
from orchestrator.process.census import MARK, Census, Record, Survivor, mark_of
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


def find(directory: Path) -> tuple[list[Survivor], list[Path]]:
    """Return what is left of the runs whose records are in `directory`, and the records that nothing is left of.

    Call it while no guardian of this home lives.
    """
    return _search(directory, 0)


def end(directory: Path, grace: float, loop: Loop) -> list[Survivor]:
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


def _search(directory: Path, number: int) -> tuple[list[Survivor], list[Path]]:
    """Find what is left, each signalled as soon as it is found, until nothing new appears that was born meanwhile."""
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    records = {path: record for path in paths if (record := _read(path))}
    if not records:
        return [], paths
    census = Census(list(records.values()))
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


def _read(path: Path) -> Record | None:
    try:
        instance, token, _ = path.name.rsplit(".", 2)
        content = path.read_text(encoding="ascii")
        if not content:  # the disk was full; the token is found in environments all the same
            return Record(instance, token, 0, 0)
        boot, *numbers = content.split()
        if boot != _boot():
            return None
        leader, start, session, session_start = map(int, numbers if len(numbers) > 2 else 2 * numbers)
        return Record(instance, token, leader, start, session, session_start)
    except (OSError, ValueError):
        return None


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
