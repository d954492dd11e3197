"""Empties the trees of guardians that were killed: the supervisor is a subreaper too, and adopts what they leave.

Every child of ours that we did not fork ourselves is such an orphan. The kernel does not report which guardian it
belonged to, so all instances whose guardian was killed wait until no orphan is left. Most orphans are still in the
session of their component's terminal, which tells whose stop signal they get.

Instances whose guardian was killed wait until the trees of all of them are empty.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping

from orchestrator.model.spec import StopPlan, StopStep
from orchestrator.model.stop_sequence import (
    Act,
    Cause,
    KillTree,
    ReportStuck,
    SendRest,
    SendStep,
)
from orchestrator.process import procfs, session_leader, tree
from orchestrator.process.stop_driver import StopDriver
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Instance


class OrphanReaper:
    """Ends adopted trees. `own` returns the pids of our own children; `done` is called when no orphan is left, and
    `stuck` with the names of those that cannot be killed."""

    def __init__(
        self, loop: Loop, own: Callable[[], set[int]], done: Callable[[], None], stuck: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._own = own
        self._done = done
        self._stuck = stuck
        self._stop_driver: StopDriver | None = None
        self._signals: dict[int, int] = {}
        self._leaders: frozenset[int] = frozenset()
        self._told: set[tuple[int, int]] = set()

    def empty(self, signals: Mapping[int, int], leaders: Collection[int], grace: float) -> None:
        """Guardians were killed: begin, or begin again, with all that is adopted now, and kill after `grace` seconds.

        `signals` is the stop signal of each session; 0 if it has been sent, so that no process gets it twice. What is
        in another session gets SIGTERM. `leaders` are the pids of our session leaders: in its first second such a
        process cannot be told from a component by its command line (`process.session_leader`).
        """
        self._signals.update(signals)
        self._leaders |= frozenset(leaders)
        self._disarm()
        self._stop_driver = StopDriver(self._loop, StopPlan((StopStep(signal.SIGTERM, grace),)), self._do)
        self._stop_driver.advance(Cause.LEADER_GONE)
        self.check()

    def kill(self) -> None:
        """Skip the grace period."""
        if self._stop_driver is not None:
            self._stop_driver.advance(Cause.KILL)

    def check(self) -> None:
        """Some child exited: go on, or be done. Session leaders stay until nothing else is left."""
        if self._stop_driver is None:
            return
        orphans = [process.pid for process in tree.descendants(os.getpid(), self._own())]
        leaders = [pid for pid in orphans if pid in self._leaders or session_leader.leads_a_session(pid)]
        if len(leaders) < len(orphans):
            self._stop_driver.advance(Cause.CHILD_GONE)
        elif leaders:
            for pid in leaders:
                tree.send(pid, signal.SIGKILL)
        else:
            self._disarm()
            self._signals.clear()
            self._leaders = frozenset()
            self._told.clear()
            self._done()

    def _do(self, act: Act) -> None:
        match act:
            case SendRest(number) | SendStep(number):
                self._send_rest(number)
            case KillTree():
                tree.kill_tree(os.getpid(), self._own())
            case ReportStuck():
                left = tree.descendants(os.getpid(), self._own())
                self._stuck(", ".join(procfs.describe(m.pid) for m in left[:5]))

    def _send_rest(self, number: int) -> None:
        """Send each orphan that we have not signaled yet the stop signal of its session, by default `number`."""
        by_signal: dict[int, list[tree.Descendant]] = {}
        for process in tree.descendants(os.getpid(), self._own()):
            identity = (process.pid, procfs.start_time(process.pid))
            if identity not in self._told:
                self._told.add(identity)
                wanted = self._signals.get(procfs.session_of(process.pid), number)
                by_signal.setdefault(wanted, []).append(process)
        for wanted, processes in by_signal.items():
            if wanted:
                tree.send_all(os.getpid(), wanted, processes)
            tree.send_all(os.getpid(), signal.SIGCONT, processes)

    def _disarm(self) -> None:
        if self._stop_driver is not None:
            self._stop_driver.disarm()
            self._stop_driver = None


TOGETHER = 0.5  # seconds in which guardians are lost that were killed at once, by pkill or the OOM killer


class LostGuardians:
    """`own` returns the pids of our own children; `lost` is called with instances whose guardians were killed at once,
    `gone` with each when nothing of it is left, and `stuck` with instances and what cannot be killed of them.

    `ordered` sorts instances so that each comes after what it depends on. In this order they are reported as gone: if a
    component and its dependency lose their guardians at once, the dependency restarts, and the component follows it.
    In another order the exit of the component could stop the system first.
    """

    def __init__(
        self,
        loop: Loop,
        own: Callable[[], set[int]],
        stuck: Callable[[list[Instance], str], None],
        ordered: Callable[[list[Instance]], list[Instance]],
        lost: Callable[[list[Instance]], None],
        gone: Callable[[Instance], None],
    ) -> None:
        self._lost = lost
        self._end_run = gone
        self._ordered = ordered
        self._loop = loop
        self._orphan_reaper = OrphanReaper(loop, own, self._gone, self._stay)
        self._stuck = stuck
        self._instances: list[Instance] = []
        self._is_new = False
        self._reports = False

    def __bool__(self) -> bool:
        return bool(self._instances)

    def add(self, instance: Instance) -> None:
        """Empty the tree that its guardian has left, together with those of other guardians that were killed at once.

        One by one, /proc would be searched as often as there are instances: 200 took 15 s.
        """
        self._instances.append(instance)
        if not self._is_new:
            self._is_new = True
            self._loop.call_in(0.0, self._empty)
        if not self._reports:
            self._reports = True
            self._loop.call_in(TOGETHER, self._report)

    def _report(self) -> None:
        self._reports = False
        self._lost(self._ordered(self._instances))

    def _empty(self) -> None:
        if self._is_new:
            self._is_new = False
            plans = {
                instance.run.session or instance.pid: instance.spec.stop for instance in self._instances if instance.pid
            }
            told = {instance.run.session or instance.pid for instance in self._instances if instance.was_told_to_stop}
            signals = {session: 0 if session in told else plan.stop_signal for session, plan in plans.items()}
            leaders = {instance.run.session for instance in self._instances if instance.run.session}
            grace = max((self._grace(m) for m in self._instances), default=StopPlan().grace)
            self._orphan_reaper.empty(signals, leaders, grace)

    def _grace(self, instance: Instance) -> float:
        """Return its grace period in seconds, or what is left of one that runs already."""
        return max(0.0, instance.kill_at - self._loop.now()) if instance.was_told_to_stop else instance.spec.stop.grace

    def kill(self) -> None:
        """Skip the grace."""
        self._empty()
        self._orphan_reaper.kill()

    def check(self) -> None:
        """Some child of ours has ended."""
        self._orphan_reaper.check()

    def _gone(self) -> None:
        instances, self._instances = self._ordered(self._instances), []
        for instance in instances:
            self._end_run(instance)

    def _stay(self, why: str) -> None:
        instances, self._instances = self._instances, []
        self._stuck(instances, why)
