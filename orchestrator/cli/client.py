"""What all commands for a running system share: which one is meant, the question, the answer, its exit status."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from orchestrator.cli import location, system_lookup
from orchestrator.control.client import Conversation, NotRunning
from orchestrator.model.control import MalformedRequest, Reply, Request
from orchestrator.model.errors import FAILED_STATUS, NotRunningError, OrchestrateError
from orchestrator.process import procfs
from orchestrator.runtime.home import Home
from orchestrator.terminal import escapes
from orchestrator.terminal.width import padded, width

Row = dict[str, Any]
_TIMES = frozenset(("time", "since", "started", "ready_since", "ended"))


class RequestRefused(OrchestrateError):
    """The supervisor said no; `reply` is what it said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.error, status=reply.status or FAILED_STATUS)
        self.reply = reply


def home_of(options: argparse.Namespace) -> Home:
    """Return the home that `up` with the same options has."""
    return Home(location.home_of(options), options.bundle)


def system_of(options: argparse.Namespace) -> Home:
    """Return the home of the system that a command is for. Raises NotRunningError."""
    return system_lookup.system_of(options, home_of(options))


def not_running(home: Home, options: argparse.Namespace) -> NotRunningError:
    """Return the error of a command that finds no system in this home."""
    return NotRunningError(home.directory, system_lookup.others(), "Airflow" if options.preset else "system")


def converse(options: argparse.Namespace) -> Conversation:
    """Connect to the supervisor of the system that is meant. Raises NotRunningError, OrchestrateError."""
    home = system_of(options)
    try:
        conversation = Conversation(home.control_path)
    except NotRunning:
        raise not_running(home, options) from None
    except OSError as error:
        raise OrchestrateError(f"cannot ask on {home.control_path}: {error.strerror}") from None
    tell_if_stopped(conversation.pid)
    return conversation


def tell_if_stopped(pid: int | None) -> None:
    """Say why no answer comes: the kernel takes the question for a supervisor that was stopped, and he does not."""
    if pid is not None and procfs.is_stopped(pid):
        what = f"orchestrate: the system is suspended (pid {pid}), as after Ctrl-Z, and answers when resumed"
        print(f"{what}; type fg there, or kill -CONT {pid}", file=sys.stderr, flush=True)


def replies(conversation: Conversation, request: Request, limit: float | None = None) -> Iterator[Reply]:
    """Ask, and yield what is answered. Raises Refused where that is a no, TimeoutError after `limit` seconds."""
    try:
        for reply in conversation.ask(request, limit):
            if not reply.ok:
                raise RequestRefused(reply)
            if reply.progress:
                for line in reply.progress.splitlines():
                    print(f"orchestrate: {printable(line)}", file=sys.stderr, flush=True)
            else:
                yield reply
    except (ConnectionError, MalformedRequest) as error:
        raise OrchestrateError(f"cannot get an answer: {error}") from None


def ask(options: argparse.Namespace, request: Request, limit: float | None = None) -> Reply:
    """Ask for one reply."""
    with converse(options) as conversation:
        return next(iter(list(replies(conversation, request, limit))))


def print_json(rows: tuple[Row, ...]) -> None:
    """Print one object per line, with times in ISO 8601, as `logs --json` has them."""
    for row in rows:
        print(json.dumps(_with_times(row)), flush=True)


def _with_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: iso_time(each) if key in _TIMES else _with_times(each) for key, each in value.items()}
    return [_with_times(each) for each in value] if isinstance(value, list | tuple) else value


def iso_time(seconds: Any) -> Any:
    """Return UTC in ISO 8601 with microseconds and `Z`, for seconds since the epoch; anything else as it is."""
    if not isinstance(seconds, int | float):
        return seconds
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Columns as wide as what stands in them; an empty field is a dash."""
    shown = [heads, *(tuple(field or "-" for field in line) for line in lines)]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    return "\n".join("  ".join(map(padded, line, widths)).rstrip() for line in shown)


def clock(seconds: float | None) -> str:
    """A time of day as the user's own clock has it, with the date where that is another day."""
    if seconds is None:
        return ""
    time = datetime.fromtimestamp(seconds, timezone.utc).astimezone()
    today = time.date() == datetime.now(timezone.utc).astimezone().date()
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """Text that the terminal can show, whatever the locale, and that cannot steer it: some of it a component wrote."""
    return os.fsencode(escapes.printable_lines(text)).decode(sys.stdout.encoding or "utf-8", "replace")
