"""Answers each request of `model.control` from another terminal, about one supervisor.

A request that takes time is answered once the change has taken effect, or cannot take effect any more: its condition is
checked after every change of an instance's state. Nothing here has a timer.

This file also answers `attach` requests: who may attach, and to what.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.control import reports, waiters
from orchestrator.control.reports import StatusReports
from orchestrator.control.waiters import Look
from orchestrator.control.watchers import Watchers
from orchestrator.model import errors
from orchestrator.model.control import (
    AttachRequest,
    Awaited,
    DownRequest,
    EventsRequest,
    KillRequest,
    PsRequest,
    Reply,
    Request,
    RestartRequest,
    Row,
    ScaleRequest,
    SendRequest,
    SignalRequest,
    StartRequest,
    StatusRequest,
    StopRequest,
    Verb,
    WaitRequest,
    WatchRequest,
    WhyRequest,
    refusal,
)
from orchestrator.model.errors import USAGE_STATUS, ConfigError, OrchestrateError, with_hint
from orchestrator.model.lifecycle import AT_REST, State
from orchestrator.model.messages import Signal
from orchestrator.model.names import listed
from orchestrator.model.outcome import Outcome
from orchestrator.model.status import Status
from orchestrator.supervisor.change_requests import ENDING
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.observer import ListenerOrder, Peer
from orchestrator.supervisor.stop_progress import in_words
from orchestrator.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from orchestrator.model.control import AttachRow, ShownRow, StatusRow

_STOPPING_VERBS = (Verb.DOWN, Verb.STOP, Verb.RESTART, Verb.SCALE)
_DOING = {Verb.START: "starting", Verb.RESTART: "restarting", Verb.STOP: "stopping", Verb.KILL: "killing"}


class AttachRequester(Protocol):
    """A client that gets replies, or gives its connection away."""

    def send(self, reply: Reply[Row]) -> None:
        """Send a reply; the last one ends the conversation."""

    def hand_over(self, reply: Reply[Row]) -> socket.socket | None:
        """Send a reply and give the connection away; return None if the client has disconnected."""


class Requester(AttachRequester, Protocol):
    """A client that gets replies until it disconnects, when `on_close` is called once."""

    on_close: Callable[[], None] | None
    peer: Peer


class RequestHandler:
    """`handle` takes a request; `finish` answers all that still wait when the system has ended."""

    def __init__(self, supervisor: Supervisor, logs: Path | None = None) -> None:
        """`logs` is the directory of the log files; None if no logs are kept."""
        self._supervisor = supervisor
        self._attach_handler = AttachHandler(supervisor, logs)
        self._history = reports.StateTimes()
        self._status_reports = StatusReports(supervisor, self._history)
        self._waiting: dict[Requester, tuple[Request[Row], Look]] = {}
        self._listening: dict[Requester, tuple[str, ...]] = {}
        self._watchers = Watchers(supervisor.loop, self._shown)
        supervisor.streams.on_waiting.append(self._watchers.changed)
        supervisor.listen(self._changed, ListenerOrder.REQUESTS)
        supervisor.stop_reported = self._report_stop

    def handle(self, request: Request[Row], requester: Requester) -> None:
        """Answer now, or once the request's condition holds."""
        observer = self._supervisor.observer
        observer.requested(request, requester.peer)
        self._handle(request, requester)
        observer.handled()

    def _handle(self, request: Request[Row], requester: Requester) -> None:
        if isinstance(request, AttachRequest):
            self._attach_handler.handle(request, requester)
            return
        try:
            instances = self._instances(request)
        except LookupError as error:
            requester.send(refusal(str(error), USAGE_STATUS))
            return
        match request:
            case StatusRequest():
                requester.send(Reply(rows=(self._status_reports.system_row(),)))
            case PsRequest():
                requester.send(Reply(rows=tuple(map(self._status_reports.instance_row, self._with_step(instances)))))
            case WhyRequest():
                requester.send(Reply(rows=tuple(map(self._status_reports.why_row, self._with_step(instances)))))
            case EventsRequest():
                requester.send(Reply(last=False))  # from now on the client misses no event
                self._listening[requester] = request.names
                requester.on_close = lambda: self._forget(requester)
            case WatchRequest():
                requester.on_close = lambda: self._watchers.remove(requester)
                self._watchers.add(requester)
            case WaitRequest():
                self._wait(request, instances, requester)
            case DownRequest():
                self._supervisor.tell("shutdown requested")
                self._keep(requester, request, lambda _: None)
                self._supervisor.stop(Outcome())
            case SignalRequest():
                requester.send(self._signal(request.argument, instances))
            case SendRequest():
                requester.send(self._send(request.argument, request.names, instances))
            case _:
                self._act(request, instances, requester)

    def finish(self, outcome: Outcome) -> None:
        """Answer all waiting requests, because the system has ended."""
        status = outcome.code
        for requester, (request, _) in list(self._waiting.items()):
            requester.send(self._last_word(request, status))
        for requester in list(self._listening):
            requester.send(Reply(rows=({"time": time.time(), "state": Status.STOPPED.value, "status": status},)))

    def _shown(self) -> tuple[StatusRow, list[ShownRow]]:
        """Return the rows of the system and of its instances, as WATCH shows them."""
        instances = self._with_step(list(self._supervisor.registry.instances))
        return self._status_reports.system_row(), [self._status_reports.watched_row(instance) for instance in instances]

    def _last_word(self, request: Request[Row], status: int) -> Reply[Row]:
        match request:
            case DownRequest() if self._supervisor.registry.any_stuck:
                return refusal("something of it cannot be killed; `orchestrate logs orchestrate` names it")
            case DownRequest() | StopRequest() | KillRequest():
                return Reply()
            case WaitRequest(awaited=Awaited.EXIT):
                return Reply(status=status, rows=tuple(map(self._history.row, self._found(request.names))))
            case _:
                return refusal(f"the system ended first (status {status})")

    # The instances that a request names

    def _instances(self, request: Request[Row]) -> list[Instance]:
        """Raises LookupError, with a message, for an unknown name."""
        registry = self._supervisor.registry
        if request.names and not registry.is_filled and (step := registry.steps.running):
            if request.changes and request.verb is not Verb.DOWN:
                raise LookupError(_too_early(step))
            return []
        if request.verb in (Verb.START, Verb.SCALE) and not self._supervisor.is_stopping:
            self._add_left_out(request.names)
        found = {name: registry.named(name) for name in request.names}
        for name, instances in found.items():
            if not instances:
                if removed := self._supervisor.scaling.components(name):
                    if request.verb is Verb.SCALE:
                        continue
                    verb = "were" if removed[1:] else "was"
                    raise LookupError(
                        with_hint(
                            f"{listed(removed)} {verb} scaled to 0 instances", f"run `orchestrate scale {name}=1`"
                        )
                    )
                raise LookupError(self._unknown(name))
        return found[request.names[0]] if len(request.names) == 1 else self._found(request.names)

    def _unknown(self, name: str) -> str:
        instances = self._supervisor.registry.instances
        if name.startswith("+"):
            what, known = f"tag {name[1:]!r}", {tag: None for m in instances for tag in sorted(m.spec.tags)}
        else:
            what, known = f"component {name!r}", {m.name: None for m in instances}
        return with_hint(f"unknown {what}", f"there are: {listed(known) or 'none'}")

    def _add_left_out(self, names: Collection[str]) -> None:
        """Add components that were left out at the start. Raises LookupError if one is wrong."""
        supervisor = self._supervisor
        for name in names:
            if not supervisor.registry.named(name) and not supervisor.scaling.components(name):
                try:
                    supervisor.add((name,))
                except ConfigError as error:
                    raise LookupError(with_hint("; ".join(error.problems), error.hint)) from None
                except OrchestrateError:
                    pass  # no instance has this name

    def _found(self, names: Collection[str]) -> list[Instance]:
        return self._supervisor.registry.all_named(names)

    def _with_step(self, instances: list[Instance]) -> list[Instance]:
        step = self._supervisor.registry.steps.running
        return instances if step is None else [step, *instances]

    # Changes

    def _act(self, request: Request[Row], instances: list[Instance], requester: Requester) -> None:
        supervisor, verb = self._supervisor, request.verb
        if supervisor.is_stopping and verb in (Verb.START, Verb.RESTART, Verb.SCALE):
            requester.send(refusal("the system is being stopped"))
            return
        if not supervisor.registry.is_filled and (step := supervisor.registry.steps.running):
            requester.send(refusal(_too_early(step)))
            return
        if isinstance(request, ScaleRequest):
            self._scale(request, requester)
            return
        if not supervisor.is_stopping:
            supervisor.tell(f"{_DOING[verb]} {listed(m.name for m in instances)}")
        match request:
            case StartRequest():
                look = waiters.started(supervisor.registry, instances, self._history.row)
                supervisor.change_requests.start(instances)
            case RestartRequest():
                look = waiters.started_again(supervisor.registry, instances, self._history.row)
                supervisor.change_requests.restart(instances)
            case KillRequest():
                look = waiters.stopped(instances, self._history.row)
                supervisor.change_requests.kill(instances)
            case _:
                look = waiters.stopped(instances, self._history.row)
                if not supervisor.is_stopping:
                    supervisor.change_requests.stop(instances)
        self._keep(requester, request, look)

    def _scale(self, request: ScaleRequest, requester: Requester) -> None:
        supervisor, count = self._supervisor, request.count
        names = supervisor.scaling.components(request.names[0]) or [request.names[0]]
        wanted, surplus = [], []
        try:
            for name in names:
                more, fewer = supervisor.scale(name, count)
                wanted += more
                surplus += fewer
        except OrchestrateError as error:
            requester.send(refusal(str(error), USAGE_STATUS))
            return
        supervisor.tell(f"scaling {', '.join(names)} to {count}")
        to_start = [m for m in wanted if m.state in ENDING or m.is_leaving]
        look = waiters.both(
            waiters.started(supervisor.registry, to_start, self._history.row),
            waiters.stopped(surplus, self._history.row),
        )
        supervisor.change_requests.start(to_start)
        supervisor.change_requests.stop(surplus)
        self._keep(requester, request, look)

    def _wait(self, request: WaitRequest, instances: list[Instance], requester: Requester) -> None:
        if request.awaited is Awaited.EXIT:
            look = waiters.ended(self._supervisor.registry, instances, self._history.row)
            self._keep(requester, request, look if request.names else lambda _: None)
        else:
            registry = self._supervisor.registry
            self._keep(requester, request, waiters.ready(registry, request.names, self._history.row))

    def _signal(self, name: str, instances: Iterable[Instance]) -> Reply[Row]:
        number = errors.signal_number(name)
        if number is None:
            return refusal(f"{name!r} is not a signal", USAGE_STATUS)
        there = [m for m in instances if m.pid and m.runs]
        if not there:
            names = [m.name for m in instances]
            verb = "are" if names[1:] else "is"
            return refusal(f"cannot send {errors.signal_name(number)}: {listed(names)} {verb} not running")
        self._supervisor.observer.decided(Verb.SIGNAL, there)
        for instance in there:
            instance.send(Signal(number))
        return Reply(rows=tuple(map(self._history.row, there)))

    def _send(self, text: str, names: tuple[str, ...], instances: list[Instance]) -> Reply[Row]:
        if len(instances) != 1 and len(names) == 1:
            instances = self._supervisor.registry.instance(names[0])
        if len(instances) != 1:
            return refusal("cannot send: name one instance", USAGE_STATUS)
        (instance,) = instances
        if not instance.spec.tty:
            return refusal(f"cannot send to {instance.name}: it has no terminal (tty = false)")
        if not instance.pid or not instance.runs:
            return refusal(f"cannot send to {instance.name}: it does not run")
        data = text.encode("utf-8", "surrogateescape")
        taken = self._supervisor.streams.type(instance, data)
        if taken < len(data):
            return refusal(
                f"the terminal of {instance.name} took {taken} of {len(data)} bytes: it does not read its terminal"
            )
        return Reply()

    # Clients that wait

    def _keep(self, requester: Requester, request: Request[Row], look: Look) -> None:
        self._waiting[requester] = request, look
        requester.on_close = lambda: self._forget(requester)
        self._look_again()

    def _forget(self, requester: Requester) -> None:
        self._waiting.pop(requester, None)
        self._listening.pop(requester, None)

    def _look_again(self, changed: Instance | None = None) -> None:
        for requester, (_, look) in list(self._waiting.items()):
            if (reply := look(changed)) is not None:
                self._waiting.pop(requester, None)
                requester.send(reply)

    def _report_stop(self, instances: list[Instance]) -> None:
        """Tell those whose request waits for a stop what it waits for."""
        progress = in_words(instances, self._supervisor.loop.now())
        for requester, (request, _) in list(self._waiting.items()):
            if request.verb in _STOPPING_VERBS:
                requester.send(Reply(progress=progress, last=False))

    def _changed(self, instance: Instance, before: State) -> None:
        row = self._history.changed(instance, before)
        self._watchers.changed()
        for requester, names in list(self._listening.items()):
            if row is None:
                break
            if not names or self._supervisor.registry.is_called(instance, names):
                requester.send(Reply(rows=(row,), last=False))
        self._look_again(instance)


