"""`orchestrate history`: the starts of a system: when each began, how long it lasted, how it exited, what changed."""

from __future__ import annotations

import argparse

from orchestrator.cli import client, history_reports, system_lookup
from orchestrator.history import inputs, record
from orchestrator.history.causes import Causes, duration
from orchestrator.history.record import RecordError, RecordKind
from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Home

Row = history_reports.Row
HEADS = ("START", "BEGAN", "LASTED", "READY AFTER", "END", "TITLE")


def run(options: argparse.Namespace) -> int:
    """Print the list, or with --diff what changed."""
    home = client.system_of(options)
    if options.diff is not None:
        return _diff(options, home)
    rows = [_row(home, number) for number in record.numbers(home.history)]
    if not rows:
        history_reports.read(home)  # raises: nothing is recorded
    if options.json:
        client.print_json(tuple(rows))
    else:
        print(client.printable(client.table(HEADS, [_fields(row) for row in rows])))
    return 0


def _row(home: Home, number: int) -> Row:
    try:
        found = record.read(home.history, number)
    except RecordError as error:
        return {"start": number, "began": None, "lasted": None, "ready_after": None, "end": str(error), "status": None,
                "title": None}  # fmt: skip
    first, ready, end = found.first(RecordKind.START), found.first(RecordKind.READY), found.first(RecordKind.END)
    current = history_reports.current(home) if system_lookup.is_running(home) else None
    runs = current is not None and current.number == number
    last = max((event.uptime for event in found.events), default=None)
    title = found.facts.get("title")
    return {
        "start": number,
        "began": first.time if first is not None else None,
        "lasted": None if runs else last,
        "ready_after": ready.uptime if ready is not None else None,
        "end": "running" if runs else history_reports.end_of(found),
        "status": end.status if end is not None else None,
        "title": title if isinstance(title, str) else None,
    }


def _fields(row: Row) -> tuple[str, ...]:
    lasted, ready = ("" if row[key] is None else duration(row[key]) for key in ("lasted", "ready_after"))
    return str(row["start"]), client.clock(row["began"]), lasted, ready, row["end"], row["title"] or ""


def _diff(options: argparse.Namespace, home: Home) -> int:
    found = history_reports.read(home, options.diff)
    good = history_reports.last_good(home, found.number)
    if good is None:
        raise OrchestrateError(
            f"cannot compare start {found.number}: no earlier start became ready", "see `orchestrate history`"
        )
    changes = inputs.differences(good.facts, found.facts)
    if options.json:
        client.print_json(({"start": found.number, "since": good.number, "changes": changes},))
        return 0
    causes = Causes(found, history_reports.words(found))
    state = "" if causes.became_ready() else ", which did not become ready"
    began = good.first(RecordKind.START)
    at = f" ({client.clock(began.time)})" if began is not None else ""
    print(f"start {found.number}{state}, compared with start {good.number}{at}, the last good one:")
    for change in changes or ["nothing recorded has changed"]:
        print(f"    {client.printable(change)}")
    return 0
