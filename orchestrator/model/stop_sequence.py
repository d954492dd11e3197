"""How one tree comes to its end: stop sequence, sweep, kill. Pure; the guardian acts on what it decides.

A tree is in one of five phases:

  RUN     no stop is requested; the leader runs
  STOP    the stop sequence runs, step by step, whether the leader is still there or not
  SWEEP   the leader exited by itself; what it left got the stop signal and has the component's grace period
  KILL    a kill pass now, on each SIGCHLD and every AGAIN seconds
  STUCK   something survived STUCK_AFTER seconds of that and was reported; passes go on, once a second

A process gets the stop signal, the first signal of the sequence, once: from its step, if it is in the scope, or from
the sweep after the leader's exit (`SendRest`) otherwise. The grace period belongs to the tree, not to the leader: it is
the same whether the leader exits early or late, because the shell of `sh -c 'python worker.py'` exits at once and its
worker may need all of it.

The end itself (waitpid says ECHILD) is not decided here: it is a fact, in any phase.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, replace

from orchestrator.model.spec import StopPlan

AGAIN = 0.1
STUCK_AFTER = 5.0
STUCK_AGAIN = 1.0


class Phase(enum.Enum):
    """See the preface of the module."""

    RUN = "run"
    STOP = "stop"
    SWEEP = "sweep"
    KILL = "kill"
    STUCK = "stuck"


class Cause(enum.Enum):
    """What made the tree's phase change."""

    STOP = "stop wanted"
    KILL = "kill wanted"
    LEADER_GONE = "leader ended"
    CHILD_GONE = "some other child ended"
    DEADLINE = "deadline passed"


@dataclass(frozen=True, slots=True)
class SendStep:
    """Send `number`, then SIGCONT, to the processes in the plan's scope; once the leader has exited, to all."""

    number: int


@dataclass(frozen=True, slots=True)
class TypeKeys:
    """Type `keys` into the component's terminal."""

    keys: str


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run `argv` beside the component, for `timeout` seconds at most."""

    argv: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class SendRest:
    """Send `number`, then SIGCONT, to every process of the tree that has got no signal of this stop yet."""

    number: int


@dataclass(frozen=True, slots=True)
class KillTree:
    """SIGSTOP every process of the tree until no new one appears, then SIGKILL all."""


@dataclass(frozen=True, slots=True)
class ReportStuck:
    """Name what is left."""


Act = SendStep | TypeKeys | RunCommand | SendRest | KillTree | ReportStuck


@dataclass(frozen=True, slots=True)
class StopSequence:
    """The phase of one tree. `deadline` is when DEADLINE is due, `limit` when a kill counts as stuck."""

    plan: StopPlan
    phase: Phase = Phase.RUN
    step: int = 0
    deadline: float | None = None
    limit: float | None = None
    leader_gone: bool = False

    def advance(self, cause: Cause, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Return the next state and what to do. `now` is monotonic seconds."""
        if cause is Cause.KILL and self.phase not in (Phase.KILL, Phase.STUCK):
            return self._kill(now)
        if self.phase is Phase.RUN:
            if cause is Cause.STOP:
                return self._begin_step(0, now)
            if cause is Cause.LEADER_GONE:
                return self._sweep(now)
        elif self.phase is Phase.STOP:
            if cause is Cause.LEADER_GONE and not self.leader_gone:
                return self._go_on_without_leader(now)
            if cause is Cause.DEADLINE:
                return self._begin_step(self.step + 1, now)
        elif self.phase is Phase.SWEEP:
            if cause is Cause.DEADLINE:
                return self._kill(now)
        elif cause is not Cause.STOP:
            return self._kill_again(now)
        return self, ()

    def _begin_step(self, index: int, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        steps = self.plan.steps
        if index >= len(steps) or steps[index].signal == signal.SIGKILL:
            return self._kill(now)
        step = steps[index]
        following = replace(self, phase=Phase.STOP, step=index, deadline=now + step.wait)
        if step.keys:
            return following, (TypeKeys(step.keys),)
        if step.command:
            return following, (RunCommand(step.command, step.wait),)
        return following, (SendStep(step.signal),)

    def _go_on_without_leader(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """The leader exited during the stop: what is outside the scope gets the stop signal too. If no step has sent a
        signal yet (it typed keys, or ran a command), the first one that does is due now."""
        following = replace(self, leader_gone=True)
        steps = self.plan.steps
        if any(step.signal for step in steps[: self.step + 1]):
            return following, (SendRest(self.plan.stop_signal),)
        index = next((i for i, step in enumerate(steps) if step.signal), None)
        if index is None or steps[index].signal == signal.SIGKILL:
            return following, (SendRest(self.plan.stop_signal),)
        following = replace(following, step=index, deadline=now + steps[index].wait)
        return following, (SendRest(steps[index].signal),)

    def _sweep(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        following = replace(self, phase=Phase.SWEEP, deadline=now + self.plan.grace, leader_gone=True)
        return following, (SendRest(self.plan.stop_signal),)

    def _kill(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        following = replace(self, phase=Phase.KILL, deadline=now + AGAIN, limit=now + STUCK_AFTER)
        return following, (KillTree(),)

    def _kill_again(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        if self.phase is Phase.STUCK:
            return replace(self, deadline=now + STUCK_AGAIN), (KillTree(),)
        assert self.limit is not None
        if now < self.limit:
            return replace(self, deadline=now + AGAIN), (KillTree(),)
        return replace(self, phase=Phase.STUCK, deadline=now + STUCK_AGAIN), (KillTree(), ReportStuck())
