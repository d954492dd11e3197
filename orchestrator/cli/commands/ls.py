"""`orchestrate ls`: the systems that this user runs, in any directory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from orchestrator.cli import client, links, settings
from orchestrator.control.client import Conversation, NotRunning
from orchestrator.model.control import MalformedRequest, StatusRequest
from orchestrator.runtime.home import Home
from orchestrator.runtime.system_list import SystemListEntry

if TYPE_CHECKING:
    from orchestrator.model.control import StatusRow

HEADS = ("HOME", "SYSTEM", "STATE", "READY", "PID", "SINCE")
STATUS_TIMEOUT = 1.0  # seconds that one system may take to answer: one that is suspended does not


class SystemRow(TypedDict):
    """A running system. `state`, `ready` and `components` are None if it does not answer."""

    home: str
    title: str
    pid: int
    started: float
    airflow_home: str
    state: str | None
    ready: int | None
    components: int | None


@dataclass(frozen=True, slots=True)
class LsOptions:
    """The options of `ls`."""

    json: bool = False


def run(options: LsOptions) -> int:
    """Print the systems, the oldest first; return the exit status."""
    rows = [_row(entry) for entry in settings.system_list().running()]
    if options.json:
        client.print_json(rows)
    elif rows:
        print(links.linked(client.table(HEADS, [_fields(row) for row in rows])))
    else:
        print("orchestrate: no system is running", file=sys.stderr)
    return 0


def _row(entry: SystemListEntry) -> SystemRow:
    status = _status(entry)
    return {
        "home": entry.home,
        "title": entry.title,
        "pid": entry.pid,
        "started": datetime.fromisoformat(entry.started).timestamp(),
        "airflow_home": entry.airflow_home,
        "state": status["state"] if status is not None else None,
        "ready": status["ready"] if status is not None else None,
        "components": status["components"] if status is not None else None,
    }


def _status(entry: SystemListEntry) -> StatusRow | None:
    """Return the reply of the system; None if it does not answer."""
    try:
        with Conversation(Home(Path(entry.home)).control_path) as conversation:
            (row,) = next(conversation.ask(StatusRequest(), STATUS_TIMEOUT)).rows
            return row
    except (OSError, NotRunning, MalformedRequest, ValueError, StopIteration):
        return None


def _fields(row: SystemRow) -> tuple[str, ...]:
    ready = "" if row["ready"] is None else f"{row['ready']} of {row['components']}"
    home, title = client.printable(row["home"]), client.printable(row["title"])
    return home, title, row["state"] or "no answer", ready, str(row["pid"]), client.clock(row["started"])
