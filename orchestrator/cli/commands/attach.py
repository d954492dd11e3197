"""`orchestrate attach NAME`: attaches this terminal to a component; without a name, follows the merged stream."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import client, system_lookup
from orchestrator.cli.client import RequestRefused
from orchestrator.cli.options import LineOptions, LocationOptions
from orchestrator.cli.system_lookup import FoundSystem
from orchestrator.control.client import NotRunning, open_attachment
from orchestrator.model.control import AttachRequest, Reply
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.frames import ClientTerminal
from orchestrator.runtime import raw_mode, signals
from orchestrator.terminal import detach_keys

if TYPE_CHECKING:
    from orchestrator.model.control import AttachRow


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """The options of `attach`; without a name the merged stream is followed."""

    location: LocationOptions
    form: LineOptions
    name: str | None = None
    read_only: bool = False
    take_over: bool = False
    detach_keys: str | None = None


def run(options: AttachOptions) -> int:
    """Attach until the user detaches or the component exits; return the exit status."""
    system = system_lookup.find(options.location)
    if options.name is None:
        return follow(system, options.form)
    return _attach(system, options.name, options)


def follow(system: FoundSystem, form: LineOptions) -> int:
    """Follow the merged stream; return the exit status."""
    from orchestrator.cli.commands import logs

    reply, connection, _ = _ask(system, AttachRequest(), "the merged stream")
    rows = os.get_terminal_size(1).lines if os.isatty(1) else 0
    with connection:
        row = reply.rows[0]
        modes = {name: text.encode("latin-1") for name, text in row.get("full_screen", {}).items()}
        return logs.follow(Path(row["logs"]), connection, rows, form, row.get("begun", 0.0), modes)


def _attach(system: FoundSystem, wanted: str, options: AttachOptions) -> int:
    from orchestrator.cli.attach_session import AttachSession, Detached, Ended, Lost, Signalled

    keys = detach_keys_of(options.detach_keys)
    if not raw_mode.is_at_terminal():
        raise UsageError(
            f"cannot attach to {wanted}: standard input and output are not a terminal",
            "`orchestrate logs -f` follows what it writes",
        )
    terminal = ClientTerminal(*raw_mode.terminal_size(), read_only=options.read_only, takes_over=options.take_over)
    reply, connection, rest = _ask(system, AttachRequest((wanted,), terminal), wanted)
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


def _ask(system: FoundSystem, request: AttachRequest, what: str) -> tuple[Reply[AttachRow], socket.socket, bytes]:
    try:
        reply, connection, rest = open_attachment(system.home.control_path, request, client.tell_if_stopped)
    except NotRunning:
        raise client.not_running(system) from None
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
