"""The lifecycle of one instance, as a total table.

An instance is DOWN until it is started. It is STARTING from the fork of its guardian until the leader runs, UP until
its readiness probes have passed, then READY while its liveness probes run. If the leader exits by itself, or cannot be
started, the instance is EXITED while its guardian sweeps what is left. If it is stopped, on request or because a probe
failed, it is STOPPING; KILLING is the same without a grace period. It is STUCK if some process of its tree survives
SIGKILL. It leaves these states only when its tree is empty and its guardian has exited, so that two runs never overlap.
`decide` chooses how: it stays down (DOWN), it restarts after a pause (BACKOFF), or it has failed for good (FAILED).

`TABLE` has a row for every pair of State and Event. A row is the next state and what to do, or IGNORE if the event
changes nothing, or IMPOSSIBLE if it cannot happen there. `advance` raises ImpossibleEvent for the last kind: a test
fails, and a running system reports it in one line and carries on.

The program has these state machines:

- the instance: this table; the state is stored in `supervisor.instance.Instance.state`, and written by its `handle`
- the desired state of the instance: `Desired`, stored in `Instance.desired` and written by its `want`
- which instances wait, start or stop: `model.scheduling.Schedule`, stored in `Registry.schedule`
- the stop of one process tree: the table in `model.stop_sequence`, stored in `process.stop_driver.StopDriver`: by the
  guardian, and by `supervisor.reaper` for the trees of killed guardians
- the readiness of one run: the open probes in `supervisor.readiness.Readiness`; one answer of a probe: `RepeatedProbe`
- the system: `Supervisor.is_stopping`, then its `_finished`
- bytes of a terminal: `terminal.row`, `terminal.sequence_parser` and `terminal.modes`, stored per stream

The file also decides whether another run follows, and after how long. Pure: time and random number are passed in.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from orchestrator.model.spec import RestartPlan, RestartPolicy


class State(enum.Enum):
    """The states of an instance; see the preface of the module."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    READY = "ready"
    EXITED = "exited"
    STOPPING = "stopping"
    KILLING = "killing"
    STUCK = "stuck"
    BACKOFF = "backoff"
    FAILED = "failed"


class Event(enum.Enum):
    """What can happen to an instance."""

    START = "a start is requested"
    STARTED = "the leader runs"
    PROBED = "all readiness probes have passed"
    UNHEALTHY = "a probe failed for good"
    EXITED = "the leader exited, or did not start"
    STOP = "a stop is requested"
    KILL = "a kill is requested"
    STUCK = "a process survives SIGKILL"
    ENDED = "the tree is empty; it stays down"
    RETRY = "the tree is empty; it restarts"
    GIVEN_UP = "the tree is empty; it has failed"
    DUE = "the backoff is over"


class Action(enum.Enum):
    """What to do after a transition."""

    FORK = "fork a guardian"
    WATCH = "begin readiness probes"
    UNWATCH = "end readiness probes"
    GUARD = "begin liveness probes"
    UNGUARD = "end liveness probes"
    SEND_STOP = "send Stop to the guardian"
    SEND_KILL = "send Kill to the guardian"
    ARM = "arm the backoff timer"
    DISARM = "disarm the backoff timer"


class Desired(enum.Enum):
    """The state that an instance is to reach, whatever its state is now. RESTART: stop, then start; the start turns it
    into UP."""

    UP = "up"
    DOWN = "down"
    RESTART = "restart"


