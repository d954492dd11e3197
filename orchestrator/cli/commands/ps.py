"""`orchestrate ps`: the components of a running system, and what their process trees use."""

from __future__ import annotations

import argparse
import sys
import time

from orchestrator.cli import client
from orchestrator.cli.client import Row
from orchestrator.model.control import Request, Verb
from orchestrator.model.errors import NotRunningError
from orchestrator.process.usage import TreeReader, Usage
from orchestrator.runtime.loop import Loop

EVERY = 2.0  # seconds between two looks of --watch
HEADS = ("NAME", "STATE", "SINCE", "RESTARTS", "PID", "CPU", "MEMORY", "PORT", "LAST EXIT")
HOME, CLEAR_REST, CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"


def run(options: argparse.Namespace) -> int:
    """Print the table; with --watch again and again, until Ctrl-C or the system's end."""
    before: dict[int, tuple[float, Usage]] = {}
    _show(options, before)
    loop = Loop()
    while options.watch:
        loop.call_in(EVERY, lambda: None)
        loop.turn()
        _show(options, before)
    return 0


def _show(options: argparse.Namespace, before: dict[int, tuple[float, Usage]]) -> None:
    rows = _all(options) if options.all else _running(options)
    trees = TreeReader()
    for row in rows:
        _add_usage(row, trees, before)
        _add_ports(row, trees)
    if options.json:
        client.print_json(rows)
        return
    text = client.table(HEADS, [_fields(row) for row in rows])
    if options.watch and sys.stdout.isatty():
        text = HOME + text.replace("\n", CLEAR_LINE + "\n") + CLEAR_LINE + CLEAR_REST
    print(text, flush=True)


def _running(options: argparse.Namespace) -> tuple[Row, ...]:
    return client.ask(options, Request(Verb.PS, tuple(options.names))).rows


def _all(options: argparse.Namespace) -> tuple[Row, ...]:
    """Return the rows of the running system and what its record has besides; without a system those of the record."""
    from orchestrator.cli import history_reports
    from orchestrator.history.causes import Causes

    home = client.system_of(options)
    try:
        rows = _running(options)
    except NotRunningError:
        if not history_reports.is_recorded(home):
            raise
        found = history_reports.read(home)
        history_reports.note(home, found)
        return tuple(history_reports.rows(Causes(found, history_reports.words(found)), found, options.names))
    record = history_reports.current(home)
    if record is None:
        return rows
    known = {row["instance"] for row in rows}
    causes = Causes(record, history_reports.words(record))
    older = history_reports.rows(causes, record, ())
    named = [row for row in older if not options.names or causes.is_meant(options.names, row["instance"])]
    return (*rows, *(row for row in named if row["instance"] not in known))


def _add_usage(row: Row, trees: TreeReader, before: dict[int, tuple[float, Usage]]) -> None:
    """Add `cpu` (of one processor, since the last look or, at the first, since the start) and `memory` in bytes."""
    guardian = row["guardian"]
    usage = trees.usage_of(guardian) if guardian else None
    row["cpu"] = row["memory"] = None
    if usage is None:
        return
    now = time.time()
    since, then = before.get(guardian, (row["started"], Usage(0.0, 0)))
    before[guardian] = (now, usage)
    row["cpu"] = round(max(0.0, usage.cpu - then.cpu) / max(0.01, now - since), 4)
    row["memory"] = usage.memory


def _add_ports(row: Row, trees: TreeReader) -> None:
    """Add `ports`, on which the tree listens. `port` is one of these: the assigned one, if it listens on that."""
    row["ports"] = trees.ports_of(row["guardian"]) if row["guardian"] else []
    row["assigned_port"] = row["port"]
    if row["ports"] and row["port"] not in map(str, row["ports"]):
        row["port"] = str(row["ports"][0])


def _fields(row: Row) -> tuple[str, ...]:
    return (
        row["instance"],
        _state(row),
        client.clock(row["ready_since"] or (row["started"] if row["pid"] else row["ended"])),
        str(row["restarts"]),
        str(row["pid"] or ""),
        "" if row["cpu"] is None else f"{100 * row['cpu']:.1f}%",
        "" if row["memory"] is None else _size(row["memory"]),
        ", ".join(map(str, row["ports"])) or row["port"] or "",
        row["last_exit"] or "",
    )


def _state(row: Row) -> str:
    more = ""
    if row["waits_for"]:
        more = f" for {', '.join(row['waits_for'])}"
    elif row["restarts_in"] is not None:
        more = f" in {row['restarts_in']:.0f} s"
    return str(row["state"]) + more + (", waiting for input" if row["waiting"] else "")


def _size(count: int) -> str:
    """1.5M for bytes, in thousands of thousands."""
    return f"{count / 1e9:.1f}G" if count >= 1e9 else f"{count / 1e6:.1f}M"
