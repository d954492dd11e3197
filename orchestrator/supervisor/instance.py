"""One member of the system: the instance of a component, over all its incarnations.

It holds where the instance stands in `model.lifecycle`, talks to the guardian of the present incarnation, and does
what the table says. What concerns more than one member (order, the end of the system) is the supervisor's.
"""

from __future__ import annotations

import collections
import random
import time
from typing import Protocol

from orchestrator.model import errors, lifecycle
from orchestrator.model.lifecycle import (
    RUNNING,
    Action,
    Event,
    Exit,
    Repeats,
    State,
    StopOrigin,
    advance,
)
from orchestrator.model.messages import (
    Answer,
    Conclude,
    Down,
    Kill,
    LeaderExited,
    Remark,
    Run,
    Started,
    StartFailed,
    Stop,
    Stuck,
    Up,
    Vacated,
)
from orchestrator.model.spec import HOOK_TIMEOUT, ComponentSpec
from orchestrator.model.status import Status
from orchestrator.process.fork import ForkedProcess
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.guardian_link import GuardianLink

GUARDIAN_FAILED = 1  # the status of an incarnation whose guardian was killed
NOT_FOUND = 127  # as sh(1) has it


class InstanceHost(Protocol):
    """What a member needs of the system around it."""

    loop: Loop

    def fork(self, member: Instance) -> ForkedProcess[Down, Up]:
        """Make a guardian, which is forked before the loop waits again; raises OSError."""

    def attach(self, member: Instance, master_fd: int) -> None:
        """Read the terminal of a new incarnation."""

    def attach_errors(self, member: Instance, error_fd: int) -> None:
        """Read its standard error too: it has pipes instead of a terminal."""

    def detach(self, member: Instance) -> None:
        """Read the last words and close the terminal."""

    def watch(self, member: Instance) -> None:
        """Begin to probe; every probe that holds in the end leads to `Event.PROBED`."""

    def unwatch(self, member: Instance) -> None:
        """End probing."""

    def guard(self, member: Instance) -> None:
        """Begin to ask whether it lives; where it does not, `Member.replace` follows."""

    def unguard(self, member: Instance) -> None:
        """End asking."""

    def answered(self, member: Instance, answer: Answer) -> None:
        """Its guardian has run what `Member.ask` asked for."""

    def remarked(self, member: Instance, text: str) -> None:
        """Its guardian has something to say to the user."""

    def last_line(self, member: Instance) -> str:
        """Return the last line that the run printed which has just ended; empty if it printed none."""

    def is_oom_kill(self, message: LeaderExited) -> bool:
        """Say whether the OOM killer has ended a run."""

    def log_path(self, member: Instance) -> str:
        """Return the path of its log file; empty if it has none."""

    def adopt(self, member: Instance) -> None:
        """The guardian died: empty what it left, then call `member.gone`."""

    def stuck(self, member: Instance, message: Stuck) -> None:
        """Something of the tree cannot be killed."""

    def changed(self, member: Instance, before: State) -> None:
        """The member's state is another one now."""


