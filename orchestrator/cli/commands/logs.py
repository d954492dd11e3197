"""`orchestrate logs`: what the components have written, from their log files, with or without a running instance.

The merged stream again, in another terminal: read from the log files for as long as the system runs.

From the files, not from the supervisor: it has nothing to do for that, and they hold every byte, also of a detached
instance, whose own screen is nowhere.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import client, location, settings
from orchestrator.cli.log_view import Follower, Keep, LogPrinter, component_of, print_lines
from orchestrator.config.times import parse_time
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import labels, log_reader, run_starts
from orchestrator.output.log_reader import Line, Logs
from orchestrator.output.log_rows import Rows
from orchestrator.runtime.home import Home
from orchestrator.runtime.inotify import DirectoryWatch
from orchestrator.terminal import escapes
from orchestrator.terminal.painter import OWN_NAME

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


def run(options: argparse.Namespace) -> int:
    """Print the lines asked for, and with --follow those that come, until Ctrl-C."""
    try:
        return _run(options)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OrchestrateError(f"cannot print logs: {where}{error.strerror}") from None


def _run(options: argparse.Namespace) -> int:
    if options.previous and options.follow:
        raise UsageError("--previous cannot be combined with --follow", "the run before the current one has ended")
    directory = directory_of(options)
    since, until = _time(options.since, "--since"), _time(options.until, "--until")
    greps = _grep(options.grep)
    known = [*log_reader.instances(directory), *labels.read(directory)]
    names = _without_tags(options)
    wants = _wants(names, list(dict.fromkeys(known)), may_come=options.follow)
    watch = DirectoryWatch(directory) if options.follow else None
    logs = Logs(directory, wants)
    in_time = _in_time(since, until)
    if options.previous:
        in_time = _in_previous_run(directory, [name for name in logs.readers if name != OWN_NAME], in_time)
    show = LogPrinter(options, directory, [name for name in {*known, *logs.readers} if wants(name)])
    rows, lines = _history(logs, options, since, in_time, greps)
    print_lines(map(show, lines))
    if watch is not None:
        _follow(logs, watch, Follower(logs, rows, show, lambda line: in_time(line) and greps(line)))
    return 0


def _follow(logs: Logs, watch: DirectoryWatch, follower: Follower) -> None:
    try:
        while True:
            follower.look()
            if logs.missed:
                print("orchestrate: some lines were rotated away before they could be read", file=sys.stderr)
                for reader in logs.readers.values():
                    reader.missed = False
            follower.wait(watch)
    finally:
        follower.close()


def directory_of(options: argparse.Namespace) -> Path:
    """Return the directory of the logs that are meant. Raises OrchestrateError."""
    if options.log_dir:
        directory = Path(options.directory or ".", options.log_dir)
    elif options.preset or not (directory := _own_directory(options)).is_dir():
        directory = client.system_of(options).logs
    if not directory.is_dir():
        raise OrchestrateError(f"cannot read logs: no such directory: {directory}", "name the home with --home DIR")
    return directory


def _own_directory(options: argparse.Namespace) -> Path:
    """Return the log directory of the home; of this directory, if the definition is in a parent and logs are here."""
    where = location.locate(options) if not options.home else None
    if where is not None and where.is_inherited and (logs := Home(where.base).logs).is_dir():
        return logs
    return client.home_of(options).logs


def _without_tags(options: argparse.Namespace) -> list[str]:
    """Return the names, with those of the components that have a tag instead of `+TAG`. Raises ConfigError."""
    names = list(options.names)
    if not any(name.startswith("+") for name in names):
        return names
    from orchestrator.cli import sources
    from orchestrator.config import selection

    tags = selection.tagged(sources.read(options, settings.read(options)).definition.components)
    return [
        one for name in names for one in (sorted(selection.matching([name], (), tags)) if name[:1] == "+" else [name])
    ]


def _wants(patterns: list[str], known: list[str], *, may_come: bool) -> Callable[[str], bool]:
    """Return whether an instance is wanted: it, or the component it is an instance of, matches one of the patterns.

    `known` are those that have a log or that were started, and may not have printed anything yet. If `may_come` is set,
    a pattern may also name an instance that its component does not have yet.
    """
    components = {component_of(name) for name in known}

    def matches(instance: str, pattern: str) -> bool:
        component = component_of(instance)
        names = (instance, component) if component != instance else (instance, f"{instance}.1")
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)

    for pattern in patterns:
        if may_come and component_of(pattern) in components:
            continue
        if not any(matches(name, pattern) for name in known):
            raise OrchestrateError(f"cannot find a log of {pattern!r}", f"there are: {', '.join(known) or 'none'}")
    return lambda instance: not patterns or any(matches(instance, pattern) for pattern in patterns)


def _in_time(since: datetime | None, until: datetime | None) -> Keep:
    first, last = _stamp(since), _stamp(until)
    return lambda line: not ((first and line.stamp < first) or (last and line.stamp > last))


def _in_previous_run(directory: Path, instances: list[str], in_time: Keep) -> Keep:
    """Return whether a line was written by the run before the current one, or before the last one."""
    times: dict[str, tuple[bytes, bytes]] = {}
    for instance in instances:
        begun = run_starts.starts(directory, instance)
        if len(begun) > 1:
            times[instance] = begun[-2], begun[-1]
    if not times:
        which = f" of {', '.join(instances)}" if instances else ""
        raise OrchestrateError(f"cannot print the previous run{which}: there was only one run")

    def keep(line: Line) -> bool:
        first, last = times.get(line.instance, (b"", b""))
        return first <= line.stamp < last and in_time(line)

    return keep


def _grep(text: str | None) -> Keep:
    if not text:
        return lambda line: True
    try:
        pattern = re.compile(os.fsencode(text))
    except re.error as error:
        raise UsageError(f"--grep {text!r} is not a valid regular expression: {error}") from None
    return lambda line: bool(pattern.search(escapes.no_escapes(line.text)))


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    time = parse_time(text, datetime.now(timezone.utc))
    if time is None:
        raise UsageError(f"{option} {text!r} is not a time", "write 5m, 1h30m, 14:05 or 2026-01-31T14:05")
    return time


def _stamp(time: datetime | None) -> bytes:
    return time.strftime(STAMP).encode() if time else b""


def _history(
    logs: Logs, options: argparse.Namespace, since: datetime | None, in_time: Keep, greps: Keep
) -> tuple[Rows, Iterable[Line]]:
    """Return the lines there were, as they are shown, and with --follow what of them may still change."""
    count, whole = options.lines, options.follow
    rows = Rows()
    if count is None or (options.previous and count):
        lines = _shown(rows, filter(in_time, logs.history(since.timestamp() if since else 0.0, whole=whole)), whole)
        kept = filter(greps, lines)
        return rows, kept if count is None else deque(kept, count)
    wanted, before = count, -1
    while True:  # lines may be dropped: look further back until there are enough, or no more
        ends = list(logs.last(wanted, whole=whole))
        rows = Rows()
        found = list(filter(greps, _shown(rows, filter(in_time, ends), whole)))
        if len(found) >= count or len(ends) == before:
            return rows, found[len(found) - min(count, len(found)) :]
        wanted, before = wanted * 4, len(ends)


def _shown(rows: Rows, lines: Iterable[Line], whole: bool) -> Iterator[Line]:
    yield from rows.take(lines)
    if not whole:
        yield from rows.rest()


FEW = 10  # lines to begin with at least


def follow(directory: Path, connection: socket.socket, height: int, options: argparse.Namespace) -> int:
    """Print the last screenful and then what comes, until the supervisor closes the connection, or Ctrl-C."""
    watch = DirectoryWatch(directory, connection.fileno())
    files = Logs(directory, lambda instance: True)
    rows = Rows()
    show = LogPrinter(options, directory, {*files.readers, *labels.read(directory)})
    wanted = max(FEW, height - 2)
    lines = list(rows.take(files.last(wanted, whole=True)))
    print("orchestrate: the merged stream; Ctrl-C leaves it, and the system runs on", file=sys.stderr, flush=True)
    print_lines(map(show, lines[-wanted:]))
    follower = Follower(files, rows, show)
    connection.setblocking(False)
    try:
        while not _has_ended(connection):
            follower.look()
            follower.wait(watch)
        follower.look()
    finally:
        follower.close()
    return 0


def _has_ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
