"""The requests to a running system: stop, restart, kill, down, scale, signal, send, wait, status and events.

Each command has its arguments, its options and its function here. The function returns when the supervisor has done
what was requested. Every start of orchestrate imports this file for the parser, so the functions import the client and
their requests when they are called.
"""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli import argument_groups, argument_types
from orchestrator.cli.arguments import Add, Group, Parser
from orchestrator.model.errors import NOT_READY_STATUS, OrchestrateError, UnreachableError, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.options import LocationOptions, RemoteOptions
    from orchestrator.model.control import EndRow, EventRow, Request, RunRow, StatusRow
    from orchestrator.runtime.home import Home


def add_commands(add: Add) -> None:
    """Add the commands to the parser."""
    for name, group, text, arguments in (
        ("stop", Group.CHANGE, "stop components; the system keeps running", _selected),
        ("restart", Group.CHANGE, "stop components and start them again", _selected),
        ("kill", Group.CHANGE, "kill components immediately; the system keeps running", _selected),
        ("down", Group.RUN, "stop the running system and wait until it has exited", argument_groups.report),
        ("scale", Group.CHANGE, "change the number of instances of components", _scale_arguments),
        ("signal", Group.CHANGE, "send a signal to components", _signal_arguments),
        ("send", Group.CHANGE, "type text into a component's terminal", _send_arguments),
        ("wait", Group.CHANGE, "wait until components are ready or have exited", _wait_arguments),
        ("status", Group.LOOK, "print whether the system is running; exit with 3 if not", argument_groups.report),
        ("events", Group.LOOK, "print state changes of components until Ctrl-C", _selected),
    ):
        add(name, text, group=group, arguments=arguments, module=f"remote.{name}")


def _selected(command: Parser) -> None:
    argument_groups.names(command)
    argument_groups.report(command)


def stop(options: RemoteOptions) -> int:
    """Stop components."""
    from orchestrator.model.control import StopRequest

    return change(options, StopRequest(options.names), "stopped")


def restart(options: RemoteOptions) -> int:
    """Stop components and start them again."""
    from orchestrator.model.control import RestartRequest

    return change(options, RestartRequest(options.names), "restarted")


def kill(options: RemoteOptions) -> int:
    """Kill components."""
    from orchestrator.model.control import KillRequest

    return change(options, KillRequest(options.names), "killed", over="was not running")


def change(options: RemoteOptions, request: Request[RunRow], done: str, already: str = "", over: str = "") -> int:
    """Send a request that changes components, and print `done` for each instance, or `already` for one whose run began
    before the request, or `over` for one whose run had ended by then."""
    from orchestrator.cli import client
    from orchestrator.model.control import had_ended

    asked_at = time.time()
    try:
        rows = client.ask(options.location, request).rows
    except client.RequestRefused as error:
        if options.json:
            client.print_json(error.reply.rows)
        raise
    if options.json:
        client.print_json(rows)
        return 0
    for row in rows:
        pid = f" (pid {row['pid']})" if row["pid"] else ""
        is_older = row["pid"] is not None and (row["started"] or asked_at) < asked_at
        text = (already if is_older else over if had_ended(row, asked_at) else "") or done
        print(f"{row['instance']} {text}{pid}")
    return 0


RETRY = 0.1  # seconds between checks if the kernel does not report the exit of a process


def down(options: RemoteOptions) -> int:
    """Stop the system, and wait until its process has exited."""
    from orchestrator.cli import client, system_lookup
    from orchestrator.model.control import DownRequest
    from orchestrator.process.tree import wait_for
    from orchestrator.runtime.loop import Loop

    system = system_lookup.find(options.location)
    pid: int | None
    try:
        with client.converse(system) as conversation:
            pid = conversation.pid
            for _ in client.replies(conversation, DownRequest()):
                pass
    except UnreachableError as error:
        pid = error.pid
        _terminate(system.home, error)
    if pid is not None and sys.platform == "linux":
        wait_for(pid, Loop(), RETRY)
    if options.json:
        client.print_json(({"state": "stopped", "pid": pid},))
    return 0


def _terminate(home: Home, error: UnreachableError) -> None:
    """Stop a system that cannot be asked to stop. Print what is done."""
    from signal import SIGTERM

    from orchestrator.process import procfs, tree
    from orchestrator.runtime.lock import has_open

    start = procfs.start_time(error.pid)
    if not has_open(home.lock_path, error.pid):  # its pid may belong to another process by now
        return
    print(f"orchestrate: {error.message}; sending SIGTERM to it", file=sys.stderr, flush=True)
    tree.send_exact(error.pid, start, SIGTERM)


def _scale_arguments(command: Parser) -> None:
    command.add_argument(
        "formation_words", nargs="+", metavar="NAME=N", help="a component and its number of instances: web=3"
    )
    argument_groups.report(command)


SCALE_HINT = "write orchestrate scale web=2 worker=1"


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """The options of `scale`; `formation_words` are like `web=2`."""

    location: LocationOptions
    formation_words: tuple[str, ...]
    json: bool = False


def scale(options: ScaleOptions) -> int:
    """Change the number of instances, one component after the other."""
    from orchestrator.cli import client
    from orchestrator.config.selection import ALL, parse_formation
    from orchestrator.model.control import ScaleRequest

    formation = parse_formation(",".join(options.formation_words), SCALE_HINT)
    if not formation or ALL in formation:
        raise UsageError("scale needs the components by name", SCALE_HINT)
    for name, count in formation.items():
        reply = client.ask(options.location, ScaleRequest((name,), count))
        if options.json:
            client.print_json(reply.rows)
        else:
            for row in reply.rows:
                print(f"{row['instance']} {'started' if row['pid'] else 'stopped'}")
    return 0


