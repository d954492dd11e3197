"""The lifecycle of one instance, as a total table.

An instance is DOWN until it is wanted. STARTING lasts from the fork of its guardian to the word that the leader runs;
UP until its readiness probes hold; then READY, and asked whether it lives. Whatever ends the leader, and whoever asked
for it, the instance is STOPPING until its tree is vacated and its guardian has gone: a restart never overlaps the old
tree. KILLING is the same with the grace skipped. How it ends is one of three events, chosen by `decide`: it ends for
good (DOWN), it comes back after a pause (BACKOFF), or it is given up (FAILED).

`TABLE` has a row for every pair of State and Event; a pair that cannot happen, or changes nothing, stays where it is.

Whether an incarnation that ended is followed by another, and after how long. Pure: clock and dice are passed in.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from orchestrator.model.spec import RestartPlan, RestartPolicy


class State(enum.Enum):
    """Where an instance stands."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    READY = "ready"
    STOPPING = "stopping"
    KILLING = "killing"
    BACKOFF = "backoff"
    FAILED = "failed"


class Event(enum.Enum):
    """What can happen to an instance."""

    START = "start is wanted"
    STARTED = "the leader runs"
    PROBED = "every readiness probe holds"
    EXITED = "the leader ended, or never came up"
    STOP = "a stop is wanted"
    KILL = "a kill is wanted"
    ENDED = "vacated, and it stays down"
    RETRY = "vacated, and it comes back"
    GIVEN_UP = "vacated, and it is given up"
    DUE = "the backoff is over"


class Action(enum.Enum):
    """What the driver has to do after a transition."""

    FORK = "fork a guardian"
    WATCH = "begin to probe"
    UNWATCH = "end probing"
    GUARD = "begin to ask whether it lives"
    UNGUARD = "end asking"
    SEND_STOP = "send the guardian Stop"
    SEND_KILL = "send the guardian Kill"
    ARM = "arm the backoff timer"
    DISARM = "disarm the backoff timer"


Row = tuple[State, tuple[Action, ...]]

_CHANGES: dict[tuple[State, Event], Row] = {
    (State.DOWN, Event.START): (State.STARTING, (Action.FORK,)),
    (State.STARTING, Event.STARTED): (State.UP, (Action.WATCH,)),
    (State.STARTING, Event.EXITED): (State.STOPPING, ()),
    (State.STARTING, Event.STOP): (State.STOPPING, (Action.SEND_STOP,)),
    (State.STARTING, Event.KILL): (State.KILLING, (Action.SEND_KILL,)),
    (State.UP, Event.PROBED): (State.READY, (Action.UNWATCH, Action.GUARD)),
    (State.UP, Event.EXITED): (State.STOPPING, (Action.UNWATCH,)),
    (State.UP, Event.STOP): (State.STOPPING, (Action.UNWATCH, Action.SEND_STOP)),
    (State.UP, Event.KILL): (State.KILLING, (Action.UNWATCH, Action.SEND_KILL)),
    (State.READY, Event.EXITED): (State.STOPPING, (Action.UNGUARD,)),
    (State.READY, Event.STOP): (State.STOPPING, (Action.UNGUARD, Action.SEND_STOP)),
    (State.READY, Event.KILL): (State.KILLING, (Action.UNGUARD, Action.SEND_KILL)),
    # The leader may have ended by itself: from now on its end was wanted, and is not followed by a restart.
    (State.STOPPING, Event.STOP): (State.STOPPING, (Action.SEND_STOP,)),
    (State.STOPPING, Event.KILL): (State.KILLING, (Action.SEND_KILL,)),
    (State.BACKOFF, Event.START): (State.STARTING, (Action.DISARM, Action.FORK)),
    (State.BACKOFF, Event.DUE): (State.STARTING, (Action.FORK,)),
    (State.BACKOFF, Event.STOP): (State.DOWN, (Action.DISARM,)),
    (State.BACKOFF, Event.KILL): (State.DOWN, (Action.DISARM,)),
    (State.FAILED, Event.START): (State.STARTING, (Action.FORK,)),
}

