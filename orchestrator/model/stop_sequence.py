"""How one tree is stopped: stop sequence, sweep, kill. Pure; the guardian carries out the decisions.

A tree is in one of five phases:

  RUN     no stop is requested; the leader runs
  STOP    the stop sequence runs, step by step, whether the leader is still there or not
  SWEEP   the leader exited by itself; the rest of the tree got the stop signal and has the component's grace period
  KILL    a kill pass now, on each SIGCHLD and every AGAIN seconds
  STUCK   a process survived STUCK_AFTER seconds of kill passes and was reported; passes continue, once a second

A process gets the stop signal, the first signal of the sequence, once: from the first step if it is in the scope, or
else from the sweep after the leader's exit (`SendRest`). The grace period belongs to the tree, not to the leader: it is
the same whether the leader exits early or late, because the shell of `sh -c 'python worker.py'` exits at once and its
worker may need all of it.

The end of the tree (waitpid returns ECHILD) is not decided here: it may happen in any phase.

`TABLE` has a row for every pair of Phase and Cause. A row is the move that the pair makes, or IGNORE if it changes
nothing, or IMPOSSIBLE if it cannot happen. A move returns the next state and the acts: it needs the plan and the clock,
because a plan may have no further step, and a deadline is a time. `advance` raises ImpossibleEvent for the last kind.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from orchestrator.model.lifecycle import IGNORE, IMPOSSIBLE, ImpossibleEvent, NoTransition
from orchestrator.model.spec import StopPlan

AGAIN = 0.1
STUCK_AFTER = 5.0
STUCK_AGAIN = 1.0


class Phase(enum.Enum):
    """The phase of a tree; see the module's docstring."""

    RUN = "run"
    STOP = "stop"
    SWEEP = "sweep"
    KILL = "kill"
    STUCK = "stuck"


class Cause(enum.Enum):
    """The cause of a phase change."""

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
    """Report the remaining processes."""


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
        """Return the next state and what to do. `now` is monotonic seconds. Raises ImpossibleEvent."""
        row = TABLE[self.phase, cause]
        if not isinstance(row, NoTransition):
            return row(self, now)
        if not row.is_possible:
            raise ImpossibleEvent(self.phase, cause)
        return self, ()

    def begin(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Begin the first step; kill if there is none."""
        return self._begin_step(0, now)

    def go_on(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Begin the next step; kill after the last one."""
        return self._begin_step(self.step + 1, now)

    def _begin_step(self, index: int, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        steps = self.plan.steps
        if index >= len(steps) or steps[index].signal == signal.SIGKILL:
            return self.kill(now)
        step = steps[index]
        following = replace(self, phase=Phase.STOP, step=index, deadline=now + step.wait)
        if step.keys:
            return following, (TypeKeys(step.keys),)
        if step.command:
            return following, (RunCommand(step.command, step.wait),)
        return following, (SendStep(step.signal),)

    def go_on_without_leader(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Handle the leader's exit during the stop: processes outside the scope get the stop signal too. If no step has
        sent a signal yet (it typed keys, or ran a command), the first one that does is due now."""
        if self.leader_gone:  # an adopted process that had got the leader's pid exited
            return self, ()
        following = replace(self, leader_gone=True)
        steps = self.plan.steps
        if any(step.signal for step in steps[: self.step + 1]):
            return following, (SendRest(self.plan.stop_signal),)
        index = next((i for i, step in enumerate(steps) if step.signal), None)
        if index is None or steps[index].signal == signal.SIGKILL:
            return following, (SendRest(self.plan.stop_signal),)
        following = replace(following, step=index, deadline=now + steps[index].wait)
        return following, (SendRest(steps[index].signal),)

    def sweep(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Send what the leader has left the stop signal, and kill it after the grace period."""
        following = replace(self, phase=Phase.SWEEP, deadline=now + self.plan.grace, leader_gone=True)
        return following, (SendRest(self.plan.stop_signal),)

    def kill(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Begin the kill passes."""
        following = replace(self, phase=Phase.KILL, deadline=now + AGAIN, limit=now + STUCK_AFTER)
        return following, (KillTree(),)

    def kill_again(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Make another pass; after STUCK_AFTER seconds report what is left."""
        assert self.limit is not None
        if now < self.limit:
            return replace(self, deadline=now + AGAIN), (KillTree(),)
        return replace(self, phase=Phase.STUCK, deadline=now + STUCK_AGAIN), (KillTree(), ReportStuck())

    def kill_stuck(self, now: float) -> tuple[StopSequence, tuple[Act, ...]]:
        """Make another pass over what was reported."""
        return replace(self, deadline=now + STUCK_AGAIN), (KillTree(),)


Move = Callable[[StopSequence, float], tuple[StopSequence, tuple[Act, ...]]]

TABLE: dict[tuple[Phase, Cause], Move | NoTransition] = {
    # A deadline is set by each move, and none has been made yet.
    (Phase.RUN, Cause.STOP): StopSequence.begin,
    (Phase.RUN, Cause.KILL): StopSequence.kill,
    (Phase.RUN, Cause.LEADER_GONE): StopSequence.sweep,
    (Phase.RUN, Cause.CHILD_GONE): IGNORE,
    (Phase.RUN, Cause.DEADLINE): IMPOSSIBLE,
    (Phase.STOP, Cause.STOP): IGNORE,
    (Phase.STOP, Cause.KILL): StopSequence.kill,
    (Phase.STOP, Cause.LEADER_GONE): StopSequence.go_on_without_leader,
    (Phase.STOP, Cause.CHILD_GONE): IGNORE,
    (Phase.STOP, Cause.DEADLINE): StopSequence.go_on,
    # LEADER_GONE twice: an adopted process that had got the leader's pid exited.
    (Phase.SWEEP, Cause.STOP): IGNORE,
    (Phase.SWEEP, Cause.KILL): StopSequence.kill,
    (Phase.SWEEP, Cause.LEADER_GONE): IGNORE,
    (Phase.SWEEP, Cause.CHILD_GONE): IGNORE,
    (Phase.SWEEP, Cause.DEADLINE): StopSequence.kill,
    # Each exit may have left orphans that the pass before did not see.
    (Phase.KILL, Cause.STOP): IGNORE,
    (Phase.KILL, Cause.KILL): StopSequence.kill_again,
    (Phase.KILL, Cause.LEADER_GONE): StopSequence.kill_again,
    (Phase.KILL, Cause.CHILD_GONE): StopSequence.kill_again,
    (Phase.KILL, Cause.DEADLINE): StopSequence.kill_again,
    (Phase.STUCK, Cause.STOP): IGNORE,
    (Phase.STUCK, Cause.KILL): StopSequence.kill_stuck,
    (Phase.STUCK, Cause.LEADER_GONE): StopSequence.kill_stuck,
    (Phase.STUCK, Cause.CHILD_GONE): StopSequence.kill_stuck,
    (Phase.STUCK, Cause.DEADLINE): StopSequence.kill_stuck,
}
