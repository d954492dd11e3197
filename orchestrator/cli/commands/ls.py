"""`orchestrate ls`: the systems that this user runs, in whichever directory."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.cli import client, settings
from orchestrator.control.client import Conversation, NotRunning
from orchestrator.model.control import MalformedRequest, Request, Verb
from orchestrator.runtime.home import Home
from orchestrator.runtime.system_list import SystemListEntry

HEADS = ("HOME", "SYSTEM", "STATE", "READY", "PID", "SINCE")
STATUS_TIMEOUT = 1.0  # seconds that one system may take to answer: one that is suspended does not


def run(options: argparse.Namespace) -> int:
    """Print them, the oldest first; returns the exit status."""
    rows = [{**asdict(entry), **_status(entry)} for entry in settings.system_list().running()]
    if options.json:
        client.print_json(tuple(rows))
    elif rows:
        print(client.table(HEADS, [_fields(row) for row in rows]))
    else:
        print("orchestrate: no system is running", file=sys.stderr)
    return 0


def _status(entry: SystemListEntry) -> dict[str, Any]:
    try:
        with Conversation(Home(Path(entry.home)).control_path) as conversation:
            (row,) = next(conversation.ask(Request(Verb.STATUS), STATUS_TIMEOUT)).rows
            return {key: row[key] for key in ("state", "ready", "components")}
    except (OSError, NotRunning, MalformedRequest, ValueError, KeyError, StopIteration):
        return {"state": None, "ready": None, "components": None}


def _fields(row: dict[str, Any]) -> tuple[str, ...]:
    ready = "" if row["ready"] is None else f"{row['ready']} of {row['components']}"
    since = client.clock(datetime.fromisoformat(row["started"]).timestamp())
    home, title = client.printable(row["home"]), client.printable(row["title"])
    return home, title, row["state"] or "no answer", ready, str(row["pid"]), since
