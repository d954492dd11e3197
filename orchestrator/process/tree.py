"""Process trees: who descends from whom, who gets a signal, who has ended. This file alone waits and kills.

Facts this relies on:
- PR_SET_CHILD_SUBREAPER (prctl(2), Linux): orphaned descendants become our children, however they fled (setsid,
  double fork). macOS has none: there a daemon that leaves the session is out of reach, and the README says so.
- A child that we have not waited for keeps its pid, so a signal cannot hit a stranger. For deeper descendants the pid
  is pinned by a pidfd and their parentage read again before the signal goes out (pidfd_open(2)).
- /proc/PID/task/TID/children (proc(5)): a child is listed under the thread that forked it.
- PR_SET_PDEATHSIG fires when the forking *thread* ends, and not at all if the parent died before the call.

Waits for the end of a process that is no child of ours (pidfd_open(2)).
"""

from __future__ import annotations

import collections
import ctypes
import errno
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from orchestrator.process.procfs import LINUX, parent_of, start_time, stat_fields
from orchestrator.runtime.fd_limit import ReservedDescriptors
from orchestrator.runtime.loop import READ, Loop

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_PARENT = 0x8000
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "armv7l": 120}
_STOP_ROUNDS = 20  # of looking for processes that were forked while others were being stopped

_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children")  # CONFIG_PROC_CHILDREN
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


@dataclass(frozen=True, slots=True)
class Descendant:
    """A living descendant and the parent it was seen under."""

    pid: int
    parent: int


def become_subreaper() -> None:
    """Adopt every descendant that loses its parent. Does nothing where the kernel cannot."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def signal_on_parent_death(number: int, parent: int) -> None:
    """Have the kernel send us `number` when `parent` ends; raises ProcessLookupError if it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        raise ProcessLookupError(f"process {parent} ended before its child was set up")


