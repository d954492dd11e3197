"""`orchestrate ps`: the components of a running system, and what their process trees use."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli import client, system_lookup
from orchestrator.cli.options import RemoteOptions
from orchestrator.cli.system_lookup import FoundSystem
from orchestrator.model.control import PsRequest
from orchestrator.model.errors import NotRunningError
from orchestrator.process.usage import TreeReader, Usage
from orchestrator.runtime.loop import Loop

if TYPE_CHECKING:
    from orchestrator.model.control import InstanceRow, UsageRow

EVERY = 2.0  # seconds between two updates of --watch
HEADS = ("NAME", "STATE", "SINCE", "RESTARTS", "PID", "CPU", "MEMORY", "PORT", "LAST EXIT")
HOME, CLEAR_REST, CLEAR_LINE = "\x1b[H", "\x1b[J", "\x1b[K"


@dataclass(frozen=True, slots=True)
class PsOptions:
    """The options of `ps`."""

    remote: RemoteOptions
    all: bool = False
    watch: bool = False


def run(options: PsOptions) -> int:
    """Print the table; with --watch repeat it until Ctrl-C or the system's exit."""
    before: dict[int, tuple[float, Usage]] = {}
    system = system_lookup.find(options.remote.location)
    _show(options, system, before)
    loop = Loop()
    while options.watch:
        loop.call_in(EVERY, lambda: None)
        loop.turn()
        _show(options, system, before)
    return 0


def _show(options: PsOptions, system: FoundSystem, before: dict[int, tuple[float, Usage]]) -> None:
    names = options.remote.names
    trees = TreeReader()
    found = _all(system, names) if options.all else _running(system, names)
    rows = [_with_usage(row, trees, before) for row in found]
    if options.remote.json:
        client.print_json(rows)
        return
    text = client.printable(client.table(HEADS, [_fields(row) for row in rows]))
    if options.watch and sys.stdout.isatty():
        text = HOME + text.replace("\n", CLEAR_LINE + "\n") + CLEAR_LINE + CLEAR_REST
    print(text, flush=True)


def _running(system: FoundSystem, names: tuple[str, ...]) -> tuple[InstanceRow, ...]:
    return client.ask_system(system, PsRequest(names)).rows


def _all(system: FoundSystem, names: tuple[str, ...]) -> tuple[InstanceRow, ...]:
    """Return the rows of the running system and of instances that only its record has; without a system, those of the
    record."""
    from orchestrator.cli import history_reports
    from orchestrator.history.causes import Causes

    home = system.home
    try:
        record = history_reports.current(home)
        rows, _ = history_reports.ask(system, names, PsRequest)
    except NotRunningError:
        if not history_reports.is_recorded(home):
            raise
        found = history_reports.read(home)
        history_reports.note(home, found)
        return tuple(history_reports.rows(Causes(found, history_reports.words(found)), found, names))
    if record is None:
        return rows
    known = {row["instance"] for row in rows}
    causes = Causes(record, history_reports.words(record))
    older = history_reports.rows(causes, record, (), runs=True)
    named = [row for row in older if not names or causes.is_meant(names, row["instance"])]
    return (*rows, *(row for row in named if row["instance"] not in known))


def _with_usage(row: InstanceRow, trees: TreeReader, before: dict[int, tuple[float, Usage]]) -> UsageRow:
    """Add what the process tree uses. `port` is one of the ports it listens on: the assigned one, if that is one."""
    guardian, port = row["guardian"], row["port"]
    ports = trees.ports_of(guardian) if guardian else []
    if ports and port not in [str(number) for number in ports]:
        port = str(ports[0])
    cpu, memory = _usage(guardian, row["started"], trees, before) if guardian else (None, None)
    added: UsageRow = {**row, "cpu": cpu, "memory": memory, "ports": ports, "assigned_port": row["port"]}
    added["port"] = port
    return added


def _usage(
    guardian: int, started: float | None, trees: TreeReader, before: dict[int, tuple[float, Usage]]
) -> tuple[float, int] | tuple[None, None]:
    """Return processors (since the last sample, or since the start for the first one) and bytes of memory."""
    usage = trees.usage_of(guardian)
    if usage is None:
        return None, None
    now = time.time()
    since, then = before.get(guardian, (started or now, Usage(0.0, 0)))
    before[guardian] = (now, usage)
    return round(max(0.0, usage.cpu - then.cpu) / max(0.01, now - since), 4), usage.memory


def _fields(row: UsageRow) -> tuple[str, ...]:
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


def _state(row: UsageRow) -> str:
    more = ""
    if row["waits_for"]:
        more = f" for {', '.join(row['waits_for'])}"
    elif row["restarts_in"] is not None:
        more = f" in {row['restarts_in']:.0f} s"
    return str(row["state"]) + more + (", waiting for input" if row["waiting"] else "")


def _size(count: int) -> str:
    """Return bytes as 1.5M, where M is a million."""
    return f"{count / 1e9:.1f}G" if count >= 1e9 else f"{count / 1e6:.1f}M"
