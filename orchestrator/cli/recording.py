"""Connects a supervisor to the record of its start (`history.recorder`).

The supervisor knows no record: it reports changes of state to listeners, and the rest to its witness. Here each report
becomes one event, with the event that caused it. Whatever fails here costs the record, never the system.
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
from typing import Any, TypeVar

from orchestrator import __version__
from orchestrator.control import reports
from orchestrator.history import inputs, record, start_times
from orchestrator.history.record import Link, Origin, RecordKind
from orchestrator.history.recorder import SIZE, STARTS, Recorder
from orchestrator.model import errors
from orchestrator.model.control import Request, Verb
from orchestrator.model.lifecycle import RUNNING, State
from orchestrator.model.outcome import Outcome
from orchestrator.process import procfs
from orchestrator.runtime.home import Home
from orchestrator.runtime.signal_fd import Received
from orchestrator.supervisor import announcements
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.observer import Observer, Peer
from orchestrator.supervisor.supervisor import Supervisor, is_given_up

# The others only look: `ps -w` alone would fill a record.
CHANGING = frozenset(
    {Verb.START, Verb.STOP, Verb.RESTART, Verb.SCALE, Verb.KILL, Verb.SIGNAL, Verb.SEND, Verb.DOWN, Verb.ATTACH}
)
WORDS_MAX = 50  # of a command line
WORD_MAX = 200
_STOPPING = (State.STOPPING, State.KILLING)
_SENDER = "the kernel does not report the sender"
_TYPED = {int(signal.SIGINT): "Ctrl-C", int(signal.SIGQUIT): "Ctrl-\\"}

Method = TypeVar("Method", bound=Callable[..., Any])


def _harmless(method: Method) -> Method:
    """Return the method with every error turned into the end of the record."""

    @functools.wraps(method)
    def guarded(self: StartRecording, *arguments: Any, **named: Any) -> Any:
        if self.is_broken:
            return None
        try:
            return method(self, *arguments, **named)
        except Exception as error:  # noqa: BLE001
            # On purpose any: a fault in what writes history must not stop what it is about.
            self.give_up(error)
            return None

    return guarded  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class _Why:
    """Why something happens: the number of the event that caused it, and how it follows."""

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
        self._describer: inputs.Describer | None = None
        self._described = 0
        self._request = self._signal = self._stop = self._signal_number = 0
        self._intents: dict[str, _Why] = {}
        self._stops: dict[str, _Why] = {}
        self._exits: dict[str, int] = {}
        self._signals: dict[str, tuple[int, int]] = {}
        self._last: dict[str, int] = {}
        self.is_broken = False

    def give_up(self, error: Exception) -> None:
        """Record no more, and say so."""
        self.is_broken = True
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
        self._lost(f"cannot record what happens: {reason}")

    def _lost(self, why: str) -> None:
        self._supervisor.tell(f"{why}; `orchestrate why` will know less")

    @_harmless
    def open(self) -> None:
        """Begin the record, with what has been started already. The caller holds the lock on the home."""
        directory = self._home.history
        self._home.make_private(directory)
        self._describer = inputs.Describer(inputs.key_of(directory), self._sources, self._home.directory)
        self._recorder = Recorder(
            directory, self._facts(), self._lost, starts=self._starts, size=self._size, age=self._age()
        )
        for member in self._supervisor.registry.everyone:
            if member.state is not State.DOWN:
                self._change(member, State.DOWN, member.since_wall or None)
        self._supervisor.listen(self.changed)
        self._supervisor.observer = self

    def _age(self) -> float:
        """Return how many seconds ago the first guardian was forked."""
        begun = [member.since for member in self._supervisor.registry.everyone if member.since]
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
        return self._recorder.append(kind, **fields) if self._recorder is not None else 0

    # What a start is

    def _facts(self) -> inputs.Facts:
        assert self._describer is not None
        members = self._supervisor.registry.everyone
        self._described = len(members)
        return {
            **self._describer.describe([replace(m.spec, name=m.name) if m.name != m.key else m.spec for m in members]),
            "steps": [member.name for member in self._supervisor.registry.steps],
            "title": self._supervisor.title,
            "orchestrate": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "uid": os.getuid(),
            "home": str(self._home.directory),
            "host": os.uname().nodename,
            "boot": boot_id(),
            "started_by": _command(tuple(sys.argv)),
            "tty": procfs.terminal_of(os.getpid()),
        }

    def _describe_again(self) -> None:
        """Write the facts again if instances were added: a preset knows its components only after the initial steps."""
        if len(self._supervisor.registry.everyone) > self._described:
            self._append(RecordKind.START, facts={**self._facts(), "format": 1})

    # Changes of state

    @_harmless
    def changed(self, member: Instance, before: State) -> None:
        """Record a change."""
        if self._recorder is not None:
            self._describe_again()
            self._change(member, before)

    def _change(self, member: Instance, before: State, when: float | None = None) -> None:
        more: dict[str, Any] = {}
        if member.state is State.STARTING:
            why = self._why_started(member)
        elif member.state in _STOPPING:
            why = self._stops.setdefault(member.key, self._why_stopped(member))
            if (
                member.exited_by_itself and member.status is not None
            ):  # the rest of its tree may take its whole grace period
                more = self._exit_fields(member, is_own=True)
        elif member.state in RUNNING:
            why = _Why()
        elif before in RUNNING:
            why, more = self._exit(member)
        else:
            why = self._intents.pop(member.key, _Why(self._stop, Link.SYSTEM) if self._stop else _Why())
        number = self._append(
            RecordKind.CHANGE,
            time=when,
            cause=why.cause,
            link=why.link,
            by=why.by,
            reason=why.reason,
            instance=member.name,
            component=member.spec.component or member.name,
            run=member.run_count,
            pid=member.pid,
            phase=member.state.value,
            before=before.value,
            state=member.public_state.value,
            **more,
        )
        self._last[member.key] = number
        if more:
            self._exits[member.key] = number

    def _why_started(self, member: Instance) -> _Why:
        self._signals.pop(member.key, None)
        if intent := self._intents.pop(member.key, None):
            return intent
        if exited := self._exits.get(member.key):
            return _Why(exited, Link.POLICY)
        return _Why()

    def _why_stopped(self, member: Instance) -> _Why:
        if member.reason:
            return _Why(link=Link.PROBE if member.pid else Link.EXIT, reason=member.reason)
        if member.exited_by_itself:
            number, request = self._signals.get(member.key, (0, 0))
            by_request = number and member.status in (-number, 128 + number)
            return _Why(request, Link.REQUEST) if by_request else _Why(link=Link.EXIT)
        if self._stop:
            return _Why(self._stop, Link.SYSTEM)
        return self._intents.get(member.key, _Why())

    def _exit(self, member: Instance) -> tuple[_Why, dict[str, Any]]:
        """Return why a run ended, and what is recorded of its exit."""
        why = self._stops.pop(member.key, None) or self._why_stopped(member)
        is_own = member.exited_by_itself or why.link in (Link.PROBE, Link.EXIT)
        return why, self._exit_fields(member, is_own)

    def _exit_fields(self, member: Instance, is_own: bool) -> dict[str, Any]:
        lines = () if not is_own else tuple(reports.last_lines(self._supervisor.streams.recent(member)))
        return {
            "exit": member.end_as_clause,
            "status": member.status or 0,
            "lasted": 0.0 if member.end_as_clause.startswith("did not start") else member.lasted,
            "is_requested": not is_own,
            "lines": lines,
            "pause": member.pause if member.state is State.BACKOFF else 0.0,
            "gave_up": announcements.why_given_up(member) if is_given_up(member) else "",
        }

    # What is reported beside (supervisor.observer)

    @_harmless
    def requested(self, request: Request, peer: Peer) -> None:
        """Record a request that changes something."""
        if request.verb in CHANGING:
            self._signal_number = (request.verb is Verb.SIGNAL and errors.signal_number(request.argument)) or 0
            secret = request.verb is Verb.SEND  # what is typed may be a password
            self._request = self._append(
                RecordKind.REQUEST,
                verb=request.verb.value,
                names=request.names[:WORDS_MAX],
                argument="" if secret else request.argument[:WORD_MAX],
                origin=_origin(peer, () if secret else None),
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
        """What happens from now on has other causes."""
        self._request = 0

    @_harmless
    def decided(self, verb: Verb, members: Collection[Instance], leaders: Collection[Instance] = ()) -> None:
        """Keep why these instances will change."""
        for member in members:
            if verb is Verb.SIGNAL:
                self._signals[member.key] = self._signal_number, self._request
            elif not leaders:
                self._intents[member.key] = _Why(self._request, Link.REQUEST)
            else:
                self._intents[member.key] = self._following(member, [*leaders, *members])

    def _following(self, member: Instance, group: list[Instance]) -> _Why:
        needs = {need.name for need in member.spec.depends_on if need.restart}
        leader = next((one for one in group if one.key in needs), group[0])
        return _Why(self._request or self._last.get(group[0].key, 0), Link.FOLLOW, leader.name)

    @_harmless
    def renamed(self, member: Instance, before: str) -> None:
        """Record a new name. The facts are written again before the next change."""
        self._append(RecordKind.RENAME, instance=member.name, by=before)
        self._described = 0

    @_harmless
    def signaled(self, received: Received) -> None:
        """Record a signal, and the process that sent it."""
        number, tty = received.number, procfs.terminal_of(os.getpid())
        words = errors.signal_name(number)
        if received.is_of_kernel and number in _TYPED:
            words = f"{words} ({_TYPED[number]} on {tty or 'the terminal'})"
        elif received.is_of_kernel and number == signal.SIGHUP:
            words = f"{words} (the terminal closed)"
        elif not received.pid:
            words = f"{words} ({_SENDER})"
        sender = _origin((received.pid, received.uid), None) if received.pid else None
        self._signal = self._append(RecordKind.SIGNAL, status=number, reason=words, origin=sender)

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
    def probed(self, member: Instance, probe: str, passes: bool, answer: str) -> None:
        """Record that a probe changed."""
        self._append(
            RecordKind.PROBE, instance=member.name, run=member.run_count, probe=probe, passes=passes, reason=answer
        )


def _origin(peer: Peer, command: tuple[str, ...] | None) -> Origin:
    pid, uid = peer
    words = _command(tuple(procfs.arguments_of(pid))) if command is None and pid else command or ()
    return Origin(uid, pid, words, procfs.terminal_of(pid), procfs.tmux_pane_of(pid)) if pid else Origin(uid)


def _command(argv: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word[:WORD_MAX] for word in argv[:WORDS_MAX])


def boot_id() -> str:
    """Return what names this boot of the machine; empty if the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