def _prctl(option: int, value: int) -> None:
    if _libc is not None and _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def fork_sibling() -> int:
    """Fork a child of our own parent (clone(2) with CLONE_PARENT). Return its pid, and 0 in it.

    For a process with one thread that is about to execute a program: no handler of fork(2) runs, neither CPython's nor
    the C library's. Raises OSError if the kernel or the architecture does not support it.
    """
    number = _SYS_CLONE.get(os.uname().machine)
    if _libc is None or number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    pid: int = _libc.syscall(number, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return pid


NOBODY: frozenset[int] = frozenset()


def descendants(root: int, spare: Collection[int] = NOBODY) -> list[Descendant]:
    """Return all that descends from `root`, parents before children, zombies included; `spare` and theirs not.

    A process whose parent exits meanwhile is missed if that happens between the looks at the subreaper's children and
    at the parent's. It is among the subreaper's by then, so `root` is looked at again at the end.
    """
    found: dict[int, Descendant] = {}
    with ReservedDescriptors():
        children_of = _children if _HAS_CHILDREN else _children_by_parent().__getitem__
        queue = [root]
        while queue:
            for parent in queue:
                fresh = [pid for pid in children_of(parent) if pid not in spare and pid not in found]
                found.update((pid, Descendant(pid, parent)) for pid in fresh)
                queue += fresh
            queue = [pid for pid in children_of(root) if pid not in spare and pid not in found]
            found.update((pid, Descendant(pid, root)) for pid in queue)
    return list(found.values())


def children_of(parent: int) -> list[int]:
    """Return the children of a process, zombies included, in the order in which each of its threads forked them."""
    with ReservedDescriptors():
        return _children(parent) if _HAS_CHILDREN else _children_by_parent()[parent]


def _children(parent: int) -> list[int]:
    pids: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                pids += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it, or a thread of it, ended; or hidepid=
        pass
    return pids


def _children_by_parent() -> collections.defaultdict[int, list[int]]:
    children: collections.defaultdict[int, list[int]] = collections.defaultdict(list)
    for pid, parent in _parents():
        children[parent].append(pid)
    return children


def _parents() -> Iterator[tuple[int, int]]:
    if LINUX:
        for name in os.listdir("/proc"):
            if name.isdigit() and (parent := parent_of(int(name))):
                yield int(name), parent
        return
    import subprocess  # macOS: only when a tree has to be walked

    listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        pid, ppid = line.split()
        yield int(pid), int(ppid)


def send(pid: int, number: int) -> None:
    """Signal one child of ours. One that has ended, or is not ours to signal, is passed over."""
    try:
        os.kill(pid, number)
    except OSError:  # ESRCH, EPERM; EINVAL: no such signal
        pass


def send_group(leader: int, number: int) -> None:
    """Signal the process group of a leader that has not been waited for yet."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        send(leader, number)  # between fork and setsid the group does not exist yet
    except OSError:  # EINVAL: no such signal
        pass


def send_tree(root: int, number: int, spare: Collection[int] = NOBODY) -> None:
    """Signal all that descends from `root`; `root` itself, `spare` and what descends from those not."""
    send_members(root, number, descendants(root, spare))


def send_members(root: int, number: int, members: list[Descendant]) -> None:
    """Signal these descendants of `root`. One that another process has replaced since is passed over."""
    _send_members(root, number, members)


def _send_members(root: int, number: int, members: list[Descendant], beside: Collection[int] = ()) -> None:
    """Signal `members` of a tree. One whose parent is none of them, nor `beside`, nor the root has been replaced."""
    known = {root, *beside, *(member.pid for member in members)}
    with ReservedDescriptors():
        for member in members:
            if member.parent == root:
                send(member.pid, number)
            else:
                _send_pinned(member.pid, number, known)


def _send_pinned(pid: int, number: int, parents: set[int]) -> None:
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        if not hasattr(os, "pidfd_open"):  # macOS
            send(pid, number)
        return
    try:
        if parent_of(pid) in parents:
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(fd)


def pin(pid: int, start: int) -> int:
    """Return a pidfd of the process that started then; -1 where it has gone, and its pid may be a stranger's."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return -1
    if start_time(pid) == start:
        return fd
    os.close(fd)
    return -1


def send_exact(pid: int, start: int, number: int) -> None:
    """Signal the process that started then, which need not descend from us. One that is not ours is passed over."""
    if (fd := pin(pid, start)) < 0:
        return
    try:
        signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(fd)


def kill_tree(root: int, spare: Collection[int] = NOBODY) -> None:
    """Stop all that descends from `root`, `spare` and theirs not, until no new process appears; then kill it.

    Killing one by one loses against a tree that forks: its children are born between the look and the kill. A SIGSTOP
    that is on its way lets a fork under way finish, so the look counts only once everybody is seen to stand still.
    """
    stopped: set[int] = set()
    members: list[Descendant] = []
    for _ in range(_STOP_ROUNDS):
        still = all(_stands_still(m.pid) for m in members)  # before the look: a fork may end between the two
        members = descendants(root, spare)
        fresh = [m for m in members if m.pid not in stopped]
        if not fresh and still:
            break
        _send_members(root, signal.SIGSTOP, fresh, stopped)
        stopped.update(m.pid for m in fresh)
    _send_members(root, signal.SIGKILL, members)


def _stands_still(pid: int) -> bool:
    fields = stat_fields(pid)
    return not fields or fields[0] in (b"T", b"t", b"Z", b"X") or not LINUX


def reap_all() -> tuple[list[tuple[int, int]], bool]:
    """Wait, without blocking, for every child that has ended.

    Returns pairs of pid and status (os.waitstatus_to_exitcode), and whether no child is left at all (ECHILD). For a
    process that has no other children than its tree, as a guardian, that means: the tree is empty.
    """
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, True
        if pid == 0:
            return ended, False
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def peek_ended(own: Callable[[], Collection[int]]) -> int:
    """Return the pid of a child that has ended and was not waited for; 0 for none. Does not reap it.

    The supervisor may not reap what multiprocessing started: its own bookkeeping waits for those. Where there is no
    waitid(2) (macOS before CPython 3.13) only the children that `own` returns are looked at, and reaped; none is ever
    adopted there.
    """
    if not hasattr(os, "waitid"):
        return next((pid for pid in own() if pid and _has_ended(pid)), 0)
    try:
        result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return result.si_pid if result else 0


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def reap(pid: int) -> None:
    """Wait for one child that is known to have ended."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def wait_for(pid: int | None, loop: Loop, retry: float) -> bool:
    """Return True when `pid` has gone; False, after `retry` seconds, where it cannot be waited for."""
    try:
        pid_fd = os.pidfd_open(pid or 0)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        loop.call_in(retry, lambda: None)
        loop.turn()
        return False
    loop.add(pid_fd, READ, lambda _: None)
    loop.turn()
    loop.remove(pid_fd)
    os.close(pid_fd)
    return True
