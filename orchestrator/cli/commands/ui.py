"""`orchestrate ui`: the full-screen view of a running system."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from orchestrator.cli import client, settings
from orchestrator.cli.commands import attach
from orchestrator.control.client import NotRunning, open_attachment
from orchestrator.model.control import Request, Seat, Verb
from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime import raw_mode, signals
from orchestrator.runtime.home import Home
from orchestrator.terminal.detach_keys import DetachKeys
from orchestrator.ui.layout import COLUMNS_MIN, ROWS_MIN
from orchestrator.ui.outcome import Leave, RequestOutcome

REPORT = {Leave.STREAM: b"u", Leave.STOP: b"s", Leave.BACKGROUND: b"b"}


def run(options: argparse.Namespace) -> int:
    """Show the view until the user leaves it, or the system exits; returns the exit status."""
    home = client.system_of(options)
    here = settings.read(options)
    if why := why_not(here.term):
        print(f"orchestrate: {why}; showing the merged stream", file=sys.stderr, flush=True)
        return attach.follow(home, options)
    keys = attach.detach_keys_of(options.detach_keys)
    report_fd = settings.view_of()
    outcome = _show(home, keys, colors=here.colours, report_fd=report_fd)
    if report_fd >= 0:
        os.write(report_fd, REPORT.get(outcome.leave, b""))
    elif outcome.leave is Leave.ENDED:
        print("orchestrate: the system has exited", file=sys.stderr)
    if outcome.signal:
        signals.die_of(outcome.signal)
    return 0


def why_not(term: str) -> str:
    """Say why this terminal cannot show the view; empty if it can. Raises OrchestrateError if pyte is missing."""
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


def _show(home: Home, keys: DetachKeys, *, colors: bool, report_fd: int) -> RequestOutcome:
    from orchestrator.ui.view import Options, View

    shown = Options(
        control=home.control_path,
        colors=colors,
        attach=lambda name: _attach(home, name, attach.detach_keys_of(keys.text)),
        detach_keys=keys.name,
        owned=report_fd >= 0,
        can_background=report_fd >= 0 and settings.can_background(),
        signals=tuple(signals.that_end_or_stop()),
    )
    try:
        view = View(shown)
    except OSError as error:
        raise OrchestrateError(f"cannot use the terminal: {error.strerror}") from None
    return view.run()


def _attach(home: Home, name: str, keys: DetachKeys) -> str:
    """Attach to a component until the user detaches, or it exits; return what to say about that."""
    from orchestrator.cli.attach_session import AttachSession, Detached, Ended, Lost, Signalled

    seat = Seat(*raw_mode.terminal_size())
    request = Request(Verb.ATTACH, (name,), seat.encode())
    try:
        reply, connection, rest = open_attachment(home.control_path, request, lambda pid: None)
    except (NotRunning, OSError) as error:
        return f"cannot attach to {name}: {error}"
    if not reply.ok:
        connection.close()
        return reply.error
    match AttachSession(connection, keys, False, rest).run(f"attached to {name}; {keys.name} returns to the view"):
        case Detached():
            return f"detached from {name}"
        case Ended(_, why):
            return why
        case Lost():
            return f"lost {name}: the supervisor has exited"
        case Signalled(number):
            signals.die_of(number)
            return ""
