"""`orchestrate attach NAME`: this terminal at a component's; without a name, the merged stream again."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from orchestrator.cli import client
from orchestrator.cli.client import RequestRefused
from orchestrator.control.client import NotRunning, open_attachment
from orchestrator.model.control import Reply, Request, Seat, Verb
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.runtime import raw_mode, signals
from orchestrator.runtime.home import Home
from orchestrator.terminal import detach_keys


def run(options: argparse.Namespace) -> int:
    """Attach until the user leaves, or it ends; returns the exit status."""
    home = client.system_of(options)
    if options.name is None:
        return follow(home, options)
    return _sit(home, options)


def follow(home: Home, options: argparse.Namespace) -> int:
    """Follow the merged stream; return the exit status."""
    from orchestrator.cli.commands import logs

    reply, connection, _ = _ask(home, Request(Verb.ATTACH), "the merged stream", options)
    rows = os.get_terminal_size(1).lines if os.isatty(1) else 0
    with connection:
        return logs.follow(Path(reply.rows[0]["logs"]), connection, rows, options)


def _sit(home: Home, options: argparse.Namespace) -> int:
    from orchestrator.cli.attach_session import AttachSession, Detached, Ended, Lost, Signalled

    keys = detach_keys_of(options.detach_keys)
    if not raw_mode.is_at_terminal():
        raise UsageError(
            f"cannot attach to {options.name}: standard input and output are not a terminal",
            "`orchestrate logs -f` follows what it writes",
        )
    seat = Seat(*raw_mode.terminal_size(), read_only=options.read_only, takes_over=options.take_over)
    reply, connection, rest = _ask(home, Request(Verb.ATTACH, (options.name,), seat.encode()), options.name, options)
    name = reply.rows[0]["instance"]
    leave = f"{keys.name} or Ctrl-C leaves" if options.read_only else f"{keys.name} detaches"
    match AttachSession(connection, keys, options.read_only, rest).run(f"attached to {name}; {leave}"):
        case Detached():
            print(f"orchestrate: detached from {name}", file=sys.stderr)
            return 0
        case Ended(status, why):
            print(f"orchestrate: {why}", file=sys.stderr)
            return status
        case Lost():
            raise OrchestrateError(f"lost {name}: the supervisor has gone")
        case Signalled(number):
            signals.die_of(number)
            return 128 + number


def _ask(home: Home, request: Request, what: str, options: argparse.Namespace) -> tuple[Reply, socket.socket, bytes]:
    try:
        reply, connection, rest = open_attachment(home.control_path, request, client.tell_if_stopped)
    except NotRunning:
        raise client.not_running(home, options) from None
    except OSError as error:
        raise OrchestrateError(f"cannot attach to {what}: {error.strerror or error}") from None
    if not reply.ok:
        connection.close()
        raise RequestRefused(reply)
    return reply, connection, rest


def detach_keys_of(wanted: str | None) -> detach_keys.DetachKeys:
    """Return the keys that end an attach. Raises UsageError."""
    try:
        return detach_keys.parse(wanted or detach_keys.DEFAULT)
    except ValueError as error:
        raise UsageError(f"invalid detach keys {wanted!r}: {error}", "write them like ctrl-p,ctrl-q") from None