class ImpossibleEvent(Exception):
    """An event arrived in a state in which it cannot happen: a mistake in this program. Also raised for the stop of a
    process tree (`model.stop_sequence`)."""

    def __init__(self, state: enum.Enum, event: enum.Enum) -> None:
        super().__init__(f"{event.name} in the state {state.name}")


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of an event."""

    before: State
    after: State
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class NoTransition:
    """A row of the table without a transition: the event changes nothing, or is impossible."""

    is_possible: bool


Row = tuple[State, tuple[Action, ...]]
IGNORE = NoTransition(True)
IMPOSSIBLE = NoTransition(False)

AT_REST = frozenset({State.DOWN, State.FAILED})
# States with processes that a stop waits for. OCCUPIED adds the processes that a stop no longer waits for.
RUNNING = frozenset({State.STARTING, State.UP, State.READY, State.EXITED, State.STOPPING, State.KILLING})
OCCUPIED = RUNNING | {State.STUCK}

TABLE: dict[tuple[State, Event], Row | NoTransition] = {
    # An event waits while the one before is carried out: a second START or STOP may arrive anywhere.
    (State.DOWN, Event.START): (State.STARTING, (Action.FORK,)),
    (State.DOWN, Event.STARTED): IMPOSSIBLE,
    (State.DOWN, Event.PROBED): IMPOSSIBLE,
    (State.DOWN, Event.UNHEALTHY): IMPOSSIBLE,
    (State.DOWN, Event.EXITED): IMPOSSIBLE,
    (State.DOWN, Event.STOP): IGNORE,
    (State.DOWN, Event.KILL): IGNORE,
    (State.DOWN, Event.STUCK): IMPOSSIBLE,
    (State.DOWN, Event.ENDED): IMPOSSIBLE,
    (State.DOWN, Event.RETRY): IMPOSSIBLE,
    (State.DOWN, Event.GIVEN_UP): IMPOSSIBLE,
    (State.DOWN, Event.DUE): IMPOSSIBLE,
    # The tree of a run is empty only after EXITED: a lost guardian, and one that could not be forked, report it too.
    (State.STARTING, Event.START): IGNORE,
    (State.STARTING, Event.STARTED): (State.UP, (Action.WATCH,)),
    (State.STARTING, Event.PROBED): IMPOSSIBLE,
    (State.STARTING, Event.UNHEALTHY): (State.STOPPING, (Action.SEND_STOP,)),
    (State.STARTING, Event.EXITED): (State.EXITED, ()),
    (State.STARTING, Event.STOP): (State.STOPPING, (Action.SEND_STOP,)),
    (State.STARTING, Event.KILL): (State.KILLING, (Action.SEND_KILL,)),
    (State.STARTING, Event.STUCK): IMPOSSIBLE,
    (State.STARTING, Event.ENDED): IMPOSSIBLE,
    (State.STARTING, Event.RETRY): IMPOSSIBLE,
    (State.STARTING, Event.GIVEN_UP): IMPOSSIBLE,
    (State.STARTING, Event.DUE): IMPOSSIBLE,
    (State.UP, Event.START): IGNORE,
    (State.UP, Event.STARTED): IMPOSSIBLE,
    (State.UP, Event.PROBED): (State.READY, (Action.UNWATCH, Action.GUARD)),
    (State.UP, Event.UNHEALTHY): (State.STOPPING, (Action.UNWATCH, Action.SEND_STOP)),
    (State.UP, Event.EXITED): (State.EXITED, (Action.UNWATCH,)),
    (State.UP, Event.STOP): (State.STOPPING, (Action.UNWATCH, Action.SEND_STOP)),
    (State.UP, Event.KILL): (State.KILLING, (Action.UNWATCH, Action.SEND_KILL)),
    (State.UP, Event.STUCK): IMPOSSIBLE,
    (State.UP, Event.ENDED): IMPOSSIBLE,
    (State.UP, Event.RETRY): IMPOSSIBLE,
    (State.UP, Event.GIVEN_UP): IMPOSSIBLE,
    (State.UP, Event.DUE): IMPOSSIBLE,
    (State.READY, Event.START): IGNORE,
    (State.READY, Event.STARTED): IMPOSSIBLE,
    (State.READY, Event.PROBED): IMPOSSIBLE,
    (State.READY, Event.UNHEALTHY): (State.STOPPING, (Action.UNGUARD, Action.SEND_STOP)),
    (State.READY, Event.EXITED): (State.EXITED, (Action.UNGUARD,)),
    (State.READY, Event.STOP): (State.STOPPING, (Action.UNGUARD, Action.SEND_STOP)),
    (State.READY, Event.KILL): (State.KILLING, (Action.UNGUARD, Action.SEND_KILL)),
    (State.READY, Event.STUCK): IMPOSSIBLE,
    (State.READY, Event.ENDED): IMPOSSIBLE,
    (State.READY, Event.RETRY): IMPOSSIBLE,
    (State.READY, Event.GIVEN_UP): IMPOSSIBLE,
    (State.READY, Event.DUE): IMPOSSIBLE,
    # EXITED twice: the guardian was killed after it had reported the exit. A stop now prevents the restart.
    (State.EXITED, Event.START): IGNORE,
    (State.EXITED, Event.STARTED): IMPOSSIBLE,
    (State.EXITED, Event.PROBED): IMPOSSIBLE,
    (State.EXITED, Event.UNHEALTHY): IGNORE,
    (State.EXITED, Event.EXITED): IGNORE,
    (State.EXITED, Event.STOP): (State.STOPPING, (Action.SEND_STOP,)),
    (State.EXITED, Event.KILL): (State.KILLING, (Action.SEND_KILL,)),
    (State.EXITED, Event.STUCK): (State.STUCK, ()),
    (State.EXITED, Event.ENDED): (State.DOWN, ()),
    (State.EXITED, Event.RETRY): (State.BACKOFF, (Action.ARM,)),
    (State.EXITED, Event.GIVEN_UP): (State.FAILED, ()),
    (State.EXITED, Event.DUE): IMPOSSIBLE,
    # The guardian may have reported STARTED before it heard Stop. RETRY and GIVEN_UP follow a failed probe only.
    (State.STOPPING, Event.START): IGNORE,
    (State.STOPPING, Event.STARTED): IGNORE,
    (State.STOPPING, Event.PROBED): IGNORE,
    (State.STOPPING, Event.UNHEALTHY): IGNORE,
    (State.STOPPING, Event.EXITED): IGNORE,
    (State.STOPPING, Event.STOP): (State.STOPPING, (Action.SEND_STOP,)),
    (State.STOPPING, Event.KILL): (State.KILLING, (Action.SEND_KILL,)),
    (State.STOPPING, Event.STUCK): (State.STUCK, ()),
    (State.STOPPING, Event.ENDED): (State.DOWN, ()),
    (State.STOPPING, Event.RETRY): (State.BACKOFF, (Action.ARM,)),
    (State.STOPPING, Event.GIVEN_UP): (State.FAILED, ()),
    (State.STOPPING, Event.DUE): IMPOSSIBLE,
    (State.KILLING, Event.START): IGNORE,
    (State.KILLING, Event.STARTED): IGNORE,
    (State.KILLING, Event.PROBED): IGNORE,
    (State.KILLING, Event.UNHEALTHY): IGNORE,
    (State.KILLING, Event.EXITED): IGNORE,
    (State.KILLING, Event.STOP): IGNORE,
    (State.KILLING, Event.KILL): IGNORE,
    (State.KILLING, Event.STUCK): (State.STUCK, ()),
    (State.KILLING, Event.ENDED): (State.DOWN, ()),
    (State.KILLING, Event.RETRY): IMPOSSIBLE,
    (State.KILLING, Event.GIVEN_UP): IMPOSSIBLE,
    (State.KILLING, Event.DUE): IMPOSSIBLE,
    # STUCK twice: the guardian was killed after it had reported it, and the supervisor cannot kill the process either.
    (State.STUCK, Event.START): IGNORE,
    (State.STUCK, Event.STARTED): IMPOSSIBLE,
    (State.STUCK, Event.PROBED): IMPOSSIBLE,
    (State.STUCK, Event.UNHEALTHY): IGNORE,
    (State.STUCK, Event.EXITED): IGNORE,
    (State.STUCK, Event.STOP): (State.STUCK, (Action.SEND_STOP,)),
    (State.STUCK, Event.KILL): (State.STUCK, (Action.SEND_KILL,)),
    (State.STUCK, Event.STUCK): IGNORE,
    (State.STUCK, Event.ENDED): (State.DOWN, ()),
    (State.STUCK, Event.RETRY): (State.BACKOFF, (Action.ARM,)),
    (State.STUCK, Event.GIVEN_UP): (State.FAILED, ()),
    (State.STUCK, Event.DUE): IMPOSSIBLE,
    (State.BACKOFF, Event.START): (State.STARTING, (Action.DISARM, Action.FORK)),
    (State.BACKOFF, Event.STARTED): IMPOSSIBLE,
    (State.BACKOFF, Event.PROBED): IMPOSSIBLE,
    (State.BACKOFF, Event.UNHEALTHY): IMPOSSIBLE,
    (State.BACKOFF, Event.EXITED): IMPOSSIBLE,
    (State.BACKOFF, Event.STOP): (State.DOWN, (Action.DISARM,)),
    (State.BACKOFF, Event.KILL): (State.DOWN, (Action.DISARM,)),
    (State.BACKOFF, Event.STUCK): IMPOSSIBLE,
    (State.BACKOFF, Event.ENDED): IMPOSSIBLE,
    (State.BACKOFF, Event.RETRY): IMPOSSIBLE,
    (State.BACKOFF, Event.GIVEN_UP): IMPOSSIBLE,
    (State.BACKOFF, Event.DUE): (State.STARTING, (Action.FORK,)),
    (State.FAILED, Event.START): (State.STARTING, (Action.FORK,)),
    (State.FAILED, Event.STARTED): IMPOSSIBLE,
    (State.FAILED, Event.PROBED): IMPOSSIBLE,
    (State.FAILED, Event.UNHEALTHY): IMPOSSIBLE,
    (State.FAILED, Event.EXITED): IMPOSSIBLE,
    (State.FAILED, Event.STOP): IGNORE,
    (State.FAILED, Event.KILL): IGNORE,
    (State.FAILED, Event.STUCK): IMPOSSIBLE,
    (State.FAILED, Event.ENDED): IMPOSSIBLE,
    (State.FAILED, Event.RETRY): IMPOSSIBLE,
    (State.FAILED, Event.GIVEN_UP): IMPOSSIBLE,
    (State.FAILED, Event.DUE): IMPOSSIBLE,
}


def advance(state: State, event: Event) -> Row:
    """Return the next state and what to do. Raises ImpossibleEvent."""
    row = TABLE[state, event]
    if not isinstance(row, NoTransition):
        return row
    if not row.is_possible:
        raise ImpossibleEvent(state, event)
    return state, ()


JITTER = 0.1  # of the backoff, so that components that exited together do not restart together
QUICK = 60.0  # seconds: an exit after a longer run does not count as a repetition
_VARIES = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")  # times, pids, addresses
REMEMBERED = 64  # exits, if `max` sets no limit: the backoff has reached its cap long before


class StopOrigin(enum.Enum):
    """Why a run was stopped: not on request, to stay down, or because a probe failed."""

    NONE = "no request"
    DOWN = "a request"
    REPLACE = "its liveness probe"


@dataclass(frozen=True, slots=True)
class ExitPattern:
    """The parts of an exit that are compared: the status, and the last line without its numbers."""

    status: int
    last_line: str

    @classmethod
    def of(cls, status: int, last_line: str) -> ExitPattern:
        """Return the pattern of an exit with this last line, as it was printed."""
        return cls(status, _VARIES.sub("#", last_line).strip())


@dataclass(frozen=True, slots=True)
class Repeats:
    """The number of quick, equal exits in a row before the component was ready."""

    latest: ExitPattern | None = None
    count: int = 0

    def after(self, latest: ExitPattern | None, lasted: float) -> Repeats:
        """Return the repetitions after one more exit; None is an exit that says nothing about the next run."""
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


def decide_restart(
    plan: RestartPlan,
    *,
    failed: bool,
    stop_origin: StopOrigin,
    failures: tuple[float, ...],
    now: float,
    dice: float,
    repeats: Repeats = NO_REPEATS,
) -> RestartDecision:
    """Decide what follows a run.

    `failed` says whether the status of the run means failure. A component that failed its liveness probe is restarted
    whatever the policy, within the limits of the plan. `failures` are the times of earlier exits that led to a restart;
    `dice` is a random number in [0, 1). After `within` seconds without an exit the history is empty, and the backoff
    starts small again.
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