# The tree can be empty in any state in which a guardian lives: a guardian's death skips the steps between.
RUNNING = frozenset({State.STARTING, State.UP, State.READY, State.STOPPING, State.KILLING})
_PROBING = {State.UP: (Action.UNWATCH,), State.READY: (Action.UNGUARD,)}
for _state in RUNNING:
    _stop_probing = _PROBING.get(_state, ())
    _CHANGES[_state, Event.ENDED] = (State.DOWN, _stop_probing)
    _CHANGES[_state, Event.RETRY] = (State.BACKOFF, (*_stop_probing, Action.ARM))
    _CHANGES[_state, Event.GIVEN_UP] = (State.FAILED, _stop_probing)

TABLE: dict[tuple[State, Event], Row] = {
    (state, event): _CHANGES.get((state, event), (state, ())) for state in State for event in Event
}


def advance(state: State, event: Event) -> Row:
    """Look up what `event` does in `state`: the next state and what there is to do."""
    return TABLE[state, event]


JITTER = 0.1  # of the backoff, so that components that died together do not come back in step


QUICK = 60.0  # seconds: an exit after a longer run does not count as one of the same
_VARIES = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")  # times, pids, addresses


REMEMBERED = 64  # exits, if nothing limits their number: the backoff has reached its cap long before


class StopOrigin(enum.Enum):
    """Why a run was stopped: not on request, to stay down, or because a probe failed."""

    NONE = "no request"
    DOWN = "a request"
    REPLACE = "its liveness probe"


@dataclass(frozen=True, slots=True)
class Exit:
    """What is compared of two exits: the status, and the last line, in which numbers do not count."""

    status: int
    last_line: str

    @classmethod
    def of(cls, status: int, last_line: str) -> Exit:
        """Make one of a line as it was printed."""
        return cls(status, _VARIES.sub("#", last_line).strip())


@dataclass(frozen=True, slots=True)
class Repeats:
    """The quick exits, the same each time, that a component has had in a row before it was ready."""

    latest: Exit | None = None
    count: int = 0

    def after(self, latest: Exit | None, lasted: float) -> Repeats:
        """Return them after one more exit; None is one that says nothing about the next run."""
        if latest is None or lasted > QUICK:
            return Repeats()
        return Repeats(latest, self.count + 1 if latest == self.latest else 1)


NO_REPEATS = Repeats()


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """`event` is ENDED, RETRY or GIVEN_UP; `delay` the backoff in seconds, `failures` the new history."""

    event: Event
    delay: float = 0.0
    failures: tuple[float, ...] = ()


def decide(
    plan: RestartPlan,
    *,
    failed: bool,
    stop_origin: StopOrigin,
    failures: tuple[float, ...],
    now: float,
    dice: float,
    repeats: Repeats = NO_REPEATS,
) -> RestartDecision:
    """Decide what follows the end of an incarnation.

    `failed` is whether its status was no success. What does not live is replaced whatever the policy, within the
    limits that the plan sets. `failures` are the times of earlier ends that led to a restart; `dice` is a random number
    in [0, 1). A healthy stretch of `within` seconds empties the history, and so the backoff starts small again.
    """
    if stop_origin is StopOrigin.DOWN:
        return RestartDecision(Event.ENDED)
    by_policy = plan.policy is RestartPolicy.ALWAYS or (plan.policy is RestartPolicy.ON_FAILURE and failed)
    wanted = by_policy or stop_origin is StopOrigin.REPLACE
    if not wanted:
        return RestartDecision(Event.GIVEN_UP if failed else Event.ENDED)
    recent = (*(at for at in failures if now - at < plan.within), now)[-(plan.max or REMEMBERED) :]
    if 0 < plan.max <= len(recent) or is_repetitive(plan, repeats):
        return RestartDecision(Event.GIVEN_UP, failures=recent)
    pause = min(plan.cap, plan.first * 2.0 ** min(len(recent) - 1, 64))
    return RestartDecision(Event.RETRY, pause * (1 + JITTER * dice), recent)


def is_repetitive(plan: RestartPlan, repeats: Repeats) -> bool:
    """Return whether the same exit has come so often that the next run would end like that too."""
    return 0 < plan.same_exits <= repeats.count
