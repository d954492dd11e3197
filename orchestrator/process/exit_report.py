"""The exit of the leader, as the guardian reports it: whose status counts, and whether the kernel has killed it."""

from __future__ import annotations

import dataclasses
import signal

from orchestrator.model.messages import LeaderExited
from orchestrator.process import procfs, shell_status
from orchestrator.runtime import cgroup


class ExitReport:
    """The exit of one leader. `sent` has the signals that its tree was sent."""

    def __init__(self, leader: int, control_group: str, oom_kills: int | None) -> None:
        """`oom_kills` is the number of OOM kills in the control group before this run; None without one."""
        self._leader = leader
        self._control_group = control_group
        self._oom_kills = oom_kills
        self.sent: set[int] = set()
        self._chain: tuple[int, ...] = ()
        self._statuses: dict[int, int] = {}
        self._exit: LeaderExited | None = None

    def note_sent(self, number: int, *, leader_gone: bool) -> None:
        """Find out, before a signal is sent, whose status counts if the leader is a shell that the signal kills."""
        self.sent.add(number)
        if not leader_gone:
            self._chain = shell_status.relayed_by(self._leader)

    def leader_exited(self, status: int, *, asked: bool, left: int, daemons: bool) -> None:
        """Take the exit of the leader; the rest is that of LeaderExited."""
        self._exit = LeaderExited(status, asked, left, daemons=daemons)
        self._statuses[self._leader] = status
        if len(self._chain) < 2:
            self._chain = (self._leader,)

    def other_exited(self, pid: int, status: int) -> bool:
        """Take the exit of another child; return whether its status may be the one that counts."""
        if pid not in self._chain:
            return False
        self._statuses[pid] = status
        return True

    def message(self) -> LeaderExited | None:
        """Return what to report of the leader's exit, once, as soon as it is known whose status counts."""
        if self._exit is None:
            return None
        status = shell_status.status_of(self._chain, self._statuses, self.sent, procfs.exists)
        if status is None:
            return None
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL) and signal.SIGKILL not in self.sent
        kills = None
        if self._oom_kills is not None and (count := cgroup.oom_kills(self._control_group)) is not None:
            kills = count - self._oom_kills
        exited = dataclasses.replace(
            self._exit, status=status, unexplained_kill=killed and not self._exit.asked, oom_kills=kills
        )
        self._exit = None
        return exited
