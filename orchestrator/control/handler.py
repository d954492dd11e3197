"""Answers a second terminal: each request of `model.control`, about one supervisor.

Who asks for something that takes time is answered when it has come to be, or cannot any more: what he waits for is
looked at after every change of a member's state. Nothing here has a timer.

Who may attach, and to what: answers a request of `attach`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Protocol

from orchestrator.control import reports, waiters
from orchestrator.control.reports import StatusReports
from orchestrator.control.waiters import Look
from orchestrator.control.watchers import Watchers
from orchestrator.model import errors
from orchestrator.model.control import MalformedFrame, Reply, Request, Verb, decode_seat, refusal
from orchestrator.model.errors import USAGE_STATUS, ConfigError, OrchestrateError, with_hint
from orchestrator.model.lifecycle import State
from orchestrator.model.messages import Signal
from orchestrator.model.names import listed
from orchestrator.model.outcome import Outcome
from orchestrator.model.status import Status
from orchestrator.supervisor.change_requests import ENDING
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.observer import Peer
from orchestrator.supervisor.registry import AT_REST
from orchestrator.supervisor.stop_progress import in_words
from orchestrator.supervisor.supervisor import Supervisor

_STOPPING_VERBS = (Verb.DOWN, Verb.STOP, Verb.RESTART, Verb.SCALE)
_DOING = {Verb.START: "starting", Verb.RESTART: "restarting", Verb.STOP: "stopping", Verb.KILL: "killing"}
INSTANCES_MAX = 1000  # of one component


class AttachRequester(Protocol):
    """Who asks: is sent replies, or gives its connection away."""

    def send(self, reply: Reply) -> None:
        """Send a reply; the last one ends the conversation."""

    def hand_over(self, reply: Reply) -> socket.socket | None:
        """Send a reply and give the connection away; None where it has gone."""


class Requester(AttachRequester, Protocol):
    """Who asks: takes replies until it goes, which `on_close` tells, once."""

    on_close: Callable[[], None] | None
    peer: Peer


class RequestHandler:
    """`handle` takes a request; `finish` answers all who still wait when the system has ended."""

    def __init__(self, supervisor: Supervisor, logs: Path | None = None) -> None:
        """`logs` is where the log files are, None where none are kept."""
        self._supervisor = supervisor
        self._attach_handler = AttachHandler(supervisor, logs)
        self._history = reports.StateTimes()
        self._status_reports = StatusReports(supervisor, self._history)
        self._waiting: dict[Requester, tuple[Request, Look]] = {}
        self._listening: dict[Requester, tuple[str, ...]] = {}
        self._watchers = Watchers(supervisor.loop, self._shown)
        supervisor.streams.on_waiting.append(self._watchers.changed)
        supervisor.listen(self._changed)
        supervisor.stop_reported = self._report_stop

    def handle(self, request: Request, asker: Requester) -> None:
        """Answer now, or when there is an answer."""
        observer = self._supervisor.observer
        observer.requested(request, asker.peer)
        self._handle(request, asker)
        observer.handled()

    def _handle(self, request: Request, asker: Requester) -> None:
        if request.verb is Verb.ATTACH:
            self._attach_handler.handle(request, asker)
            return
        try:
            members = self._members(request)
        except LookupError as error:
            asker.send(refusal(str(error), USAGE_STATUS))
            return
        match request.verb:
            case Verb.STATUS:
                asker.send(Reply(rows=(self._status_reports.status(),)))
            case Verb.PS:
                asker.send(Reply(rows=tuple(map(self._status_reports.row, self._with_step(members)))))
            case Verb.WHY:
                asker.send(Reply(rows=tuple(map(self._status_reports.why, self._with_step(members)))))
            case Verb.EVENTS:
                asker.send(Reply(last=False))  # from now on nothing is missed
                self._listening[asker] = request.names
                asker.on_close = lambda: self._forget(asker)
            case Verb.WATCH:
                asker.on_close = lambda: self._watchers.remove(asker)
                self._watchers.add(asker)
            case Verb.WAIT:
                self._wait(request, members, asker)
            case Verb.DOWN:
                self._supervisor.tell("shutdown requested")
                self._keep(asker, request, lambda _: None)
                self._supervisor.stop(Outcome())
            case Verb.SIGNAL:
                asker.send(self._signal(request.argument, members))
            case Verb.SEND:
                asker.send(self._send(request.argument, request.names, members))
            case _:
                self._act(request, members, asker)

    def finish(self, outcome: Outcome) -> None:
        """The system has ended: tell it to all who wait."""
        status = outcome.code
        for asker, (request, _) in list(self._waiting.items()):
            asker.send(self._last_word(request, status))
        for asker in list(self._listening):
            asker.send(Reply(rows=({"time": time.time(), "state": Status.STOPPED.value, "status": status},)))

    def _shown(self) -> tuple[reports.Row, list[reports.Row]]:
        """Return the rows of the system and of its instances, as WATCH shows them."""
        members = self._with_step(list(self._supervisor.registry.members))
        return self._status_reports.status(), [self._status_reports.watched(member) for member in members]

    def _last_word(self, request: Request, status: int) -> Reply:
        match request.verb:
            case Verb.DOWN if self._supervisor.registry.any_stuck:
                return refusal("something of it cannot be killed; `orchestrate logs orchestrate` names it")
            case Verb.DOWN | Verb.STOP | Verb.KILL:
                return Reply()
            case Verb.WAIT if request.argument == "exit":
                return Reply(status=status, rows=tuple(map(self._history.row, self._found(request.names))))
            case _:
                return refusal(f"the system ended first (status {status})")

    # Who is meant

    def _members(self, request: Request) -> list[Instance]:
        """Raises LookupError, with a message, for a name that nobody has."""
        registry = self._supervisor.registry
        if request.names and not registry.is_filled and (step := registry.steps.running):
            if request.verb not in (Verb.PS, Verb.EVENTS, Verb.WAIT, Verb.WHY, Verb.STATUS, Verb.DOWN):
                raise LookupError(_too_early(step))
            return []
        if request.verb in (Verb.START, Verb.SCALE) and not self._supervisor.is_stopping:
            self._add_left_out(request.names)
        for name in request.names:
            if not registry.named(name):
                if self._supervisor.scaling.is_scaled_to_none(name):
                    if request.verb is Verb.SCALE:
                        continue
                    raise LookupError(
                        with_hint(f"{name} was scaled to 0 instances", f"run `orchestrate scale {name}=1`")
                    )
                raise LookupError(self._unknown(name))
        return self._found(request.names)

    def _unknown(self, name: str) -> str:
        members = self._supervisor.registry.members
        if name.startswith("+"):
            what, known = f"tag {name[1:]!r}", {tag: None for m in members for tag in sorted(m.spec.tags)}
        else:
            what, known = f"component {name!r}", {m.name: None for m in members}
        return with_hint(f"unknown {what}", f"there are: {listed(known) or 'none'}")

    def _add_left_out(self, names: Collection[str]) -> None:
        """Add components that were left out at the start. Raises LookupError if one is wrong."""
        supervisor = self._supervisor
        for name in names:
            if not supervisor.registry.named(name) and not supervisor.scaling.is_scaled_to_none(name):
                try:
                    supervisor.add((name,))
                except ConfigError as error:
                    raise LookupError(with_hint("; ".join(error.problems), error.hint)) from None
                except OrchestrateError:
                    pass  # there is none of this name

    def _found(self, names: Collection[str]) -> list[Instance]:
        return self._supervisor.registry.all_named(names)

    def _with_step(self, members: list[Instance]) -> list[Instance]:
        step = self._supervisor.registry.steps.running
        return members if step is None else [step, *members]

    # What is done

    def _act(self, request: Request, members: list[Instance], asker: Requester) -> None:
        supervisor, verb = self._supervisor, request.verb
        if supervisor.is_stopping and verb in (Verb.START, Verb.RESTART, Verb.SCALE):
            asker.send(refusal("the system is being stopped"))
            return
        if not supervisor.registry.is_filled and (step := supervisor.registry.steps.running):
            asker.send(refusal(_too_early(step)))
            return
        if verb is Verb.SCALE:
            self._scale(request, asker)
            return
        if not supervisor.is_stopping:
            supervisor.tell(f"{_DOING[verb]} {listed(m.name for m in members)}")
        match verb:
            case Verb.START:
                look = waiters.started(supervisor.registry, members, self._history.row)
                supervisor.change_requests.start(members)
            case Verb.RESTART:
                look = waiters.started_again(supervisor.registry, members, self._history.row)
                supervisor.change_requests.restart(members)
            case Verb.KILL:
                look = waiters.stopped(members, self._history.row, supervisor.change_requests)
                supervisor.change_requests.kill(members)
            case _:
                look = waiters.stopped(members, self._history.row, supervisor.change_requests)
                if not supervisor.is_stopping:
                    supervisor.change_requests.stop(members)
        self._keep(asker, request, look)

    def _scale(self, request: Request, asker: Requester) -> None:
        supervisor, count = self._supervisor, request.argument
        if len(request.names) != 1 or not count.isdecimal() or int(count) > INSTANCES_MAX:
            asker.send(refusal(f"cannot scale: name a component and a number up to {INSTANCES_MAX}", USAGE_STATUS))
            return
        name = request.names[0]
        names = [name]
        if name.startswith("+"):
            names = list(dict.fromkeys(m.spec.component for m in supervisor.registry.named(name)))
        wanted, surplus = [], []
        try:
            for name in names:
                more, fewer = supervisor.scale(name, int(count))
                wanted += more
                surplus += fewer
        except OrchestrateError as error:
            asker.send(refusal(str(error), USAGE_STATUS))
            return
        supervisor.tell(f"scaling {', '.join(names)} to {count}")
        asleep = [m for m in wanted if m.state in ENDING or supervisor.change_requests.is_leaving(m)]
        look = waiters.both(
            waiters.started(supervisor.registry, asleep, self._history.row),
            waiters.stopped(surplus, self._history.row, supervisor.change_requests),
        )
        supervisor.change_requests.start(asleep)
        supervisor.change_requests.stop(surplus)
        self._keep(asker, request, look)

    def _wait(self, request: Request, members: list[Instance], asker: Requester) -> None:
        if request.argument not in ("ready", "exit"):
            asker.send(refusal(f"cannot wait for {request.argument!r}: ready or exit", USAGE_STATUS))
        elif request.argument == "exit":
            self._keep(asker, request, waiters.ended(members, self._history.row) if request.names else lambda _: None)
        else:
            registry = self._supervisor.registry
            self._keep(asker, request, waiters.ready(registry, request.names, self._history.row))

    def _signal(self, name: str, members: Iterable[Instance]) -> Reply:
        number = errors.signal_number(name)
        if number is None:
            return refusal(f"{name!r} is not a signal", USAGE_STATUS)
        there = [m for m in members if m.pid and m.runs]
        if not there:
            return refusal(f"cannot send {errors.signal_name(number)}: none of these runs")
        self._supervisor.observer.decided(Verb.SIGNAL, there)
        for member in there:
            member.send(Signal(number))
        return Reply(rows=tuple(map(self._history.row, there)))

    def _send(self, text: str, names: tuple[str, ...], members: list[Instance]) -> Reply:
        if len(members) != 1 and len(names) == 1:
            members = self._supervisor.registry.instance(names[0])
        if len(members) != 1:
            return refusal("cannot send: name one instance", USAGE_STATUS)
        (member,) = members
        if not member.spec.tty:
            return refusal(f"cannot send to {member.name}: it has no terminal (tty = false)")
        if not member.pid or not member.runs:
            return refusal(f"cannot send to {member.name}: it does not run")
        data = text.encode("utf-8", "surrogateescape")
        taken = self._supervisor.streams.type(member, data)
        if taken < len(data):
            return refusal(
                f"the terminal of {member.name} took {taken} of {len(data)} bytes: it does not read its terminal"
            )
        return Reply()

    # Who waits

    def _keep(self, asker: Requester, request: Request, look: Look) -> None:
        self._waiting[asker] = request, look
        asker.on_close = lambda: self._forget(asker)
        self._look_again()

    def _forget(self, asker: Requester) -> None:
        self._waiting.pop(asker, None)
        self._listening.pop(asker, None)

    def _look_again(self, changed: Instance | None = None) -> None:
        for asker, (_, look) in list(self._waiting.items()):
            if (reply := look(changed)) is not None:
                self._waiting.pop(asker, None)
                asker.send(reply)

    def _report_stop(self, members: list[Instance]) -> None:
        """Tell those whose request waits for a stop what it waits for."""
        progress = in_words(members, self._supervisor.loop.now())
        for asker, (request, _) in list(self._waiting.items()):
            if request.verb in _STOPPING_VERBS:
                asker.send(Reply(progress=progress, last=False))

    def _changed(self, member: Instance, before: State) -> None:
        row = self._history.changed(member, before)
        self._watchers.changed()
        for asker, names in list(self._listening.items()):
            if row is None:
                break
            if not names or self._supervisor.registry.is_called(member, names):
                asker.send(Reply(rows=(row,), last=False))
        self._look_again(member)


def _too_early(step: Instance) -> str:
    return f"nothing is started before the initial step {step.name} has succeeded; try again"


class AttachHandler:
    """Knows the supervisor, and where the logs are, None where none are kept."""

    def __init__(self, supervisor: Supervisor, logs: Path | None) -> None:
        self._supervisor = supervisor
        self._logs = logs

    def handle(self, request: Request, guest: AttachRequester) -> None:
        """Answer: with a seat at one terminal, or, without a name, with where the merged stream is read."""
        if not request.names:
            self._show_stream(guest)
            return
        try:
            seat = decode_seat(request.argument)
        except MalformedFrame as error:
            guest.send(refusal(str(error), USAGE_STATUS))
            return
        found = self._find(request.names)
        if isinstance(found, Reply):
            guest.send(found)
        elif connection := guest.hand_over(Reply(rows=({"instance": found.name},), last=False)):
            self._supervisor.streams.terminals[found.key].admit(connection, seat)

    def _show_stream(self, guest: AttachRequester) -> None:
        """The connection stays open for as long as there is a stream."""
        if self._logs is None:
            guest.send(refusal("cannot show the merged stream again: no log files are kept (--no-log)"))
        else:
            guest.send(Reply(rows=({"logs": str(self._logs)},), last=False))

    def _find(self, names: tuple[str, ...]) -> Instance | Reply:
        """Return the one member meant, or why there is none to attach to."""
        wanted = names[0] if len(names) == 1 else ""
        members = self._supervisor.registry.everyone
        found = self._supervisor.registry.instance(wanted)
        if len(found) != 1:
            choice = ", ".join(m.name for m in found or members)
            return refusal(f"cannot attach to {wanted!r}: choose one of {choice or 'none'}", USAGE_STATUS)
        member = found[0]
        if not member.spec.tty:
            return refusal(f"cannot attach to {member.name}: it has no terminal (tty = false)")
        if member.state in AT_REST and (member.run_count or self._supervisor.is_stopping):
            end = member.end_in_words if member.run_count else "never started"
            return refusal(f"cannot attach to {member.name}: it is not running ({end})")
        if not self._supervisor.streams.terminals[member.key].has_room:
            return refusal(f"cannot attach to {member.name}: too many are attached already")
        return member
