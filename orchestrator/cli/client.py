"""Requests to a running system: the connection, the replies, the errors, and how replies are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.cli import system_lookup
from orchestrator.cli.options import LocationOptions
from orchestrator.cli.system_lookup import FoundSystem
from orchestrator.control.client import Conversation, NotRunning
from orchestrator.model.control import MalformedRequest, Reply, Request, RowT
from orchestrator.model.errors import FAILED_STATUS, NotRunningError, OrchestrateError, UnreachableError
from orchestrator.process import procfs
from orchestrator.terminal import escapes
from orchestrator.terminal.width import padded, width

if TYPE_CHECKING:
    from orchestrator.model.control import Row

_TIMES = frozenset(("time", "since", "started", "ready_since", "ended", "began"))


class RequestRefused(OrchestrateError):
    """The supervisor refused the request with `reply`."""

    def __init__(self, reply: Reply[Row]) -> None:
        super().__init__(reply.error, status=reply.status or FAILED_STATUS)
        self.reply = reply


def not_running(system: FoundSystem) -> NotRunningError:
    """Return the error of a command that finds no system in this home, or one that it cannot reach."""
    if pid := system_lookup.unreachable_pid(system.home):
        return UnreachableError(system.home.directory, pid)
    what = "Airflow" if system.options.preset else "system"
    return NotRunningError(system.home.directory, system_lookup.others(), what)


def converse(system: FoundSystem) -> Conversation:
    """Connect to the supervisor of a system. Raises NotRunningError, OrchestrateError."""
    path = system.home.control_path
    try:
        conversation = Conversation(path)
    except NotRunning:
        raise not_running(system) from None
    except OSError as error:
        raise OrchestrateError(f"cannot ask on {path}: {error.strerror}") from None
    tell_if_stopped(conversation.pid)
    return conversation


def tell_if_stopped(pid: int | None) -> None:
    """Print why no reply comes if the supervisor is suspended: the kernel accepts a request that it cannot read."""
    if pid is not None and procfs.is_stopped(pid):
        what = f"orchestrate: the system is suspended (pid {pid}), as after Ctrl-Z, and answers when resumed"
        print(f"{what}; type fg there, or kill -CONT {pid}", file=sys.stderr, flush=True)


def replies(conversation: Conversation, request: Request[RowT], limit: float | None = None) -> Iterator[Reply[RowT]]:
    """Send a request and yield its replies. Raises RequestRefused, and TimeoutError after `limit` seconds."""
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


def ask(options: LocationOptions, request: Request[RowT], limit: float | None = None) -> Reply[RowT]:
    """Ask the system that these options name for one reply. Raises NotRunningError, OrchestrateError."""
    return ask_system(system_lookup.find(options), request, limit)


def ask_system(system: FoundSystem, request: Request[RowT], limit: float | None = None) -> Reply[RowT]:
    """Ask a system for one reply."""
    with converse(system) as conversation:
        return next(iter(list(replies(conversation, request, limit))))


def print_json(rows: Iterable[Row]) -> None:
    """Print one object per line, with times in ISO 8601, as `logs --json` has them."""
    for row in rows:
        print(json.dumps(_with_times(row)), flush=True)


def _with_times(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: iso_time(each) if key in _TIMES else _with_times(each) for key, each in value.items()}
    return [_with_times(each) for each in value] if isinstance(value, list | tuple) else value


def iso_time(seconds: object) -> object:
    """Return UTC in ISO 8601 with microseconds and `Z`, for seconds since the epoch; anything else unchanged."""
    from datetime import datetime, timezone  # imported here, because the view's first frame does not need it

    if not isinstance(seconds, int | float):
        return seconds
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Return the lines in columns as wide as their contents; an empty field is a dash."""
    shown = [heads, *(tuple(field or "-" for field in line) for line in lines)]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    return "\n".join("  ".join(map(padded, line, widths)).rstrip() for line in shown)


def clock(seconds: float | None) -> str:
    """Return a time in the user's time zone, with the date if it is not today; empty for None."""
    from datetime import datetime, timezone

    if seconds is None:
        return ""
    time = datetime.fromtimestamp(seconds, timezone.utc).astimezone()
    today = time.date() == datetime.now(timezone.utc).astimezone().date()
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """Return text that the terminal can show in any locale and that cannot control it, because components wrote it."""
    encoding = sys.stdout.encoding or "utf-8"
    text = escapes.printable_lines(text)
    try:
        data = text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:  # a character that the locale does not have
        data = text.encode("utf-8", "replace").decode("utf-8").encode(encoding, "replace")
    return data.decode(encoding, "replace").encode(encoding, "replace").decode(encoding)
