"""Process trees: their processes, signals to them, and their exits. Only this file waits and kills.

Facts this relies on:
- PR_SET_CHILD_SUBREAPER (prctl(2), Linux): orphaned descendants become our children, also after setsid(2) and a double
  fork. macOS has no subreapers: a daemon that leaves the session cannot be found there, as the README says.
- A child that we have not waited for keeps its pid, so a signal cannot hit a foreign process. For deeper descendants
  the pid is pinned by a pidfd and their parentage read again before the signal is sent (pidfd_open(2)).
- /proc/PID/task/TID/children (proc(5)): a child is listed under the thread that forked it.
- PR_SET_PDEATHSIG fires when the forking *thread* ends, and not at all if the parent died before the call.

It can also wait for a process that is not our child (pidfd_open(2)).
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

from orchestrator.process.procfs import LINUX, parent_of, pids, start_time, stat_fields
from orchestrator.runtime.fd_limit import ReservedDescriptors
from orchestrator.runtime.loop import READ, Loop

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_PARENT = 0x8000
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "armv7l": 120}
_STOP_ROUNDS = 20  # rounds of listing processes that were forked while others were being stopped

_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children")  # CONFIG_PROC_CHILDREN
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


@dataclass(frozen=True, slots=True)
class Descendant:
    """A living descendant and its parent when it was listed."""

    pid: int
    parent: int


def become_subreaper() -> None:
    """Adopt every descendant that loses its parent. Does nothing if the kernel does not support it."""
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
    """Fork a child of our parent (clone(2) with CLONE_PARENT). Return its pid, and 0 in it.

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
    """Return the descendants of `root`, parents first, zombies included. Skip `spare` and its descendants.

    A process is missed if its parent exits after the subreaper's children are listed and before the parent's are.
    It is a child of the subreaper by then, so `root` is listed again at the end.
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
        for pid in pids():
            if parent := parent_of(pid):
                yield pid, parent
        return
    import subprocess  # macOS: only when a tree has to be walked

    listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        child, parent = map(int, line.split())
        yield child, parent


def send(pid: int, number: int) -> None:
    """Signal one child of ours. Skip it if it has ended or we may not signal it."""
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
    """Signal the descendants of `root`, but not `root`, `spare` and the descendants of `spare`."""
    send_all(root, number, descendants(root, spare))


def send_all(root: int, number: int, processes: list[Descendant]) -> None:
    """Signal these descendants of `root`. Skip a pid that belongs to another process now."""
    _send_all(root, number, processes)


def _send_all(root: int, number: int, processes: list[Descendant], beside: Collection[int] = ()) -> None:
    """Signal `processes` of a tree. A pid was reused if its parent is not the root, in `beside` or one of them: skip
    it."""
    known = {root, *beside, *(process.pid for process in processes)}
    with ReservedDescriptors():
        for process in processes:
            if process.parent == root:
                send(process.pid, number)
            else:
                _send_pinned(process.pid, number, known)


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
    """Return a pidfd of the process that started then; -1 if it has gone and its pid may belong to another process."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return -1
    if start_time(pid) == start:
        return fd
    os.close(fd)
    return -1


def send_exact(pid: int, start: int, number: int) -> None:
    """Signal the process that started then, which need not descend from us. Skip it if we may not signal it."""
    if (fd := pin(pid, start)) < 0:
        return
    try:
        signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(fd)


def kill_tree(root: int, spare: Collection[int] = NOBODY) -> None:
    """Stop all descendants of `root` except `spare` and its descendants, until no new process appears; then kill them.

    Killing one by one fails if the tree forks between listing and kill(2). A pending SIGSTOP lets a fork in progress
    finish, so a listing counts only once every process in it is stopped.
    """
    stopped: set[int] = set()
    processes: list[Descendant] = []
    for _ in range(_STOP_ROUNDS):
        still = all(_stands_still(m.pid) for m in processes)  # before the listing: a fork may end between the two
        processes = descendants(root, spare)
        fresh = [m for m in processes if m.pid not in stopped]
        if not fresh and still:
            break
        _send_all(root, signal.SIGSTOP, fresh, stopped)
        stopped.update(m.pid for m in fresh)
    _send_all(root, signal.SIGKILL, processes)


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

    The supervisor must not reap the processes that multiprocessing started, because multiprocessing waits for them.
    Without waitid(2) (macOS before CPython 3.13) only the children that `own` returns are checked, and reaped; no
    orphans are adopted there.
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
    """Return True when `pid` has gone; False, after `retry` seconds, if it cannot be waited for."""
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
