"""The process tree of a component below its guardian: which processes it has, and which of them get a signal.

A process gets the stop signal once. So the tree knows which processes have got a signal of this stop.
"""

from __future__ import annotations

import os
import signal

from orchestrator.model.spec import Scope, StopPlan
from orchestrator.process import procfs, tree
from orchestrator.process.exit_report import ExitReport

_SIGNAL_ROUNDS = 20  # of looking for processes that were forked while others were being signaled


class ComponentTree:
    """The tree of one leader. `session` is the pid of the session leader, which does not belong to the component; 0
    if there is none."""

    def __init__(self, plan: StopPlan, leader: int, session: int, report: ExitReport) -> None:
        self._plan = plan
        self._leader = leader
        self.session = session
        self._report = report
        self._signaled: set[tuple[int, int]] = set()

    def processes(self) -> list[tree.Descendant]:
        """Return its processes, zombies too, without the session leader."""
        return tree.descendants(os.getpid(), (self.session,))

    def living(self) -> list[int]:
        """Return the pids of its processes that are no zombies."""
        return [process.pid for process in self.processes() if not procfs.is_zombie(process.pid)]

    def has_daemon(self, pids: list[int]) -> bool:
        """Return whether one of these processes has left the session of the component."""
        session = self.session or self._leader
        return any(procfs.session_of(pid) != session for pid in pids)

    def send_step(self, number: int, *, leader_gone: bool) -> None:
        """Send a signal of the stop sequence to its scope; once the leader has exited, to the rest of the tree."""
        if leader_gone or self._plan.scope is Scope.TREE:
            self._report.note_sent(number, leader_gone=leader_gone)
            self._signal_processes(number, self.processes())
        elif self._plan.scope is Scope.GROUP:
            self.signal_group(number)
            tree.send_group(self._leader, signal.SIGCONT)
        else:
            self._report.note_sent(number, leader_gone=False)
            self._signaled.add(_identity(self._leader))
            tree.send(self._leader, number)
            tree.send(self._leader, signal.SIGCONT)

    def signal_group(self, number: int) -> None:
        """Signal the leader's process group, and note its members: those get no stop signal from the sweep.

        They are listed after kill(2). A process forked before kill(2) has got the signal and is listed. One forked
        between the two is listed without having got it; that is better than a second SIGTERM, which many servers take
        as "stop now".
        """
        self._report.note_sent(number, leader_gone=False)
        tree.send_group(self._leader, number)
        if number == self._plan.stop_signal:
            self._signaled.update(_identity(m.pid) for m in self.processes() if procfs.group_of(m.pid) == self._leader)

    def send_rest(self, number: int) -> None:
        """Signal all processes that have got no signal of this stop, also those forked meanwhile."""
        self._report.sent.add(number)
        for _ in range(_SIGNAL_ROUNDS):
            fresh = [
                m for m in self.processes() if _identity(m.pid) not in self._signaled and not procfs.is_zombie(m.pid)
            ]
            if not fresh:
                break
            self._signal_processes(number, fresh)

    def _signal_processes(self, number: int, processes: list[tree.Descendant]) -> None:
        self._signaled.update(_identity(process.pid) for process in processes)
        tree.send_all(os.getpid(), number, processes)
        tree.send_all(os.getpid(), signal.SIGCONT, processes)


def _identity(pid: int) -> tuple[int, int]:
    """Return the pid and start time, which identify a process until the machine restarts."""
    return pid, procfs.start_time(pid)
