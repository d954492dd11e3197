"""Control groups (cgroups(7), version 2): one for each instance with limits, below the group that was delegated to us.

A group whose processes are limited can hold no process itself ("no internal processes"), so the supervisor first moves
itself and its children to a leaf, `supervisor`. The guardians stay there: an instance that uses up its memory does not
kill the process that cleans up after it.

A group counts as delegated if we may write to it and it contains only our processes and those that started us. Under
systemd, a group needs systemd's mark too if we are root, because root may write to every group.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from pathlib import Path

from orchestrator.model.spec import Limits

CONTROLLERS = ("memory", "pids")
LEAF = "supervisor"
PREFIX = "instance-"
_MOVES = 20  # rounds of moving processes, because some may fork during a round
_SYSTEMD = "/run/systemd/system"  # exists if systemd is the init system (sd_booted(3))


class NoGroupError(Exception):
    """No control group may be divided; the message says why."""


class Groups:
    """Makes a control group for each instance with limits."""

    def __init__(self, our_pids: Callable[[], Collection[int]], directory: Path) -> None:
        """Divide a group, the one that we are in. `our_pids` returns the processes that may be moved to a leaf: ours,
        and those that have started us. Raises NoGroupError.
        """
        # An earlier start from the same shell has moved the shell to the leaf.
        self._directory = directory.parent if directory.name == LEAF else directory
        self._our_pids = our_pids
        self._check()
        available = _read(self._directory / "cgroup.controllers").split()
        self._controllers = [name for name in CONTROLLERS if name in available]
        if not self._controllers:
            raise NoGroupError(f"{self._directory} has neither the memory nor the pids controller")
        try:
            self._divide()
        except OSError as error:
            raise NoGroupError(f"cannot divide {self._directory}: {(error.strerror or str(error)).lower()}") from None

    def _check(self) -> None:
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            if not os.access(self._directory / name, os.W_OK):
                raise NoGroupError(f"{self._directory} is not delegated to this user")
        if _is_root(self._directory):
            return
        if not os.geteuid() and os.path.isdir(_SYSTEMD) and not _is_marked(self._directory):
            raise NoGroupError(f"systemd has not delegated {self._directory}")
        ours = self._our_pids()
        if strangers := [pid for pid in _pids(self._directory) if pid not in ours]:
            raise NoGroupError(f"other processes are in {self._directory}, such as pid {strangers[0]}")

    def _divide(self) -> None:
        """Move our processes to a leaf, and enable limits for the groups beside it."""
        if not _is_root(self._directory):
            leaf = self._directory / LEAF
            leaf.mkdir(exist_ok=True)
            for _ in range(_MOVES):
                if not (pids := _pids(self._directory)):
                    break
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        _write(leaf / "cgroup.procs", str(pid))
        _write(self._directory / "cgroup.subtree_control", " ".join(f"+{name}" for name in self._controllers))

    def make(self, instance: str, limits: Limits) -> str:
        """Make the group of an instance, or take the one of its last run, and return its directory. Raises NoGroupError
        if it cannot enforce one of the limits."""
        values = {"memory": limits.memory, "pids": limits.processes}
        for name, value in values.items():
            if value is not None and name not in self._controllers:
                raise NoGroupError(f"{self._directory} has no {name} controller")
        directory = self._directory / f"{PREFIX}{instance}"
        try:
            directory.mkdir(exist_ok=True)
            for name, value in values.items():
                if name in self._controllers:
                    _write(directory / f"{name}.max", "max" if value is None else str(value))
        except OSError as error:
            raise NoGroupError(f"cannot set limits in {directory}: {(error.strerror or str(error)).lower()}") from None
        return str(directory)


def own_group() -> Path:
    """Return the directory of the control group that this process is in. Raises NoGroupError."""
    with contextlib.suppress(OSError):
        paths = [line[3:] for line in _read(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::/")]
        mounts = _read(Path("/proc/self/mountinfo"))
        if paths and (directory := find_group(paths[0], mounts)):
            return Path(directory)
    raise NoGroupError("this system has no control groups of version 2")


def find_group(path: str, mounts: str) -> str:
    """Return the directory of the group `path`, as /proc/self/cgroup has it, given /proc/self/mountinfo (proc(5));
    empty if no mounted hierarchy of version 2 contains it. Pure."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if not after.startswith("cgroup2 ") or len(fields) < 5:
            continue
        root, point = (field.replace("\\040", " ") for field in fields[3:5])
        inner = path if root == "/" else path.removeprefix(root) if f"{path}/".startswith(f"{root}/") else None
        if inner is not None:
            return os.path.normpath(f"{point}/{inner}")
    return ""


def join(directory: str) -> None:
    """Move this process into a group. Raises OSError."""
    _write(Path(directory, "cgroup.procs"), "0")


def leave(directory: str) -> None:
    """Remove an empty group."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def oom_kills(directory: str) -> int | None:
    """Return how many processes of a group the OOM killer has killed; None if the kernel does not report it."""
    return _count(os.path.join(directory, "memory.events"))


def oom_kills_of_machine() -> int | None:
    """Return how many processes the OOM killer has killed since the machine started."""
    return _count("/proc/vmstat")


def _count(path: str) -> int | None:
    try:
        text = _read(Path(path))
    except OSError:
        return None
    found = (line.split()[1] for line in text.splitlines() if line.startswith("oom_kill "))
    return int(next(found, "0"))


def _is_root(directory: Path) -> bool:
    """Whether this is the root of the whole hierarchy, where processes and limited groups may be side by side."""
    return not (directory / "cgroup.type").exists()


def _is_marked(directory: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):  # systemd sets one on a unit with Delegate=
        with contextlib.suppress(OSError):
            if os.getxattr(directory, name) == b"1":
                return True
    return False


def _pids(directory: Path) -> list[int]:
    return [int(line) for line in _read(directory / "cgroup.procs").split()]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