def _too_early(step: Instance) -> str:
    return f"nothing is started before the initial step {step.name} has succeeded; try again"


class AttachHandler:
    """Answers `attach` requests. `logs` is the directory of the log files; None if no logs are kept."""

    def __init__(self, supervisor: Supervisor, logs: Path | None) -> None:
        self._supervisor = supervisor
        self._logs = logs

    def handle(self, request: AttachRequest, requester: AttachRequester) -> None:
        """Attach the client to an instance or, without a name, tell it where the merged stream is read."""
        if request.terminal is None:
            self._show_stream(requester)
            return
        found = self._find(request.names)
        if isinstance(found, Reply):
            requester.send(found)
        elif connection := requester.hand_over(Reply(rows=({"instance": found.name},), last=False)):
            self._supervisor.streams.terminals[found.key].admit(connection, request.terminal)

    def _show_stream(self, requester: AttachRequester) -> None:
        """Reply with the directory of the logs and the time of this start. The connection stays open as long as the
        system runs."""
        if self._logs is None:
            requester.send(refusal("cannot show the merged stream again: no log files are kept (--no-log)"))
        else:
            full_screen = self._supervisor.streams.terminals.full_screen_modes()
            row: AttachRow = {"logs": str(self._logs), "begun": self._supervisor.begun, "full_screen": full_screen}
            requester.send(Reply(rows=(row,), last=False))

    def _find(self, names: tuple[str, ...]) -> Instance | Reply[Row]:
        """Return the instance to attach to, or a refusal with the reason."""
        wanted = names[0] if len(names) == 1 else ""
        instances = self._supervisor.registry.everyone
        found = self._supervisor.registry.instance(wanted)
        if len(found) != 1:
            choice = ", ".join(m.name for m in found or instances)
            return refusal(f"cannot attach to {wanted!r}: choose one of {choice or 'none'}", USAGE_STATUS)
        instance = found[0]
        if not instance.spec.tty:
            return refusal(f"cannot attach to {instance.name}: it has no terminal (tty = false)")
        if instance.state in AT_REST and (instance.run.number or self._supervisor.is_stopping):
            end = instance.end_in_words if instance.run.number else "never started"
            return refusal(f"cannot attach to {instance.name}: it is not running ({end})")
        if not self._supervisor.streams.terminals[instance.key].has_room:
            return refusal(f"cannot attach to {instance.name}: too many are attached already")
        return instance
