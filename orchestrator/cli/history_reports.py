"""Answers from the record of a start: for a system that has exited, or for the past of a running one."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import client, links, system_lookup
from orchestrator.history import inputs, record
from orchestrator.history.causes import Causes, Chain, Step
from orchestrator.history.record import RecordedEvent, RecordError, RecordKind, StartRecord
from orchestrator.history.wording import Words
from orchestrator.model.control import PsRequest
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.model.names import is_meant
from orchestrator.runtime.home import Home

if TYPE_CHECKING:
    from orchestrator.cli.system_lookup import FoundSystem
    from orchestrator.model.control import InstanceRow, Request, RowT

CHANGES_MAX = 8


def words(found: StartRecord) -> Words:
    """Return the format of times and users of a record: the names of users are those of the machine that wrote it."""
    is_ours = found.facts.get("host") == os.uname().nodename

    def user(uid: int) -> str:
        try:
            return pwd.getpwuid(uid).pw_name if is_ours else f"uid {uid}"
        except (KeyError, OverflowError):
            return f"uid {uid}"

    return Words(client.clock, user)


def read(home: Home, start: int = -1, option: str = "--start") -> StartRecord:
    """Return the record of a start: its number, or -1 for the last one, -2 for the one before. `option` is
    the one that names it. Raises OrchestrateError."""
    known = record.numbers(home.history)
    if not known:
        if home.bundle:
            raise OrchestrateError(f"cannot read the history in the bundle {home.bundle}: no start is recorded")
        raise OrchestrateError(
            f"cannot read the history of {home.directory}: no start is recorded", "start the system: orchestrate up"
        )
    if start < 0:
        if -start > len(known):
            raise UsageError(f"invalid {option} '{start}': expected -1 to -{len(known)}", "see `orchestrate history`")
        start = known[start]
    elif start not in known:
        raise UsageError(
            f"invalid {option} '{start}': expected {known[0]} to {known[-1]}, or -1 for the last",
            "see `orchestrate history`",
        )
    try:
        return record.read(home.history, start)
    except RecordError as error:
        raise OrchestrateError(str(error), "move the directory away to begin a new history") from None


def current(home: Home) -> StartRecord | None:
    """Return the record of the running start; None if it has none or it cannot be read."""
    holder = home.read_holder()
    try:
        found = read(home)
    except OrchestrateError:
        return None
    return found if holder is not None and found.facts.get("pid") == holder.pid else None


def last_good(home: Home, before: int, component: str = "") -> StartRecord | None:
    """Return the last start before another that became ready, or in which a component did: the last of the same
    definition, or else of any."""
    definitions = _definitions(home, before)
    other: StartRecord | None = None
    for number in reversed([one for one in record.numbers(home.history) if one < before]):
        try:
            found = record.read(home.history, number)
        except RecordError:
            continue
        causes = Causes(found, words(found))
        if causes.was_ready(component) if component else causes.became_ready():
            if found.facts.get("definitions") in (None, definitions) or definitions is None:
                return found
            other = other or found
    return other


def _definitions(home: Home, number: int) -> object:
    """Return the files that define the system of a start; None if its record does not say."""
    try:
        return record.read(home.history, number).facts.get("definitions")
    except RecordError:
        return None


def changes_since_good(home: Home, found: StartRecord, causes: Causes, instance: str) -> Chain:
    """Return what changed since an instance was last ready in an earlier start; nothing if it was ready in this one."""
    last = causes.last(instance)
    if last is None or causes.was_ready(instance) or last.state not in ("failed", "restarting", "starting"):
        return ()
    if last.state == "starting" and last.run < 2:
        return ()
    good = last_good(home, found.number, instance)
    if good is None:
        return ()
    changes = inputs.differences(good.facts_at_start, found.facts_at_start, instance)
    since = f"since the last good start ({good.number})"
    if len(changes) == 1:
        return (Step(f"{since}: {changes[0]}"),)
    shown = tuple(changes[:CHANGES_MAX])
    more = (f"… and {len(changes) - CHANGES_MAX} more: orchestrate history --diff",) if changes[CHANGES_MAX:] else ()
    return (Step(f"{since}:", (*shown, *more)),) if changes else (Step(f"{since}: nothing recorded has changed"),)


def is_recorded(home: Home) -> bool:
    """Return whether there is a record of any start."""
    return bool(record.numbers(home.history))


def chosen(causes: Causes, found: StartRecord, names: Iterable[str]) -> list[str]:
    """Return the instances that are named, as instance, component or pattern; all without a name. Raises UsageError."""
    known = causes.instances
    result: list[str] = []
    for name in names:
        here = [one for one in known if causes.is_meant((name,), one)]
        if not here and not found.events:
            raise OrchestrateError(
                f"cannot find {name} in the record of start {found.number}: it is empty or damaged",
                "see `orchestrate history`",
            )
        if not here:
            if step := causes.fatal_step():
                raise UsageError(
                    f"no component was started in start {found.number}: its initial step {step} failed",
                    f"see `orchestrate why {step}`",
                )
            raise UsageError(
                f"unknown component {name!r} in the record of start {found.number}",
                f"there are: {', '.join(known) or 'none'}",
            )
        result += here
    return list(dict.fromkeys(result)) if names else list(known)


def ask(
    system: FoundSystem, names: tuple[str, ...], request: Callable[[tuple[str, ...]], Request[RowT]]
) -> tuple[tuple[RowT, ...], tuple[str, ...]]:
    """Send the request for these names. Return the rows of the running instances, and the names that only the record
    has. Raises what client.ask_system raises."""
    try:
        return client.ask_system(system, request(names)).rows, ()
    except client.RequestRefused:
        recorded = _only_recorded(system, current(system.home), names)
        if not recorded:
            raise
    live = tuple(name for name in names if name not in recorded)
    return client.ask_system(system, request(live)).rows if live else (), recorded


def _only_recorded(system: FoundSystem, found: StartRecord | None, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that mean no instance of the running system, but one in its record: an initial step, or an
    instance that a scale-down removed."""
    if found is None:
        return ()
    causes = Causes(found, words(found))
    there = [(row["instance"], row["component"]) for row in client.ask_system(system, PsRequest()).rows]
    return tuple(
        name
        for name in names
        if not any(is_meant((name,), one, ()) for one in there)
        and any(causes.is_meant((name,), one) for one in causes.instances)
    )


