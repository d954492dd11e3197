"""Members whose guardian was killed: they wait until nothing is left of what all of them had."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.spec import StopPlan
from orchestrator.runtime.loop import Loop
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.reaper import Orphanage

TOGETHER = 0.5  # seconds in which guardians are lost that were killed at once, by pkill or the OOM killer


class Bereaved:
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
        stuck: Callable[[list[Member], str], None],
        ordered: Callable[[list[Member]], list[Member]],
        lost: Callable[[list[Member]], None],
    ) -> None:
        self._lost = lost
        self._ordered = ordered
        self._loop = loop
        self._orphanage = Orphanage(loop, own, self._gone, self._stay)
        self._stuck = stuck
        self._members: list[Member] = []
        self._is_new = False
        self._reports = False

    def __bool__(self) -> bool:
        return bool(self._members)

    def add(self, member: Member) -> None:
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
            self._orphanage.empty(signals, leaders, grace)

    def _grace(self, member: Member) -> float:
        """Return its grace period in seconds, or what is left of one that runs already."""
        return max(0.0, member.kill_at - self._loop.now()) if member.was_told_to_stop else member.spec.stop.grace

    def kill(self) -> None:
        """Skip the grace."""
        self._empty()
        self._orphanage.kill()

    def check(self) -> None:
        """Some child of ours has ended."""
        self._orphanage.check()

    def _gone(self) -> None:
        members, self._members = self._ordered(self._members), []
        for member in members:
            member.gone()

    def _stay(self, why: str) -> None:
        members, self._members = self._members, []
        for member in members:
            member.is_stuck = True
        self._stuck(members, why)
