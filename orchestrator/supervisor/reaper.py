"""Empties the trees of guardians that were killed: the supervisor is a subreaper too, and adopts what they leave.

Every child of ours that we did not fork ourselves is such an orphan. The kernel does not report which guardian it
belonged to, so all instances whose guardian was killed wait until no orphan is left. Most orphans are still in the
session of their component's terminal, which tells whose stop signal they get.

Members whose guardian was killed: they wait until nothing is left of what all of them had.
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
    StopSequence,
)
from orchestrator.process import procfs, session_leader, tree
from orchestrator.runtime.loop import Loop, Timer
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
        self._stop_sequence: StopSequence | None = None
        self._timer: Timer | None = None
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
        self._stop_sequence = StopSequence(StopPlan((StopStep(signal.SIGTERM, grace),)))
        self._advance(Cause.LEADER_GONE)
        self.check()

    def kill(self) -> None:
        """Skip the grace period."""
        self._advance(Cause.KILL)

    def check(self) -> None:
        """Some child exited: go on, or be done. Session leaders stay until nothing else is left."""
        if self._stop_sequence is None:
            return
        orphans = [member.pid for member in tree.descendants(os.getpid(), self._own())]
        leaders = [pid for pid in orphans if pid in self._leaders or session_leader.leads_a_session(pid)]
        if len(leaders) < len(orphans):
            self._advance(Cause.CHILD_GONE)
        elif leaders:
            for pid in leaders:
                tree.send(pid, signal.SIGKILL)
        else:
            self._stop_sequence = None
            self._signals.clear()
            self._leaders = frozenset()
            self._told.clear()
            self._disarm()
            self._done()

    def _advance(self, cause: Cause) -> None:
        if self._stop_sequence is None:
            return
        self._stop_sequence, acts = self._stop_sequence.advance(cause, self._loop.now())
        self._disarm()
        if self._stop_sequence.deadline is not None:
            self._timer = self._loop.call_at(self._stop_sequence.deadline, lambda: self._advance(Cause.DEADLINE))
        for act in acts:
            self._do(act)

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
        for member in tree.descendants(os.getpid(), self._own()):
            identity = (member.pid, procfs.start_time(member.pid))
            if identity not in self._told:
                self._told.add(identity)
                wanted = self._signals.get(procfs.session_of(member.pid), number)
                by_signal.setdefault(wanted, []).append(member)
        for wanted, members in by_signal.items():
            if wanted:
                tree.send_members(os.getpid(), wanted, members)
            tree.send_members(os.getpid(), signal.SIGCONT, members)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


TOGETHER = 0.5  # seconds in which guardians are lost that were killed at once, by pkill or the OOM killer


class LostGuardians:
    """`own` returns the pids of our own children; `lost` is called with instances whose guardians were killed at once,
    and `stuck` with instances and what cannot be killed of them.

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
    ) -> None:
        self._lost = lost
        self._ordered = ordered
        self._loop = loop
        self._orphan_reaper = OrphanReaper(loop, own, self._gone, self._stay)
        self._stuck = stuck
        self._members: list[Instance] = []
        self._is_new = False
        self._reports = False

    def __bool__(self) -> bool:
        return bool(self._members)

    def add(self, member: Instance) -> None:
        """Empty what its guardian has left, with what others have that were killed together with it.

        One by one, what is left would be looked for as often as there are members: 200 took 15 s.
        """
        self._members.append(member)
        if not self._is_new:
            self._is_new = True
            self._loop.call_in(0.0, self._empty)
        if not self._reports:
            self._reports = True
            self._loop.call_in(TOGETHER, self._report)

    def _report(self) -> None:
        self._reports = False
        self._lost(self._ordered(self._members))

    def _empty(self) -> None:
        if self._is_new:
            self._is_new = False
            plans = {member.session or member.pid: member.spec.stop for member in self._members if member.pid}
            told = {member.session or member.pid for member in self._members if member.was_told_to_stop}
            signals = {session: 0 if session in told else plan.stop_signal for session, plan in plans.items()}
            leaders = {member.session for member in self._members if member.session}
            grace = max((self._grace(m) for m in self._members), default=StopPlan().grace)
            self._orphan_reaper.empty(signals, leaders, grace)

    def _grace(self, member: Instance) -> float:
        """Return its grace period in seconds, or what is left of one that runs already."""
        return max(0.0, member.kill_at - self._loop.now()) if member.was_told_to_stop else member.spec.stop.grace

    def kill(self) -> None:
        """Skip the grace."""
        self._empty()
        self._orphan_reaper.kill()

    def check(self) -> None:
        """Some child of ours has ended."""
        self._orphan_reaper.check()

    def _gone(self) -> None:
        members, self._members = self._ordered(self._members), []
        for member in members:
            member.gone()

    def _stay(self, why: str) -> None:
        members, self._members = self._members, []
        for member in members:
            member.is_stuck = True
        self._stuck(members, why)