def _signal_arguments(command: Parser) -> None:
    command.add_argument("signal", metavar="SIGNAL", help="a name or number, e.g. HUP")
    command.add_argument("names", nargs="+", metavar="NAME", help="a component, or a pattern like 'web*'")
    argument_groups.report(command)


@dataclass(frozen=True, slots=True)
class SignalOptions:
    """The options of `signal`; the signal is a name or a number."""

    remote: RemoteOptions
    signal: str


def signal(options: SignalOptions) -> int:
    """Send a signal to the process groups of components."""
    from orchestrator.cli import client
    from orchestrator.model.control import SignalRequest

    reply = client.ask(options.remote.location, SignalRequest(options.remote.names, options.signal))
    if options.remote.json:
        client.print_json(reply.rows)
    return 0


def _send_arguments(command: Parser) -> None:
    command.add_argument("name", metavar="NAME", help="a component or instance")
    command.add_argument("text", metavar="TEXT", help=r"the keys; \r is Enter, \x03 Ctrl-C; also \n \t \e \0 \\")
    argument_groups.which_system(command)


@dataclass(frozen=True, slots=True)
class SendOptions:
    """The options of `send`."""

    location: LocationOptions
    name: str
    text: str


def send(options: SendOptions) -> int:
    """Type a text into the terminal of a component."""
    from orchestrator.cli import client
    from orchestrator.model.control import SendRequest

    client.ask(options.location, SendRequest((options.name,), unescape(options.text)))
    return 0


_KEYS = {"r": "\r", "n": "\n", "t": "\t", "e": "\x1b", "\\": "\\", "0": "\0"}
_ESCAPE = r"\\(?:x([0-9a-fA-F]{2})|([rnte0\\]))"


def unescape(text: str) -> str:
    r"""Read \r \n \t \e \0 \\ and \xHH; any other backslash is kept as it is."""
    return re.sub(_ESCAPE, lambda m: chr(int(m[1], 16)) if m[1] else _KEYS[m[2]], text)


def _wait_arguments(command: Parser) -> None:
    _selected(command)
    until = command.add_mutually_exclusive_group()
    until.add_argument(
        "--ready", dest="awaited", action="store_const", const="ready", help="wait until all are ready (default)"
    )
    until.add_argument(
        "--exit",
        dest="awaited",
        action="store_const",
        const="exit",
        help="wait until all have exited; exit with their status",
    )
    command.add_argument(
        "--timeout",
        dest="limit",
        metavar="SECONDS",
        type=argument_types.seconds,
        help="give up after SECONDS and exit with 4",
    )


ANSWER_MIN = 0.5  # seconds to get an answer that is known already: with a limit of 0 the socket would not block at all


class NotYetError(OrchestrateError):
    """The components are not ready, or have not exited, in time."""

    status = NOT_READY_STATUS


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """The options of `wait`: `awaited` is `ready` or `exit`, `limit` a time in seconds."""

    remote: RemoteOptions
    awaited: str = "ready"
    limit: float | None = None


def wait(options: WaitOptions) -> int:
    """Wait until components are ready, or have exited. With --exit the exit status is that of the first one named."""
    from orchestrator.cli import client
    from orchestrator.model.control import Awaited, WaitRequest

    request = WaitRequest(options.remote.names, Awaited(options.awaited))
    try:
        limit = None if options.limit is None else max(options.limit, ANSWER_MIN)
        reply = client.ask(options.remote.location, request, limit)
    except TimeoutError:
        words = ", ".join(options.remote.names) or "the system"
        raise NotYetError(
            f"{words}: no {options.awaited} within {options.limit:g} s", "see `orchestrate why`"
        ) from None
    if options.remote.json:
        client.print_json(reply.rows)
    return reply.status


def status(options: RemoteOptions) -> int:
    """Print in one line whether the system runs; the exit status is 3 if it does not."""
    from orchestrator.cli import client
    from orchestrator.model.control import StatusRequest

    (row,) = client.ask(options.location, StatusRequest()).rows
    if options.json:
        client.print_json((row,))
        return 0
    title = client.printable(row["title"])
    print(f"{row['state']}: {title}, {_count(row)}, pid {row['pid']}, since {client.clock(row['since'])}")
    return 0


def _count(row: StatusRow) -> str:
    if row["step"]:
        return f"initial step {row['step']} is running"
    others = [f"{count} {state}" for state, count in row["states"].items() if state not in ("ready", "running")]
    count = f"{row['ready']} of {row['components']} components ready"
    return f"{count} ({', '.join(others)})" if others else count


def events(options: RemoteOptions) -> int:
    """Print each change of a state as it happens, until Ctrl-C or the exit of the system."""
    from orchestrator.cli import client, system_lookup
    from orchestrator.model.control import EventsRequest

    with client.converse(system_lookup.find(options.location)) as conversation:
        for reply in client.replies(conversation, EventsRequest(options.names)):
            if options.json:
                client.print_json(reply.rows)
            else:
                for row in reply.rows:
                    print(client.printable(f"{client.clock(row['time'])} {_in_words(row)}"), flush=True)
    return 0


def _in_words(row: EventRow | EndRow) -> str:
    if "instance" not in row:
        return f"the system has ended (status {row['status']})"
    pid = f" (pid {row['pid']})" if row["pid"] else ""
    end = f" ({row['last_exit']})" if row["last_exit"] else ""
    return f"{row['instance']} {row['from']} → {row['state']}{pid}{end}"
