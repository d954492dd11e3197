"""What /proc says of a runner's processes: which are its own, their memory, their CPU time, their wake-ups."""

import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
QUIET = 0.1  # seconds
_TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds


def become_subreaper() -> None:
    """Adopt whatever a runner leaves behind, so that `end_strays` finds it (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_tree(root: int) -> None:
    """Kill a runner and all that descends from it at once; the caller waits for `root`.

    Asked to end, some runners do not (honcho, while it prints), and what is measured is over.
    """
    for pid in (root, *_below(root)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def end_strays() -> int:
    """Kill all that descends from us, wait for it, and return how many living processes that were."""
    count = 0
    while children := _children(os.getpid()):
        living = [pid for pid in _below(os.getpid()) if _read(pid, "stat").rpartition(b")")[2].split()[:1] != [b"Z"]]
        count += len(living)
        for pid in living:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)
    return count


def own(root: int, components: Path) -> list[int]:
    """Return the pids of a runner: `root` and its descendants, without those that run a program in `components`."""
    return [root, *(pid for pid in _below(root) if bytes(components) not in _read(pid, "cmdline"))]


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    return _children(pid)


def private_memory(pid: int) -> int:
    """Return the bytes that only this process has (proc(5), smaps_rollup: Private_Clean + Private_Dirty)."""
    return _rollup(pid, b"Private_Clean", b"Private_Dirty")


def proportional_memory(pid: int) -> int:
    """Return the bytes of this process, of what n processes share the nth part (proc(5), smaps_rollup: Pss)."""
    return _rollup(pid, b"Pss")


def _rollup(pid: int, *names: bytes) -> int:
    fields = dict(line.split(b":", 1) for line in _read(pid, "smaps_rollup").splitlines() if b":" in line[:24])
    return sum(int(fields.get(name, b"0").split()[0]) for name in names) * 1024


def shared_memory(pid: int) -> int:
    """Return the bytes of this process, what it shares by its share (proc(5), smaps_rollup: Pss)."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def exact_cpu_time(pid: int) -> float:
    """Return the CPU seconds of a process's living threads, to the nanosecond (proc(5), task/TID/schedstat)."""
    return sum(int((_read(pid, f"task/{thread}/schedstat").split() or [b"0"])[0]) for thread in _threads(pid)) / 1e9


def command(pid: int) -> bytes:
    """Return the command line of a process as it stands in /proc."""
    return _read(pid, "cmdline")


def cpu_time(pids: list[int]) -> float:
    """Return the CPU seconds these processes have used themselves, all their threads, ended ones too.

    utime + stime of /proc/PID/stat: what getrusage(RUSAGE_SELF) would tell them, cut to clock ticks.
    """
    stats = [_read(pid, "stat").rpartition(b")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields) * _TICK


def wait_quiet(pids: list[int]) -> None:
    """Wait until these processes have used less than a clock tick in QUIET seconds: their start-up is over."""
    before, now = -1.0, cpu_time(pids)
    while now > before:
        time.sleep(QUIET)
        before, now = now, cpu_time(pids)


def switches(pids: list[int]) -> int:
    """Return how often these processes have gone to sleep so far: each is a wake-up that was or will be."""
    total = 0
    for pid in pids:
        for thread in _threads(pid):
            for line in _read(pid, f"task/{thread}/status").splitlines():
                if line.startswith(b"voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def _below(root: int) -> list[int]:
    found = _children(root)
    for pid in found:
        found += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    return [int(child) for thread in _threads(pid) for child in _read(pid, f"task/{thread}/children").split()]


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(pid: int, name: str) -> bytes:
    """Return a file of /proc/PID; empty where the process has gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