def print_chain(chain: Chain, said: set[str] | None = None) -> None:
    """Print each sentence on a line, with the output that belongs to it. Stop at a sentence in `said`, which an earlier
    chain has printed."""
    said = set() if said is None else said
    for index, step in enumerate(chain):
        if index and step.text in said:
            break
        said.add(step.text)
        print(links.linked(client.printable(step.text)))
        for line in step.lines:
            print(f"    {client.printable(line)}")


def chain_as_json(chain: Chain) -> list[dict[str, object]]:
    """Return the chain as plain fields."""
    return [{"text": step.text, "lines": list(step.lines), "time": step.time} for step in chain]


def rows(causes: Causes, found: StartRecord, names: Iterable[str], *, runs: bool = False) -> list[InstanceRow]:
    """Return the rows of `ps` for the instances in a record; `runs` says that it is the record of a running system."""
    runs = runs or found.first(RecordKind.COPY) is not None or bool(unreachable(found))
    ended = found.first(RecordKind.END) is not None
    return [_row(causes, name, runs, ended or runs) for name in chosen(causes, found, names)]


def _row(causes: Causes, name: str, runs: bool, ended: bool) -> InstanceRow:
    last, exited = causes.last(name), causes.last_exit(name)
    lost = last is not None and not ended and last.phase not in ("down", "failed")
    return {
        "instance": name,
        "component": causes.component_of(name),
        "state": "stopped" if lost or last is None else last.state if runs and last.state else _state(last),
        "restarts_in": None,
        "pid": None,
        "guardian": None,
        "started": None,
        "ready_since": None,
        "restarts": max(0, causes.runs(name) - 1),
        "port": None,
        "last_exit": "unknown: the supervisor was killed"
        if lost
        else exited.exit.removeprefix("was ")
        if exited
        else None,
        "ended": last.time if last is not None else None,
        "waits_for": [],
        "waiting": None,
    }


def _state(last: RecordedEvent) -> str:
    return "stopped" if last.state in ("waiting", "restarting") else last.state or last.phase


def end_of(found: StartRecord) -> str:
    """Return in words how a start ended that is not running any more."""
    end = found.first(RecordKind.END)
    if end is not None:
        return f"exited {end.reason}" if end.reason else "exited"
    copy = found.first(RecordKind.COPY)
    if copy is not None:
        return f"running at {client.clock(copy.time)}"
    if not found.events:
        return "unknown: its record is empty or damaged"
    if pid := unreachable(found):
        return f"running without its control socket (pid {pid})"
    last = found.events[-1]
    restarted = found.facts.get("host") == os.uname().nodename and found.facts.get("boot") not in (None, "", boot_id())
    what = "the machine stopped" if restarted else "the supervisor was killed"
    return f"{what} after {client.clock(last.time)}"


def unreachable(found: StartRecord) -> int:
    """Return the pid of the supervisor of a start if it runs, though commands do not reach it, because its socket was
    removed; else 0."""
    pid = found.facts.get("pid")
    is_over = found.first(RecordKind.END) or found.first(RecordKind.COPY)
    if is_over or not isinstance(pid, int) or found.facts.get("boot") != boot_id():
        return 0
    return pid if system_lookup.unreachable_pid(Home(Path(str(found.facts.get("home"))))) == pid else 0


def boot_id() -> str:
    """Return the id of this boot of the machine; empty if the kernel has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def note(home: Home, found: StartRecord) -> None:
    """Print that the answer is about the past."""
    began = found.first(RecordKind.START)
    at = f" at {client.clock(began.time)}" if began is not None else ""
    what = f"the record of start {found.number}{at}"
    if home.bundle:
        text = f"this is from {what} in the bundle {home.bundle}"
    elif pid := unreachable(found):
        text = f"the system in {home.directory} does not answer (pid {pid}); this is from {what}"
    else:
        text = f"no system is running in {home.directory}; this is from {what}"
    print(links.linked(client.printable(f"orchestrate: {text}"), sys.stderr), file=sys.stderr, flush=True)
