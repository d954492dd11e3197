"""One instance of a component: its state, what is wanted of it, its present run and its last exits.

It takes events, requests and the reports of guardians, and returns transitions, which the supervisor and its launcher
carry out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from orchestrator.model import errors, lifecycle
from orchestrator.model.lifecycle import (
    OCCUPIED,
    RUNNING,
    Action,
    Desired,
    Event,
    ExitPattern,
    Repeats,
    State,
    StopOrigin,
    Transition,
    advance,
)
from orchestrator.model.messages import (
    Conclude,
    Down,
    Execute,
    LeaderExited,
    Started,
    StartFailed,
    Up,
    Vacated,
)
from orchestrator.model.run import (
    EXITS_KEPT,
    GUARDIAN_FAILED,
    NO_RUN,
    NOT_FOUND,
    Exit,
    ExitCause,
    Fault,
    Run,
)
from orchestrator.model.spec import HOOK_TIMEOUT, ComponentSpec
from orchestrator.model.status import Status
from orchestrator.supervisor.guardian_link import GuardianLink

_STARTED = frozenset({State.STARTING, State.UP, State.READY})
_LEAVING = (Desired.DOWN, Desired.RESTART)


class Instance:
    """One instance. `run` is its present or last run, `exit` how that exited (None before that), and `exits` how its
    last runs ended, the latest last.

    `desired` is what is wanted of it; None if it was not to start by itself, and nothing was requested. Only `want`
    writes it. `name` is what users see, and changes with the number of instances (`web`, `web.1`); `key` never changes:
    it names files, and other instances refer to it. An instance is `surplus` from the scale-down that removes it until
    it is down. `is_vacated` says that its tree is empty. `last_line` returns the last line of its output. `is_step`
    says that it is an initial step, or the check of one.

    The launcher writes `guardian_link`, and scaling `name`, `spec` and `surplus`; everything else is written by its own
    methods only.
    """

    def __init__(
        self, spec: ComponentSpec, last_line: Callable[[Instance], str] = lambda _: "", *, is_step: bool = False
    ) -> None:
        self.spec = spec
        self.is_step = is_step
        self.key = spec.name
        self.name = spec.name
        self.state = State.DOWN
        self.run = NO_RUN
        self.exit: Exit | None = None
        self.exits: tuple[Exit, ...] = ()
        self._fault: Fault | None = None
        self.kill_at = 0.0
        self.pause = 0.0
        self.retry_at = 0.0  # monotonic seconds: when its backoff ends
        self.was_told_to_stop = False
        self.desired: Desired | None = None
        self._first_run = 0  # the number of the first run that is what `desired` wants
        self.surplus = False
        self.stop_origin = StopOrigin.NONE
        self.is_vacated = False
        self._failures: tuple[float, ...] = ()
        self._was_ready = False
        self.repeats = Repeats()
        self._repeats_before = Repeats()  # this run
        self.guardian_link: GuardianLink | None = None
        self._last_line = last_line

    @property
    def number(self) -> int:
        """Its number among the instances of its component, from 1; 1 for an initial step."""
        rest = self.key.removeprefix(self.spec.component)
        return int(rest[1:]) if rest and self.spec.component else 1

    @property
    def names(self) -> tuple[str, ...]:
        """All that it can be called by; the first instance of `web` is both `web` and `web.1`."""
        return self.name, self.key, f"{self.spec.component}.{self.number}"

    def want(self, desired: Desired) -> None:
        """Set the desired state, on which the supervisor acts. The latest call counts."""
        self.desired = desired
        self._first_run = self.run.number + (self.state not in _STARTED)

    @property
    def due(self) -> bool:
        """Whether it is to be started as soon as it is down and what it depends on allows it."""
        if self.desired is Desired.UP:
            return self.run.number < self._first_run
        return self.desired is Desired.RESTART

    @property
    def is_leaving(self) -> bool:
        """Whether it runs or would restart by itself, and is to stop: now, or as soon as its turn comes."""
        return self.desired in _LEAVING and (self.runs or self.state is State.BACKOFF)

    @property
    def runs(self) -> bool:
        """Whether there is, or may be, a process of it that a stop waits for."""
        return self.state in RUNNING

    @property
    def pid(self) -> int:
        """The pid of the leader, also after its exit, until its tree is empty; 0 before and after."""
        return self.run.pid if self.state in OCCUPIED else 0

    @property
    def status(self) -> int | None:
        """The status of the last run; None until its leader has exited."""
        return None if self.exit is None else self.exit.status

    @property
    def reason(self) -> str:
        """Why the last run failed, or is about to be stopped, if its status does not say it; empty otherwise."""
        failure = self.exit or self._fault
        return "" if failure is None else failure.reason

    @property
    def exited_by_itself(self) -> bool:
        """Whether the leader of the last run exited before it was sent a stop signal."""
        return self.exit is not None and not self.exit.was_asked

    @property
    def succeeded(self) -> bool:
        """Whether the last run ended with one of the component's success codes."""
        return self.exit is not None and not self.exit.reason and self.exit.status in self.spec.success

    @property
    def asked(self) -> bool:
        """Whether its last run was stopped, or is being stopped, on request."""
        return self.stop_origin is StopOrigin.DOWN

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.run.number - 1)

    @property
    def guardian_pid(self) -> int:
        """The pid of the guardian of its run; 0 without one."""
        return self.guardian_link.pid if self.guardian_link else 0

    @property
    def end_in_words(self) -> str:
        """How the last run ended, or why it is about to be stopped."""
        return self.exit.in_words if self.exit is not None else self.reason or errors.in_words(0)

    @property
    def end_as_clause(self) -> str:
        """The same as a clause that follows a subject: `exited with status 1`."""
        return self.exit.as_clause if self.exit is not None else self.end_in_words

    @property
    def public_state(self) -> Status:
        """What users see of its state."""
        match self.state:
            case State.STARTING | State.UP:
                return Status.STARTING
            case State.READY:
                return Status.READY if self.spec.ready else Status.RUNNING
            case State.EXITED | State.STOPPING | State.KILLING:
                return Status.STOPPING
            case State.STUCK:
                return Status.STUCK
            case State.BACKOFF:
                return Status.RESTARTING
        if self.due:
            return Status.WAITING
        if self.asked or not self.run.number:
            return Status.STOPPED
        return Status.COMPLETED if self.succeeded and self.state is State.DOWN else Status.FAILED

    def handle(self, event: Event) -> Transition:
        """Advance the lifecycle. Return the transition, whose actions the caller carries out. Raises
        ImpossibleEvent."""
        before = self.state
        if event is Event.START and before not in OCCUPIED:
            self.want(Desired.UP)
        if event in (Event.STOP, Event.KILL):
            self.stop_origin = StopOrigin.DOWN
        self.state, actions = advance(before, event)
        for action in actions:
            self._note(action)
        if self.state is State.READY:
            self._was_ready = True
        return Transition(before, self.state, actions)

    def _note(self, action: Action) -> None:
        match action:
            case Action.FORK:
                self._begin_run()
            case Action.SEND_STOP:
                if not self.was_told_to_stop:
                    self.kill_at = time.monotonic() + self.spec.stop.grace
                self.was_told_to_stop = True
            case Action.ARM:
                self.retry_at = time.monotonic() + self.pause

    def _begin_run(self) -> None:
        self.run = Run(self.run.number + 1, time.monotonic(), time.time())
        self.exit = self._fault = None
        self.was_told_to_stop = False
        self._repeats_before = self.repeats
        self.stop_origin, self.is_vacated = StopOrigin.NONE, False

    def send(self, message: Down) -> None:
        """Send a message to the guardian, if there is one."""
        if self.guardian_link is not None:
            self.guardian_link.send(message, children=not self.pid)

    def ask(self, command: Execute) -> None:
        """Have a command run in the tree. An Answer follows, unless the tree ends first."""
        if self.guardian_link is not None:
            self.guardian_link.ask(command)

    # What happens to a run

    def hear(self, message: Up, *, is_oom_kill: bool = False) -> Event | None:
        """Record what the guardian reports. Return the event that it means, if any. `is_oom_kill` says whether the OOM
        killer caused an exit."""
        match message:
            case Started(pid):
                self.run = replace(self.run, pid=pid, session=message.session, guardian=self.guardian_pid)
                return Event.STARTED
            case StartFailed(reason):
                self.exit = self._new_exit(NOT_FOUND, ExitCause.NOT_STARTED, reason)
                self.is_vacated = not self.spec.hooks
                return Event.EXITED
            case LeaderExited():
                self.exit = self._exit_of(message, is_oom_kill)
                if self.state not in (State.STOPPING, State.KILLING):  # then the grace period begins with the sweep
                    self.kill_at = time.monotonic() + self.spec.stop.grace
                self.was_told_to_stop = True  # by the guardian, which signals what is left
                return Event.EXITED
            case Vacated():
                self.is_vacated = True
        return None

    def note_no_guardian(self, error: OSError) -> None:
        """No guardian could be forked."""
        reason = f"no guardian could be forked: {error.strerror}"
        self.exit = self._new_exit(GUARDIAN_FAILED, ExitCause.NO_GUARDIAN, reason)

    def note_lost_guardian(self, *, lost_stop: bool) -> None:
        """The guardian has ended before its tree was empty. `lost_stop` says that it had not read that it was to stop
        the tree: nothing of that has got the stop signal."""
        if lost_stop:
            self.was_told_to_stop = False
        lost = self.exit or self._new_exit(
            GUARDIAN_FAILED, ExitCause.GUARDIAN_LOST, "", was_asked=self.stop_origin is not StopOrigin.NONE
        )
        self.exit = replace(lost, status=GUARDIAN_FAILED, cause=ExitCause.GUARDIAN_LOST, reason="lost its guardian")

    def note_fault(self, reason: str, *, restarts: bool) -> bool:
        """It fails a probe, or cannot do its work. Return whether it has to be stopped for that. With `restarts` it is
        restarted within the limits of its policy; otherwise the whole policy decides, as after an exit of its own."""
        if self.state not in _STARTED:
            return False
        self._fault = Fault(ExitCause.UNHEALTHY, reason)
        self.stop_origin = StopOrigin.REPLACE if restarts else StopOrigin.NONE
        return True

    def _new_exit(self, status: int, cause: ExitCause, reason: str, *, was_asked: bool = False) -> Exit:
        lasted = time.monotonic() - self.run.started if self.run.pid else 0.0
        return Exit(self.run.number, status, cause, reason, lasted, was_asked)

    def _exit_of(self, message: LeaderExited, is_oom_kill: bool) -> Exit:
        cause = ExitCause.OOM if is_oom_kill else ExitCause.STOPPED if message.asked else ExitCause.OWN
        cause, reason = (self._fault.cause, self._fault.reason) if self._fault is not None else (cause, "")
        found = self._new_exit(message.status, cause, reason, was_asked=message.asked)
        return replace(found, left=message.left, daemons=message.daemons)

    def conclusion(self, log_path: str) -> Conclude | None:
        """Return what lets the guardian run the hooks; None without hooks. `log_path` is empty without a log."""
        hooks, status = self.spec.hooks, self.status or 0
        if not hooks:
            return None
        failed = bool(self.reason) or (self.exited_by_itself and not self.succeeded)
        asked = "" if failed or self.exited_by_itself else "stopped on request: "
        self.kill_at += HOOK_TIMEOUT * (bool(hooks.on_failure and failed) + bool(hooks.after_exit))
        return Conclude(
            failed,
            {
                "ORCHESTRATE_COMPONENT": self.spec.component or self.name,
                "ORCHESTRATE_INSTANCE": self.name,
                "ORCHESTRATE_EXIT_STATUS": str(errors.as_code(status)),
                "ORCHESTRATE_SIGNAL": errors.signal_name(-status) if status < 0 else "",
                "ORCHESTRATE_REASON": asked + self.end_in_words,
                "ORCHESTRATE_RUN_NUMBER": str(self.run.number),
                "ORCHESTRATE_LOG": log_path,
            },
        )

    # What follows a run

    def end_run(self) -> None:
        """The tree of the run is empty: add its exit to `exits`."""
        assert self.exit is not None
        if self.exit.reason and self.stop_origin is not StopOrigin.DOWN and self.exit.status != NOT_FOUND:
            self.exit = replace(self.exit, status=GUARDIAN_FAILED)  # what it exited with on our signal says nothing
        self.exits = (*self.exits, self.exit)[-EXITS_KEPT:]

    def decide_restart(self) -> Event:
        """Decide what follows the run that has ended: ENDED, RETRY or GIVEN_UP."""
        self.repeats = self._repeats()
        decision = self._decide(self.repeats)
        self._failures, self.pause = decision.failures, decision.delay
        return decision.event

    def foresee(self) -> Event:
        """Return what will follow this exit once the tree is empty, as far as it is known now: ENDED, RETRY or
        GIVEN_UP."""
        self.repeats = self._repeats()
        return self._decide(self.repeats).event

    @property
    def is_coming_back(self) -> bool:
        """Whether it has exited by itself and will be restarted."""
        return self.runs and self.status is not None and self.exited_by_itself and self.foresee() is Event.RETRY

    def _decide(self, repeats: Repeats) -> lifecycle.RestartDecision:
        return lifecycle.decide_restart(
            self.spec.restart,
            failed=not self.succeeded,
            stop_origin=self.stop_origin,
            failures=self._failures,
            now=time.monotonic(),
            dice=random.random(),
            repeats=repeats,
        )

    def _repeats(self) -> Repeats:
        """Count equal exits in a row. An exit that a stop, a probe or a guardian caused begins a new count."""
        caused = self.stop_origin is not StopOrigin.NONE or (self.reason and self.status != NOT_FOUND)
        if self._was_ready or not self.spec.restart.same_exits or caused or self.exit is None:
            return Repeats()
        pattern = ExitPattern.of(self.exit.status, self._last_line(self))
        return self._repeats_before.after(pattern, self.exit.lasted)
