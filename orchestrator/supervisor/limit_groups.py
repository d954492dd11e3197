"""Limits that the kernel enforces for a whole instance, and detection of kills by the OOM killer."""

from __future__ import annotations

import os
from collections.abc import Callable

from orchestrator.model.messages import LeaderExited
from orchestrator.process import procfs, tree
from orchestrator.runtime import cgroup
from orchestrator.runtime.cgroup import Groups, NoGroupError
from orchestrator.supervisor.instance import Instance

# The OOM killer may end several processes at once, and their exits are not reported in one instant.
_SAME = 5.0  # seconds


class LimitGroups:
    """Makes the control groups of instances with limits. `tell` is called once if none can be made."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._groups: Groups | None = None
        self._has_told = False

    def group_of(self, instance: Instance) -> str:
        """Return the directory of the control group for a new run; empty if it has none."""
        limits = instance.spec.attributes.limits
        if not limits.need_group:
            return ""
        try:
            if self._groups is None:
                self._groups = Groups(_our_pids, cgroup.own_group())
            return self._groups.make(instance.key, limits)
        except NoGroupError as error:
            if not self._has_told:
                self._has_told = True
                self._tell(_without_groups(instance, str(error)))
            return ""


def _our_pids() -> set[int]:
    """Return our pids, and those of the processes that have started us, such as a shell, timeout(1) or tini."""
    pids = {descendant.pid for descendant in tree.descendants(os.getpid())}
    pid = os.getpid()
    while pid and pid not in pids:
        pids.add(pid)
        pid = procfs.parent_of(pid)
    return pids


def _without_groups(instance: Instance, reason: str) -> str:
    limits, account = instance.spec.attributes.limits, instance.spec.attributes.account
    effects = []
    if limits.memory is not None:
        effects.append("limits.memory applies to each process")
    if limits.processes is not None:
        is_root = not (account.uid if account else os.geteuid())
        effects.append(f"limits.processes {'has no effect on root' if is_root else 'applies to the whole user'}")
    line = f"no control group for {instance.name}, so {' and '.join(effects)}: {reason}"
    if os.path.isdir("/run/systemd/system"):
        scope = "systemd-run --scope" if not os.geteuid() else "systemd-run --user --scope"
        line += f"\nhint: start it with `{scope} -p Delegate=yes orchestrate`, or set Delegate=yes in its unit"
    return line


class OomKills:
    """Distinguishes a SIGKILL of the OOM killer from others, by the kernel's count of its kills.

    The count is that of our control group, or else of the machine. It is read at each exit, so that earlier kills
    elsewhere do not count. `now` returns monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._directory: str | None = None
        self._seen: int | None = None
        self._rest, self._rest_until = 0, 0.0

    def begin(self) -> None:
        """Read the count for the first time."""
        try:
            self._directory = str(cgroup.own_group())
        except NoGroupError:
            self._directory = None
        self._seen = self._count()

    def _count(self) -> int | None:
        kills = cgroup.oom_kills(self._directory) if self._directory is not None else None
        return cgroup.oom_kills_of_machine() if kills is None else kills

    def is_cause_of(self, exited: LeaderExited) -> bool:
        """Whether the OOM killer caused an exit."""
        count, seen = self._count(), self._seen
        self._seen = count
        if count is None or seen is None:
            return False
        if count > seen:
            self._rest, self._rest_until = count - seen, self._now() + _SAME
        elif self._now() > self._rest_until:
            self._rest = 0
        if not exited.unexplained_kill:
            return False
        if exited.oom_kills is not None:
            return exited.oom_kills > 0
        if not self._rest:
            return False
        self._rest -= 1
        return True
