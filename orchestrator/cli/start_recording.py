"""Connects a supervisor to the record of its start (`history.recorder`).

The supervisor does not know the record: it reports changes of state to listeners, and the rest to its observer. Here
each report becomes one event, with the event that caused it. A failure here affects the record, never the system.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from orchestrator import __version__
from orchestrator.cli import recorded_text
from orchestrator.control import reports
from orchestrator.history import inputs, record, start_times
from orchestrator.history.record import Link, Origin, RecordKind
from orchestrator.history.recorder import SIZE, STARTS, Recorder
from orchestrator.model import errors
from orchestrator.model.control import Request, Verb
from orchestrator.model.lifecycle import OCCUPIED, RUNNING, State
from orchestrator.model.outcome import Outcome
from orchestrator.process import procfs
from orchestrator.runtime.home import Home
from orchestrator.runtime.signal_fd import Received
from orchestrator.supervisor import announcements
from orchestrator.supervisor.exits import is_given_up
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.observer import ListenerOrder, Observer, Peer
from orchestrator.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from orchestrator.model.control import Row

_STOPPING = (State.EXITED, State.STOPPING, State.KILLING, State.STUCK)
_SENDER = "the kernel does not report the sender"
_TYPED = {int(signal.SIGINT): "Ctrl-C", int(signal.SIGQUIT): "Ctrl-\\"}

Arguments = ParamSpec("Arguments")
Reporting = Callable[Concatenate["StartRecording", Arguments], None]


def _harmless(method: Reporting[Arguments]) -> Reporting[Arguments]:
    """Return the method, which ends the record on any error."""

    @functools.wraps(method)
    def guarded(self: StartRecording, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        if self.is_broken:
            return
        try:
            method(self, *arguments, **named)
        except Exception as error:  # noqa: BLE001
            # Any exception, on purpose: a fault in the recorder must not stop the system that it records.
            self.give_up(error)

    return guarded


@dataclass(frozen=True, slots=True)
class _Why:
    """The cause of an event: the number of the earlier event, and how this one follows from it."""

    cause: int = 0
    link: Link = Link.NONE
    by: str = ""
    reason: str = ""


class StartRecording(Observer):
    """Records one supervisor from `open` to `close`; before and after that it does nothing."""

    def __init__(
        self, supervisor: Supervisor, home: Home, sources: inputs.InputSources, starts: int | None, size: int | None
    ) -> None:
        self._supervisor = supervisor
        self._home = home
        self._sources = sources
        self._starts, self._size = starts or STARTS, size or SIZE
        self._recorder: Recorder | None = None
        registry = supervisor.registry
        self._text = recorded_text.RecordedText(
            lambda: [instance.spec.environment for instance in registry.everyone], lambda: registry.membership
        )
        self._describer: inputs.Describer | None = None
        self._described = 0  # how many instances the last description has
        self._membership = -1  # `Registry.membership` when the facts were last written
        self._request = self._signal = self._stop = self._signal_number = 0
        self._intents: dict[str, _Why] = {}
        self._stops: dict[str, _Why] = {}
        self._exits: dict[str, int] = {}
        self._signals: dict[str, tuple[int, int]] = {}
        self._last: dict[str, int] = {}
        self.is_broken = False

    def give_up(self, error: Exception) -> None:
        """Stop recording, and report it."""
        self.is_broken = True
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        self._lost(f"cannot record what happens: {reason}")

    def _lost(self, why: str) -> None:
        self._supervisor.tell(f"{why}; `orchestrate why` will know less")

    @_harmless
    def open(self) -> None:
        """Begin the record, with the instances that were started already. The caller holds the lock on the home."""
        directory = self._home.history
        self._home.make_private(directory)
        self._describer = inputs.Describer(inputs.key_of(directory), self._sources, self._home.directory)
        self._recorder = Recorder(
            directory, self._facts(), self._lost, starts=self._starts, size=self._size, age=self._age()
        )
        for instance in self._supervisor.registry.everyone:
            if instance.state is not State.DOWN:
                self._change(instance, State.DOWN, instance.run.started_wall or None)
        self._supervisor.listen(self.changed, ListenerOrder.RECORD)
        self._supervisor.observer = self

    def _age(self) -> float:
        """Return how many seconds ago the first guardian was forked."""
        begun = [instance.run.started for instance in self._supervisor.registry.everyone if instance.run.started]
        return max(0.0, time.monotonic() - min(begun)) if begun else 0.0

    @_harmless
    def close(self, outcome: Outcome) -> None:
        """Record how the system exited."""
        if outcome.signal:
            how = f"on {errors.signal_name(outcome.signal)}"
        else:
            how = f"with status {outcome.status}"
        self._append(RecordKind.END, status=outcome.code, reason=how)
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _append(self, kind: RecordKind, **fields: Any) -> int:
        return self._recorder.append(kind, **self._text.masked(fields)) if self._recorder is not None else 0

    # The description of a start

    def _facts(self) -> record.StartFacts:
        assert self._describer is not None
        instances = self._supervisor.registry.everyone
        self._described = len(instances)
        return {
            **self._describer.describe(
                [replace(m.spec, name=m.name) if m.name != m.key else m.spec for m in instances]
            ),
            "steps": [instance.name for instance in self._supervisor.registry.steps],
            "title": self._supervisor.title,
            "orchestrate": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "uid": os.getuid(),
            "home": str(self._home.directory),
            "host": os.uname().nodename,
            "boot": boot_id(),
            "started_by": recorded_text.command(sys.argv),
            "tty": procfs.terminal_of(os.getpid()),
        }

    def _describe_again(self) -> None:
        """Write the facts again if instances were added: a preset knows its components only after the initial steps."""
        self._membership = self._supervisor.registry.membership
        if len(self._supervisor.registry.everyone) > self._described:
            self._append(RecordKind.START, facts={**self._facts(), "format": 1})

    # Changes of state

    @_harmless
    def changed(self, instance: Instance, before: State) -> None:
        """Record a change."""
        if before is State.EXITED and instance.state is State.STOPPING:
            return  # the exit is on record; no visible state has changed
        if self._recorder is not None:
            if self._membership != self._supervisor.registry.membership:
                self._describe_again()
            self._change(instance, before)

    def _change(self, instance: Instance, before: State, when: float | None = None) -> None:
        more: dict[str, Any] = {}
        if instance.state is State.STARTING:
            why = self._why_started(instance)
        elif instance.state in _STOPPING:
            why = self._stops.setdefault(instance.key, self._why_stopped(instance))
            if instance.exited_by_itself:  # the rest of its tree may take its whole grace period
                more = self._exit_fields(instance, is_own=True)
        elif instance.state in RUNNING:
            why = _Why()
        elif before in OCCUPIED:
            why, more = self._exit(instance)
        else:
            why = self._intents.pop(instance.key, _Why(self._stop, Link.SYSTEM) if self._stop else _Why())
        number = self._append(
            RecordKind.CHANGE,
            time=when,
            cause=why.cause,
            link=why.link,
            by=why.by,
            reason=why.reason,
            instance=instance.name,
            component=instance.spec.component or instance.name,
            run=instance.run.number,
            pid=instance.pid,
            phase=instance.state.value,
            before=before.value,
            state=instance.public_state.value,
            **more,
        )
        self._last[instance.key] = number
        if more:
            self._exits[instance.key] = number

    def _why_started(self, instance: Instance) -> _Why:
        self._signals.pop(instance.key, None)
        if intent := self._intents.pop(instance.key, None):
            return intent
        if exited := self._exits.get(instance.key):
            return _Why(exited, Link.POLICY)
        return _Why()

    def _why_stopped(self, instance: Instance) -> _Why:
        if instance.reason:
            return _Why(link=Link.PROBE if instance.pid else Link.EXIT, reason=instance.reason)
        if instance.exited_by_itself:
            number, request = self._signals.get(instance.key, (0, 0))
            by_request = number and instance.status in (-number, 128 + number)
            return _Why(request, Link.REQUEST) if by_request else _Why(link=Link.EXIT)
        if self._stop:
            return _Why(self._stop, Link.SYSTEM)
        return self._intents.get(instance.key, _Why())

    def _exit(self, instance: Instance) -> tuple[_Why, dict[str, Any]]:
        """Return why a run ended, and the recorded facts of its exit."""
        why = self._stops.pop(instance.key, None) or self._why_stopped(instance)
        is_own = instance.exited_by_itself or why.link in (Link.PROBE, Link.EXIT)
        return why, self._exit_fields(instance, is_own)

    def _exit_fields(self, instance: Instance, is_own: bool) -> dict[str, Any]:
        lines = () if not is_own else tuple(reports.last_lines(self._supervisor.streams.recent(instance)))
        return {
            "exit": instance.end_as_clause,
            "status": instance.status or 0,
            "lasted": instance.exit.lasted if instance.exit is not None else 0.0,
            "is_requested": not is_own,
            "lines": lines,
            "pause": instance.pause if instance.state is State.BACKOFF else 0.0,
            "gave_up": announcements.why_given_up(instance) if is_given_up(instance) else "",
        }

    # Other reports (supervisor.observer)

    @_harmless
    def requested(self, request: Request[Row], peer: Peer) -> None:
        """Record a request that changes the system. Others have no effect, and `ps -w` alone would fill a record."""
        if request.changes:
            self._signal_number = (request.verb is Verb.SIGNAL and errors.signal_number(request.argument)) or 0
            self._request = self._append(
                RecordKind.REQUEST,
                verb=request.verb.value,
                names=request.names[: recorded_text.WORDS_MAX],
                argument="" if request.is_secret else request.argument[: recorded_text.WORD_MAX],
                origin=_origin(peer, () if request.is_secret else None),
            )

    @_harmless
    def pressed(self, key: str, verb: Verb, name: str) -> None:
        """Record a request that a key made."""
        self._request = self._append(
            RecordKind.REQUEST,
            verb=verb.value,
            names=(name,),
            reason=f"the key {key} was pressed in the terminal of up",
        )

    @_harmless
    def handled(self) -> None:
        """End the cause: later events have other causes."""
        self._request = 0

    @_harmless
    def decided(self, verb: Verb, instances: Collection[Instance], leaders: Collection[Instance] = ()) -> None:
        """Store why these instances will change."""
        for instance in instances:
            if verb is Verb.SIGNAL:
                self._signals[instance.key] = self._signal_number, self._request
            elif verb is Verb.START and instance.due and instance.key in self._intents:
                pass  # it starts anyway, for an earlier reason
            elif not leaders:
                self._intents[instance.key] = _Why(self._request, Link.REQUEST)
            else:
                self._intents[instance.key] = self._following(instance, [*leaders, *instances])

    def _following(self, instance: Instance, group: list[Instance]) -> _Why:
        needs = {need.name for need in instance.spec.depends_on if need.restart}
        leader = next((one for one in group if one.key in needs), group[0])
        return _Why(self._request or self._last.get(group[0].key, 0), Link.FOLLOW, leader.name)

    @_harmless
    def renamed(self, instance: Instance, before: str) -> None:
        """Record a new name. The facts are written again before the next change."""
        self._append(RecordKind.RENAME, instance=instance.name, by=before)
        self._described, self._membership = 0, -1

    @_harmless
    def signaled(self, received: Received) -> None:
        """Record a signal that stops the system, and the process that sent it."""
        self._signal = self._record_signal(received)

    @_harmless
    def passed_on(self, received: Received, instances: Collection[Instance]) -> None:
        """Record a signal that these instances get too: it may end them."""
        event = self._record_signal(received)
        for instance in instances:
            self._signals[instance.key] = received.number, event

    def _record_signal(self, received: Received) -> int:
        number, tty = received.number, procfs.terminal_of(os.getpid())
        words = errors.signal_name(number)
        if received.is_of_kernel and number in _TYPED:
            words = f"{words} ({_TYPED[number]} on {tty or 'the terminal'})"
        elif received.is_of_kernel and number == signal.SIGHUP:
            words = f"{words} (the terminal closed)"
        elif not received.pid:
            words = f"{words} ({_SENDER})"
        sender = _origin((received.pid, received.uid), None) if received.pid else None
        return self._append(RecordKind.SIGNAL, status=number, reason=words, origin=sender)

    @_harmless
    def stopping(self, culprit: Instance | None, reason: str) -> None:
        """Record why the system stops."""
        if culprit is not None:
            why = _Why(self._last.get(culprit.key, 0), Link.EXIT)
        elif reason:
            why = _Why(0, Link.LIMIT, reason=reason)
        elif self._request:
            why = _Why(self._request, Link.REQUEST)
        elif self._signal:
            why = _Why(self._signal, Link.SIGNAL)
        else:
            why = _Why(0, Link.ALL)
        self._stop = self._append(RecordKind.STOP, cause=why.cause, link=why.link, reason=why.reason)

    @_harmless
    def became_ready(self) -> None:
        """Record that the start succeeded; if it took long, print what it waited for."""
        self._append(RecordKind.READY)
        self._supervisor.loop.call_in(0.0, self._tell_critical_path)

    @_harmless
    def _tell_critical_path(self) -> None:
        if self._recorder is None or self._recorder.uptime < start_times.SLOW:
            return
        times = start_times.of_record(record.read(self._home.history, self._recorder.number))
        if line := start_times.path_in_words(start_times.critical_path(times)):
            self._supervisor.tell(f"{line}; `orchestrate graph --times` prints all times")

    @_harmless
    def probed(self, instance: Instance, probe: str, passes: bool, answer: str) -> None:
        """Record that a probe changed."""
        self._append(
            RecordKind.PROBE, instance=instance.name, run=instance.run.number, probe=probe, passes=passes, reason=answer
        )


def _origin(peer: Peer, command: tuple[str, ...] | None) -> Origin:
    pid, uid = peer
    words = recorded_text.command(procfs.arguments_of(pid)) if command is None and pid else command or ()
    return Origin(uid, pid, words, procfs.terminal_of(pid), procfs.tmux_pane_of(pid)) if pid else Origin(uid)


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
