"""`orchestrate ui`: the full-screen view of a running system."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli import client, settings, system_lookup
from orchestrator.cli.commands import attach
from orchestrator.cli.options import LineOptions, LocationOptions
from orchestrator.control.client import NotRunning, open_attachment
from orchestrator.model.control import AttachRequest
from orchestrator.model.errors import OrchestrateError
from orchestrator.model.frames import ClientTerminal
from orchestrator.runtime import raw_mode, signals
from orchestrator.runtime.home import Home
from orchestrator.terminal.detach_keys import DetachKeys
from orchestrator.ui.drawing import COLUMNS_MIN, ROWS_MIN
from orchestrator.ui.view_options import Leave, ViewOptions, ViewOutcome

if TYPE_CHECKING:
    from orchestrator.cli.attach_session import AttachSession

ANSWER_TIMEOUT = 2.0  # seconds in which the supervisor must answer before an attach; the view takes no key meanwhile
LOOKS, LOOK_AFTER = 60, 0.05  # times, seconds
NOT_SHOWN = b"n"
REPORT = {Leave.STREAM: b"u", Leave.STOP: b"s", Leave.BACKGROUND: b"b"}


@dataclass(frozen=True, slots=True)
class UiOptions:
    """The options of `ui`; `form` is that of the merged stream, if the terminal cannot show the view."""

    location: LocationOptions
    form: LineOptions
    color: str | None = None
    detach_keys: str | None = None


def run(options: UiOptions) -> int:
    """Show the view until the user leaves it, or the system exits; returns the exit status."""
    report_fd = settings.view_of()
    if report_fd < 0:
        return _run_alone(options)
    leave, number = None, 0
    try:
        here = settings.read(options.color)
        if why := why_not(here.term):
            print(f"orchestrate: {why}; showing the merged stream", file=sys.stderr, flush=True)
        else:
            keys = attach.detach_keys_of(options.detach_keys)
            outcome = _show(system_lookup.find(options.location).home, keys, colors=here.colors, owned=True)
            leave, number = outcome.leave, outcome.signal
    finally:
        _report(report_fd, leave)
    if number:
        signals.die_of(number)
    return 0


def _run_alone(options: UiOptions) -> int:
    system = system_lookup.find(options.location)
    home = system.home
    if not system_lookup.is_running(home):
        raise client.not_running(system)
    here = settings.read(options.color)
    if why := why_not(here.term):
        print(f"orchestrate: {why}; showing the merged stream", file=sys.stderr, flush=True)
        return attach.follow(system, options.form)
    outcome = _show(home, attach.detach_keys_of(options.detach_keys), colors=here.colors, owned=False)
    if outcome.leave is Leave.ENDED:
        print(f"orchestrate: the system has exited{_cause(home)}", file=sys.stderr)
        print("hint: `orchestrate why` explains it", file=sys.stderr)
    if outcome.signal:
        signals.die_of(outcome.signal)
    return 0


def _cause(home: Home) -> str:
    """Return why the system stopped or that the supervisor was killed, from the record; empty if it has no reason."""
    from orchestrator.cli import history_reports
    from orchestrator.history.causes import Causes
    from orchestrator.history.record import RecordKind

    try:
        found = history_reports.read(home)
    except OrchestrateError:
        return ""
    if found.first(RecordKind.END) is None and not (
        system_lookup.is_running(home) or history_reports.unreachable(found)
    ):
        return f": {history_reports.end_of(found)}"
    begin = "the system stopped"
    texts = (step.text for step in Causes(found, history_reports.words(found)).why_stopped())
    why = next((text for text in texts if text.startswith(begin)), "")
    return f": it stopped{client.printable(why.removeprefix(begin))}" if why else ""


def _report(fd: int, leave: Leave | None) -> None:
    """Report to the process that has opened this view how it was left; None if it was not shown."""
    try:
        os.write(fd, NOT_SHOWN if leave is None else REPORT.get(leave, REPORT[Leave.STREAM]))
    except BrokenPipeError:  # it was killed, and cannot restore the terminal
        raw_mode.echo_again(0)
        return
    if leave is Leave.BACKGROUND:
        _continue_in_background(os.getppid())


def _continue_in_background(supervisor: int) -> None:
    """Continue the process that has opened this view once its shell has noticed the stop and taken the terminal. The
    kernel does not report that, so this checks a few times."""
    from orchestrator.process import procfs, tree
    from orchestrator.runtime.loop import Loop

    loop = Loop()
    for _ in range(LOOKS):
        if procfs.is_stopped(supervisor) and os.tcgetpgrp(0) != os.getpgrp():
            break
        loop.call_in(LOOK_AFTER, lambda: None)
        loop.turn()
    tree.send(supervisor, signal.SIGCONT)


def why_not(term: str) -> str:
    """Return why this terminal cannot show the view; empty if it can. Raises OrchestrateError if pyte is missing."""
    if not raw_mode.is_at_terminal():
        return "the view needs a terminal"
    if term in ("", "dumb"):
        return f"the view cannot use a terminal of type {term or 'unknown'!r}"
    rows, columns = raw_mode.terminal_size()
    if columns < COLUMNS_MIN or rows < ROWS_MIN:
        return f"the view needs a terminal of at least {COLUMNS_MIN}x{ROWS_MIN}, and this one has {columns}x{rows}"
    if importlib.util.find_spec("pyte") is None:
        raise OrchestrateError("cannot open the view: pyte is not installed", "run `pip install 'orchestrate[ui]'`")
    return ""


def _show(home: Home, keys: DetachKeys, *, colors: bool, owned: bool) -> ViewOutcome:
    from orchestrator.ui.view import View

    shown = ViewOptions(
        control=home.control_path,
        colors=colors,
        attach=lambda name: _attach(home, name, attach.detach_keys_of(keys.text)),
        why=lambda name: [*settings.own_command(), "why", "--home", str(home.directory), name],
        environment=settings.environment_with_home(""),
        detach_keys=keys.name,
        owned=owned,
        can_background=owned and settings.can_background(),
        signals=tuple(signals.that_end_or_stop()),
    )
    try:
        view = View(shown)
    except OSError as error:
        raise OrchestrateError(f"cannot use the terminal: {error.strerror}") from None
    return view.run()


def _attach(home: Home, name: str, keys: DetachKeys) -> Callable[[], str]:
    """Attach to a component; return a function that runs the session until the user detaches or the component exits,
    and returns a message about that. Raises OrchestrateError, also if the supervisor does not answer soon."""
    from orchestrator.cli.attach_session import AttachSession

    request = AttachRequest((name,), ClientTerminal(*raw_mode.terminal_size()))
    try:
        reply, connection, rest = open_attachment(home.control_path, request, lambda pid: None, ANSWER_TIMEOUT)
    except TimeoutError:
        raise OrchestrateError(f"cannot attach to {name}: the system does not answer") from None
    except NotRunning:
        raise OrchestrateError(f"cannot attach to {name}: the system has exited") from None
    except OSError as error:
        raise OrchestrateError(f"cannot attach to {name}: {error.strerror or error}") from None
    if not reply.ok:
        connection.close()
        raise OrchestrateError(reply.error)
    greeting = f"attached to {name}: it gets all keys, Ctrl-C too; {keys.name} returns to the view"
    return lambda: _run_session(AttachSession(connection, keys, False, rest), greeting, name)


def _run_session(session: AttachSession, greeting: str, name: str) -> str:
    from orchestrator.cli.attach_session import Detached, Ended, Lost, Signalled

    match session.run(greeting):
        case Detached():
            return f"detached from {name}"
        case Ended(_, why):
            return why
        case Lost():
            return f"lost {name}: the supervisor has exited"
        case Signalled(number):
            signals.die_of(number)
            return ""
