"""`orchestrate why`: the cause of a component's state or last restart, and its chain; also after the system's exit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli import client, history_reports, system_lookup
from orchestrator.cli.options import RemoteOptions
from orchestrator.history.causes import AT_REST, Causes, Chain, Step
from orchestrator.history.record import RecordKind, StartRecord
from orchestrator.model.control import WhyRequest
from orchestrator.model.errors import NotRunningError
from orchestrator.runtime.home import Home

if TYPE_CHECKING:
    from orchestrator.model.control import InstanceRow, WhyRow

FINE = ("running", "ready", "completed", "stopped")
AIRFLOW = ("worker", "scheduler", "webserver", "api-server")
OVER = ("failed", "completed", "stopped")  # the chain contains everything that the supervisor's sentence says


@dataclass(frozen=True, slots=True)
class WhyOptions:
    """The options of `why`; `start` is the number of a start, or negative from the last."""

    remote: RemoteOptions
    start: int | None = None


def run(options: WhyOptions) -> int:
    """Print the causes."""
    system = system_lookup.find(options.remote.location)
    home = system.home
    if options.start is not None:
        _of_the_past(options, home, history_reports.read(home, options.start))
        return 0
    recorded: tuple[str, ...] = ()
    try:
        rows, recorded = history_reports.ask(system, options.remote.names, WhyRequest)
    except NotRunningError:
        if not history_reports.is_recorded(home):
            raise
        found = history_reports.read(home)
        history_reports.note(home, found)
        _of_the_past(options, home, found)
        return 0
    if any(row["component"] in AIRFLOW for row in rows):
        from orchestrator.cli import airflow_faults  # imports the preset, which only systems with Airflow need

        rows = airflow_faults.looked_at(home, rows)
    _of_the_present(options, home, rows, history_reports.current(home), recorded)
    return 0


# While it runs


def _of_the_present(
    options: WhyOptions, home: Home, rows: tuple[WhyRow, ...], found: StartRecord | None, recorded: tuple[str, ...]
) -> None:
    """Print the causes; `recorded` are names of which only the record has instances."""
    causes = Causes(found, history_reports.words(found)) if found is not None else None
    shown = [row for row in rows if options.remote.names or _is_wrong(row, causes)]
    chains = {row["instance"]: _chain(row, causes) + _changes(home, found, causes, row["instance"]) for row in shown}
    stopping = causes.why_stopped() if causes is not None and not options.remote.names else ()
    gone = history_reports.rows(causes, found, recorded, runs=True) if causes and found and recorded else []
    ended = {row["instance"]: causes.why(row["instance"]) for row in gone} if causes else {}
    if options.remote.json:
        client.print_json(
            tuple({**row, "chain": history_reports.chain_as_json(chains[row["instance"]])} for row in shown)
        )
        client.print_json(tuple(_as_json(row, causes, ended[row["instance"]]) for row in gone if causes is not None))
        return
    said: set[str] = set()
    history_reports.print_chain(stopping, said)
    if not shown and not stopping and not ended:
        count = f"all {len(rows)} components are" if len(rows) > 1 else "the only component is"
        print(f"{count} in the desired state; `orchestrate why NAME` explains one")
    for index, row in enumerate(shown):
        if index or stopping:
            print()
        _print(row, chains[row["instance"]], said)
    for index, chain in enumerate(ended.values()):
        if index or shown:
            print()
        history_reports.print_chain(chain, said)


def _is_wrong(row: WhyRow, causes: Causes | None) -> bool:
    """Return whether an instance is not in the desired state, or was restarted without a request."""
    if row["state"] not in FINE or row["waiting"] or row.get("fault"):
        return True
    restarted = row["restarts"] and row["state"] in ("running", "ready")
    return bool(restarted and (causes is None or not causes.is_restart_requested(row["instance"])))


def _chain(row: WhyRow, causes: Causes | None) -> Chain:
    if causes is None or causes.last(row["instance"]) is None:
        chain = causes.why(row["instance"]) if causes is not None and row["state"] == "waiting" else ()
        return chain if any(", which" in step.text for step in chain) else ()
    if row["state"] in ("running", "ready", "starting") and not row["restarts"]:
        return ()
    return causes.why(row["instance"])


def _changes(home: Home, found: StartRecord | None, causes: Causes | None, instance: str) -> Chain:
    return (
        history_reports.changes_since_good(home, found, causes, instance)
        if found is not None and causes is not None
        else ()
    )


def _print(row: WhyRow, chain: Chain, said: set[str]) -> None:
    if not chain or row["state"] not in OVER:
        print(client.printable(row["reason"]))
    history_reports.print_chain(chain, said)
    if not chain and row["restarts"] and row["last_exit"]:
        print(f"last exit: {client.printable(row['last_exit'])} at {client.clock(row['ended'])}")
    lines = tuple(row["lines"])
    if lines and all(step.lines != lines for step in chain):
        print(f"{row['instance']}'s last output:")
        for line in lines:
            print(f"    {client.printable(line)}")


def _as_json(row: InstanceRow, causes: Causes, chain: Chain) -> dict[str, object]:
    """Return the fields of an instance that only a record has, the same ones as of a running instance."""
    exited = causes.last_exit(row["instance"])
    lines = list(exited.lines) if exited is not None else []
    reason = chain[0].text if chain else ""
    return {**row, "reason": reason, "lines": lines, "chain": history_reports.chain_as_json(chain)}


# After the system's exit


def _of_the_past(options: WhyOptions, home: Home, found: StartRecord) -> None:
    is_cut = _is_cut(home, found)
    causes = Causes(found, history_reports.words(found), is_cut=is_cut)
    names = history_reports.chosen(causes, found, options.remote.names)
    system = () if options.remote.names else _system(home, causes, found)
    shown = [name for name in names if options.remote.names or (name != causes.culprit and _failed(causes, name))]
    chains = {name: causes.why(name) + history_reports.changes_since_good(home, found, causes, name) for name in shown}
    if is_cut:
        for name, chain in chains.items():
            if (last := causes.last(name)) is not None and last.phase not in AT_REST:
                lost = f"how {name} ended is not recorded: {history_reports.end_of(found)}"
                chains[name] = (*chain, Step(lost))
    if causes.culprit and system:
        system += history_reports.changes_since_good(home, found, causes, causes.culprit)
    if options.remote.json:
        rows = {row["instance"]: row for row in history_reports.rows(causes, found, shown)} if shown else {}
        head = {
            "instance": None,
            "start": found.number,
            "state": "stopped",
            "chain": history_reports.chain_as_json(system),
        }
        more = [{**_as_json(rows[name], causes, chain), "start": found.number} for name, chain in chains.items()]
        client.print_json((*([head] if system else []), *more))
        return
    said: set[str] = set()
    history_reports.print_chain(system, said)
    for index, chain in enumerate(chains.values()):
        if index or system:
            print()
        history_reports.print_chain(chain, said)


def _system(home: Home, causes: Causes, found: StartRecord) -> Chain:
    if not found.events:
        return (Step(f"nothing is known of start {found.number}: its record is empty or damaged"),)
    chain = causes.why_stopped()
    if pid := history_reports.unreachable(found):
        lost = f"the system is running (pid {pid}), but its control socket was removed, so commands do not reach it"
        return (Step(f"{lost}; `kill {pid}` stops it"), *chain)
    if _is_cut(home, found):
        chain = (Step(f"the system did not exit cleanly: {history_reports.end_of(found)}"), *chain)
    copy = found.first(RecordKind.COPY)
    if copy is not None and not chain:
        return (Step(f"the system was running at {client.clock(copy.time)}, as the bundle was made"),)
    return chain or (Step("the system is running"),)


def _is_cut(home: Home, found: StartRecord) -> bool:
    """Return whether the record has no end, because the supervisor was killed."""
    is_over = found.first(RecordKind.END) or found.first(RecordKind.COPY)
    return not (is_over or _runs(home, found) or history_reports.unreachable(found))


def _runs(home: Home, found: StartRecord) -> bool:
    current = history_reports.current(home) if system_lookup.is_running(home) else None
    return current is not None and current.number == found.number


def _failed(causes: Causes, name: str) -> bool:
    exited, last = causes.last_exit(name), causes.last(name)
    return last is not None and last.state in ("failed", "stuck") and exited is not None and not exited.is_requested
