"""How one tree comes to its end: stop sequence, sweep, kill. Pure; the guardian acts on what it decides.

A tree is in one of five phases:

  RUN     nobody wants an end; the leader runs
  STOP    the stop sequence is under way, one signal a step
  SWEEP   the leader has gone; what it left has got the stop signal and has SWEEP seconds, or until the sequence's end
  KILL    a kill pass now, on each SIGCHLD and every AGAIN seconds
  STUCK   something survived STUCK_AFTER seconds of that and was reported; passes go on, once a second

The end itself (waitpid says ECHILD) is not decided here: it is a fact, in any phase.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, replace

from orchestrator.model.spec import StopPlan

SWEEP = 2.0
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
    """Send `number`, then SIGCONT, to whom the plan's scope names."""

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
class SendTree:
    """Send `number`, then SIGCONT, to every process of the tree."""

    number: int


@dataclass(frozen=True, slots=True)
class KillTree:
    """SIGSTOP every process of the tree until no new one appears, then SIGKILL all."""


@dataclass(frozen=True, slots=True)
class ReportStuck:
    """Name what is left."""


Act = SendStep | TypeKeys | RunCommand | SendTree | KillTree | ReportStuck


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a tree stands on its way out. `deadline` is when DEADLINE is due; `limit` the end of the whole phase."""

    plan: StopPlan
    phase: Phase = Phase.RUN
    step: int = 0
    deadline: float | None = None
    limit: float | None = None

    def advance(self, cause: Cause, now: float) -> tuple[Ending, tuple[Act, ...]]:
        """Return the next state and what to do. `now` is monotonic seconds."""
        if cause is Cause.KILL and self.phase not in (Phase.KILL, Phase.STUCK):
            return self._kill(now)
        if self.phase is Phase.RUN:
            if cause is Cause.STOP:
                return self._begin_step(0, now, now + self.plan.grace)
            if cause is Cause.LEADER_GONE:
                return self._sweep(now)
        elif self.phase is Phase.STOP:
            if cause is Cause.LEADER_GONE:
                return self._sweep(now)
            if cause is Cause.DEADLINE:
                return self._begin_step(self.step + 1, now, self.limit)
        elif self.phase is Phase.SWEEP:
            if cause is Cause.DEADLINE:
                return self._kill(now)
        elif cause is not Cause.STOP:
            return self._kill_again(now)
        return self, ()

    def _begin_step(self, index: int, now: float, limit: float | None) -> tuple[Ending, tuple[Act, ...]]:
        steps = self.plan.steps
        if index >= len(steps) or steps[index].signal == signal.SIGKILL:
            return self._kill(now)
        step = steps[index]
        following = replace(self, phase=Phase.STOP, step=index, deadline=now + step.wait, limit=limit)
        if step.keys:
            return following, (TypeKeys(step.keys),)
        if step.command:
            return following, (RunCommand(step.command, step.wait),)
        return following, (SendStep(step.signal),)

    def _sweep(self, now: float) -> tuple[Ending, tuple[Act, ...]]:
        deadline = now + SWEEP if self.limit is None else min(now + SWEEP, self.limit)
        stop_signal = next((step.signal for step in self.plan.steps if step.signal), signal.SIGTERM)
        return replace(self, phase=Phase.SWEEP, deadline=deadline), (SendTree(stop_signal),)

    def _kill(self, now: float) -> tuple[Ending, tuple[Act, ...]]:
        following = replace(self, phase=Phase.KILL, deadline=now + AGAIN, limit=now + STUCK_AFTER)
        return following, (KillTree(),)

    def _kill_again(self, now: float) -> tuple[Ending, tuple[Act, ...]]:
        if self.phase is Phase.STUCK:
            return replace(self, deadline=now + STUCK_AGAIN), (KillTree(),)
        assert self.limit is not None
        if now < self.limit:
            return replace(self, deadline=now + AGAIN), (KillTree(),)
        return replace(self, phase=Phase.STUCK, deadline=now + STUCK_AGAIN), (KillTree(), ReportStuck())
