"""`orchestrate history`: the starts of a system: when each began, how long it lasted, how it exited, what changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from orchestrator.cli import client, history_reports, system_lookup
from orchestrator.cli.options import LocationOptions
from orchestrator.history import inputs, record
from orchestrator.history.causes import Causes
from orchestrator.history.record import RecordError, RecordKind, StartRecord
from orchestrator.history.wording import duration
from orchestrator.model.errors import OrchestrateError
from orchestrator.runtime.home import Home

HEADS = ("START", "BEGAN", "LASTED", "READY AFTER", "END", "TITLE")
DEFINITION = "DEFINITION"  # a column, if the starts of a home had several definitions


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """The options of `history`; `diff` is the number of a start, or negative from the last."""

    location: LocationOptions
    diff: int | None = None
    json: bool = False


class HistoryRow(TypedDict):
    """A start. `began` is seconds since the epoch (ISO 8601 in JSON), `lasted` and `ready_after` are seconds."""

    start: int
    began: float | None
    lasted: float | None
    ready_after: float | None
    end: str
    status: int | None
    title: str | None
    home: str | None
    definitions: list[str] | None


def run(options: HistoryOptions) -> int:
    """Print the list, or with --diff what changed."""
    home = system_lookup.find(options.location).home
    if options.diff is not None:
        return _diff(home, options.diff, json=options.json)
    current = history_reports.current(home) if system_lookup.is_running(home) else None
    rows = [_row(home, number, current) for number in record.numbers(home.history)]
    if not rows:
        history_reports.read(home)  # raises if nothing is recorded
    if options.json:
        client.print_json(tuple(rows))
    else:
        print(client.printable(_table(rows)))
    return 0


def _table(rows: list[HistoryRow]) -> str:
    lines = [_fields(row) for row in rows]
    if len({tuple(row["definitions"]) for row in rows if row["definitions"] is not None}) <= 1:
        return client.table(HEADS, lines)
    names = [", ".join(_short(row["home"] or "", path) for path in row["definitions"] or ()) for row in rows]
    return client.table((*HEADS, DEFINITION), [(*line, name) for line, name in zip(lines, names, strict=True)])


def _short(home: str, path: str) -> str:
    return path.removeprefix(f"{home}/")


def _row(home: Home, number: int, current: StartRecord | None) -> HistoryRow:
    """Return the row of a start; `current` is the record of the running system, which is not read again."""
    runs = current is not None and current.number == number
    try:
        found = current if current is not None and runs else record.read_outline(home.history, number)
    except RecordError as error:
        return {"start": number, "began": None, "lasted": None, "ready_after": None, "end": str(error), "status": None,
                "title": None, "definitions": None, "home": None}  # fmt: skip
    first, ready, end = found.first(RecordKind.START), found.first(RecordKind.READY), found.first(RecordKind.END)
    last = max((event.uptime for event in found.events), default=None)
    title, paths, directory = (found.facts.get(key) for key in ("title", "definitions", "home"))
    return {
        "start": number,
        "began": first.time if first is not None else None,
        "lasted": None if runs else last,
        "ready_after": ready.uptime if ready is not None else None,
        "end": "running" if runs else history_reports.end_of(found),
        "status": end.status if end is not None else None,
        "title": title if isinstance(title, str) else None,
        "home": directory if isinstance(directory, str) else None,
        "definitions": [str(path) for path in paths] if isinstance(paths, list) else None,
    }


def _fields(row: HistoryRow) -> tuple[str, ...]:
    lasted, ready = ("" if one is None else duration(one) for one in (row["lasted"], row["ready_after"]))
    return str(row["start"]), client.clock(row["began"]), lasted, ready, row["end"], row["title"] or ""


def _diff(home: Home, start: int, *, json: bool) -> int:
    found = history_reports.read(home, start, "--diff")
    if not found.facts:
        raise OrchestrateError(
            f"cannot compare start {found.number}: its record is empty or damaged", "see `orchestrate history`"
        )
    good = history_reports.last_good(home, found.number)
    if good is None:
        raise OrchestrateError(
            f"cannot compare start {found.number}: no earlier start became ready", "see `orchestrate history`"
        )
    changes = inputs.differences(good.facts_at_start, found.facts_at_start)
    if json:
        client.print_json(({"start": found.number, "compared_with": good.number, "changes": changes},))
        return 0
    causes = Causes(found, history_reports.words(found))
    state = "" if causes.became_ready() else ", which did not become ready"
    began = good.first(RecordKind.START)
    at = f" ({client.clock(began.time)})" if began is not None else ""
    print(f"start {found.number}{state}, compared with start {good.number}{at}, the last good one:")
    for change in changes or ["nothing recorded has changed"]:
        print(f"    {client.printable(change)}")
    return 0