class Instance:
    """One instance. `status` and `exited_by_itself` tell of its last run: how its leader exited, whether by itself.

    `due` says that it is to be started as soon as what it depends on allows it; `restarts` counts how often it was
    started again. `name` is what users see, and changes with the number of instances (`web`, `web.1`); `key` never
    changes: it names files, and other members refer to it. An instance is `surplus` from the scale-down that removes it
    until it is down; `stop_requested` says that a stop was requested after the last run began.
    """

    def __init__(self, spec: ComponentSpec, host: InstanceHost) -> None:
        self.spec = spec
        self.name = spec.name
        self.state = State.DOWN
        self.pid = 0
        self.session = 0
        self.since = 0.0
        self.since_wall = 0.0
        self.lasted = 0.0
        self.run_count = 0
        self.status: int | None = None
        self.exited_by_itself = False
        self.left: LeaderExited | None = None
        self.is_oom_killed = False
        self.kill_at = 0.0
        self.reason = ""
        self.pause = 0.0
        self.retry_at = 0.0  # monotonic seconds: when its backoff ends
        self.last_exit = ""  # in words, of the last run that has exited
        self.is_stuck = False
        self.was_told_to_stop = False
        self.due_among: set[Instance] | None = None  # kept by the registry: those that are due
        self.silent_among: set[Instance] = set()  # those whose guardian has closed its channel, and not ended yet
        self._due = True
        self.surplus = False
        self.stop_requested = False
        self._events: collections.deque[Event] = collections.deque()
        self.stop_origin = StopOrigin.NONE
        self._vacated = False
        self._failures: tuple[float, ...] = ()
        self._was_ready = False
        self.repeats = Repeats()
        self._repeats_before = Repeats()  # this run
        self._timer: Timer | None = None
        self._guardian_link: GuardianLink | None = None
        self._host = host

    @property
    def key(self) -> str:
        """The name that never changes."""
        return self.spec.name

    @property
    def number(self) -> int:
        """Its number among the instances of its component, from 1; 1 for an initial step."""
        rest = self.key.removeprefix(self.spec.component)
        return int(rest[1:]) if rest and self.spec.component else 1

    @property
    def names(self) -> tuple[str, ...]:
        """All that it can be called by; the first instance of `web` is both `web` and `web.1`."""
        return self.name, self.key, f"{self.spec.component}.{self.number}"

    @property
    def due(self) -> bool:
        """Whether it is to be started as soon as what it depends on allows it."""
        return self._due

    @due.setter
    def due(self, due: bool) -> None:
        """Note it in the list that the registry keeps, too."""
        self._due = due
        if self.due_among is not None:
            (self.due_among.add if due else self.due_among.discard)(self)

    @property
    def runs(self) -> bool:
        """Whether there is, or may be, a process of it that an end has to wait for."""
        return self.state in RUNNING and not self.is_stuck

    @property
    def succeeded(self) -> bool:
        """Whether the last incarnation ended with one of the component's success codes."""
        return self.status is not None and not self.reason and self.status in self.spec.success

    @property
    def asked(self) -> bool:
        """Whether somebody wanted the end that the last incarnation has come to, or is coming to."""
        return self.stop_origin is StopOrigin.DOWN

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.run_count - 1)

    @property
    def guardian_pid(self) -> int:
        """The pid of the present incarnation's guardian; 0 without one."""
        return self._guardian_link.pid if self._guardian_link else 0

    @property
    def end_in_words(self) -> str:
        """How the last incarnation ended."""
        if self.is_oom_killed and not self.reason:
            return "killed by the OOM killer"
        return self.reason or errors.in_words(self.status or 0)

    @property
    def end_as_clause(self) -> str:
        """The same where it follows a subject within a sentence."""
        if self.reason and self.status == NOT_FOUND:
            return f"did not start: {self.reason}"
        return f"was {self.end_in_words}" if self.end_in_words.startswith("killed") else self.end_in_words

    @property
    def public_state(self) -> Status:
        """What users see of its state."""
        if self.is_stuck:
            return Status.STUCK
        match self.state:
            case State.STARTING | State.UP:
                return Status.STARTING
            case State.READY:
                return Status.READY if self.spec.ready else Status.RUNNING
            case State.STOPPING | State.KILLING:
                return Status.STOPPING
            case State.BACKOFF:
                return Status.RESTARTING
        if self.due:
            return Status.WAITING
        if self.asked or not self.run_count:
            return Status.STOPPED
        return Status.COMPLETED if self.succeeded and self.state is State.DOWN else Status.FAILED

    def handle(self, event: Event) -> None:
        """Advance the lifecycle and do what that asks for.

        An event that an action brings about waits until the transition before it is complete.
        """
        self._events.append(event)
        if len(self._events) > 1:
            return
        while self._events:
            before, event = self.state, self._events[0]
            if event in (Event.STOP, Event.KILL):
                self.stop_origin = StopOrigin.DOWN
            self.state, actions = advance(before, event)
            for action in actions:
                self._do(action)
            if self.state is State.READY:
                self._was_ready = True
            if self.state is not before:
                self._host.changed(self, before)
            self._events.popleft()

    def _do(self, action: Action) -> None:
        match action:
            case Action.FORK:
                self._fork()
            case Action.WATCH:
                self._host.watch(self)
            case Action.UNWATCH:
                self._host.unwatch(self)
            case Action.GUARD:
                self._host.guard(self)
            case Action.UNGUARD:
                self._host.unguard(self)
            case Action.SEND_STOP:
                if not self.was_told_to_stop:
                    self.kill_at = time.monotonic() + self.spec.stop.grace
                self.was_told_to_stop = True
                self.send(Stop())
            case Action.SEND_KILL:
                self.send(Kill())
            case Action.ARM:
                self.retry_at = time.monotonic() + self.pause
                self._timer = self._host.loop.call_in(self.pause, lambda: self.handle(Event.DUE))
            case Action.DISARM if self._timer is not None:
                self._timer.cancel()

    def _fork(self) -> None:
        self.status, self.reason, self.exited_by_itself, self.left = None, "", False, None
        self.was_told_to_stop = self.is_oom_killed = False
        self._repeats_before = self.repeats
        self.stop_origin, self._vacated, self.due, self.stop_requested = StopOrigin.NONE, False, False, False
        self.since, self.since_wall = time.monotonic(), time.time()
        self.run_count += 1
        try:
            guardian = self._host.fork(self)
        except OSError as error:
            self._host.loop.call_in(0.0, lambda error=error: self.not_forked(error))  # type: ignore[misc]
            return
        self._guardian_link = GuardianLink(
            guardian, self._host.loop, self._hear, self._on_guardian_ended, lambda: self.silent_among.add(self)
        )

    def not_forked(self, error: OSError) -> None:
        """The kernel refused us a guardian."""
        if self._guardian_link is not None:
            self._guardian_link.close()
        self._guardian_link = None
        self.silent_among.discard(self)
        self.reason = f"no guardian could be forked: {error.strerror}"
        self.status, self.exited_by_itself = GUARDIAN_FAILED, True
        self.handle(Event.EXITED)
        self.gone()

    def send(self, message: Down) -> None:
        """Say something to the guardian, where there is one."""
        if self._guardian_link is not None:
            self._guardian_link.send(message, children=not self.pid)

    def ask(self, command: Run) -> None:
        """Have a command run in the tree; `host.answered` follows, unless the tree ends first."""
        if self._guardian_link is not None:
            self._guardian_link.ask(command)

    def see_guardian(self) -> None:
        """See whether the guardian has ended."""
        if self._guardian_link is not None:
            self._guardian_link.see()

    def end_guardian(self) -> None:
        """The guardian's process has ended."""
        if self._guardian_link is not None:
            self._guardian_link.end()

    def _hear(self, message: Up, fds: tuple[int, ...]) -> None:
        match message:
            case Started(pid):
                self.pid, self.session = pid, message.session
                self._host.attach(self, fds[0])
                for error_fd in fds[1:]:
                    self._host.attach_errors(self, error_fd)
                self.handle(Event.STARTED)
            case StartFailed(reason):
                self.reason, self.status, self.exited_by_itself = reason, NOT_FOUND, True
                self._vacated = not self.spec.hooks
                self.handle(Event.EXITED)
                self._conclude()
            case LeaderExited(status, asked):
                self.status, self.exited_by_itself, self.left = status, not asked, message
                self.is_oom_killed = self._host.is_oom_kill(message)
                if self.state not in (State.STOPPING, State.KILLING):
                    self.kill_at = time.monotonic() + self.spec.stop.grace
                self._conclude()
                self.was_told_to_stop = True  # by the guardian, which signals what is left
                self.lasted = time.monotonic() - self.since
                self.handle(Event.EXITED)
            case Vacated():
                self._vacated = True
            case Stuck():
                self.is_stuck = True
                self._host.stuck(self, message)
            case Answer():
                self._host.answered(self, message)
            case Remark(text):
                self._host.remarked(self, text)

    def _on_guardian_ended(self) -> None:
        """All it said has been heard: see whether it left anything behind."""
        self._guardian_link = None
        self.silent_among.discard(self)
        if self._vacated:
            self.gone()
            return
        if self.status is None:
            self.exited_by_itself = self.stop_origin is StopOrigin.NONE
            self.lasted = time.monotonic() - self.since
        self.status, self.reason = GUARDIAN_FAILED, "lost its guardian"
        self.handle(Event.EXITED)
        self._host.adopt(self)

    def _conclude(self) -> None:
        """Let the guardian run the hooks, if there are any."""
        hooks, status = self.spec.hooks, self.status or 0
        if not hooks:
            return
        failed = bool(self.reason) or (self.exited_by_itself and not self.succeeded)
        asked = "" if failed or self.exited_by_itself else "stopped on request: "
        self.kill_at += HOOK_TIMEOUT * (bool(hooks.on_failure and failed) + bool(hooks.after_exit))
        self.send(
            Conclude(
                failed,
                {
                    "ORCHESTRATE_COMPONENT": self.spec.component or self.name,
                    "ORCHESTRATE_INSTANCE": self.name,
                    "ORCHESTRATE_EXIT_STATUS": str(errors.as_code(status)),
                    "ORCHESTRATE_SIGNAL": errors.signal_name(-status) if status < 0 else "",
                    "ORCHESTRATE_REASON": asked + self.end_in_words,
                    "ORCHESTRATE_RUN_NUMBER": str(self.run_count),
                    "ORCHESTRATE_LOG": self._host.log_path(self),
                },
            )
        )

    def replace(self, reason: str) -> None:
        """It runs and does not live: end it, for another incarnation."""
        self._stop_unhealthy(reason, StopOrigin.REPLACE)

    def fail(self, reason: str) -> None:
        """It runs and does not get ready: end it, as if it had failed by itself."""
        self._stop_unhealthy(reason, StopOrigin.NONE)

    def _stop_unhealthy(self, reason: str, stop_origin: StopOrigin) -> None:
        if self.state in (State.UP, State.READY):
            self.reason, self.exited_by_itself, self.lasted = reason, True, time.monotonic() - self.since
            self.handle(Event.STOP)
            self.stop_origin = stop_origin

    def gone(self) -> None:
        """Nothing of this incarnation is left: decide what follows."""
        if self.reason and self.stop_origin is not StopOrigin.DOWN:
            self.status = self.status if self.status == NOT_FOUND else GUARDIAN_FAILED
        self.is_stuck = False
        self.pid = self.session = 0
        self.last_exit = self.end_in_words
        self._host.detach(self)
        self.repeats = self._repeats()
        verdict = self._decide(self.repeats)
        self._failures, self.pause = verdict.failures, verdict.delay
        self.handle(verdict.event)

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
        return lifecycle.decide(
            self.spec.restart,
            failed=not self.succeeded,
            stop_origin=self.stop_origin,
            failures=self._failures,
            now=time.monotonic(),
            dice=random.random(),
            repeats=repeats,
        )

    def _repeats(self) -> Repeats:
        """Count the exits that are the same; those that a stop, a probe or a guardian caused are none."""
        caused = self.stop_origin is not StopOrigin.NONE or (self.reason and self.status != NOT_FOUND)
        if self._was_ready or not self.spec.restart.same_exits or caused or self.status is None:
            return Repeats()
        return self._repeats_before.after(Exit.of(self.status, self._host.last_line(self)), self.lasted)
