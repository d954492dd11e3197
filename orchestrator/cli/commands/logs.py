"""`orchestrate logs`: the output of components, from their log files, with or without a running system.

It also follows the merged stream for `attach`: from the log files, for as long as the system runs.

It reads the files and does not involve the supervisor. The files hold every byte, also of a detached system, which has
no screen.
"""

from __future__ import annotations

import fnmatch
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import location, settings, system_lookup
from orchestrator.cli.log_view import Follower, Keep, LogPrinter, component_of, print_lines
from orchestrator.cli.options import LineOptions, LocationOptions
from orchestrator.config.times import parse_time
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import labels, log_reader, run_starts
from orchestrator.output.log_reader import Line, Logs
from orchestrator.output.log_rows import Rows
from orchestrator.output.log_search import InTime, LogSearch
from orchestrator.runtime.home import Home
from orchestrator.runtime.inotify import DirectoryWatch
from orchestrator.terminal import escapes
from orchestrator.terminal.line_painter import OWN_NAME

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class LogsOptions:
    """The options of `logs`: the instances, and which of their lines are printed, and how."""

    location: LocationOptions
    form: LineOptions
    names: tuple[str, ...] = ()
    follow: bool = False
    lines: int | None = None
    previous: bool = False
    since: str | None = None
    until: str | None = None
    grep: str | None = None
    log_dir: str | None = None


def run(options: LogsOptions) -> int:
    """Print the requested lines, and with --follow new ones, until Ctrl-C."""
    try:
        return _run(options)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OrchestrateError(f"cannot print logs: {where}{error.strerror}") from None


def _run(options: LogsOptions) -> int:
    if options.previous and options.follow:
        raise UsageError("--previous cannot be combined with --follow", "the run before the current one has ended")
    directory, _ = directory_of(options.location, options.log_dir)
    since, until = _time(options.since, "--since"), _time(options.until, "--until")
    pattern = _pattern(options.grep)
    known = [*log_reader.instances(directory), *labels.read(directory)]
    names = _without_tags(options.names, options.location)
    wants = _wants(names, list(dict.fromkeys(known)), may_come=options.follow)
    watch = DirectoryWatch(directory) if options.follow else None
    logs = Logs(directory, wants)
    has_time = _in_time(since, until)
    if options.previous:
        has_time = _in_previous_run(directory, [name for name in logs.readers if name != OWN_NAME], has_time)
    begin = since.timestamp() if since else 0.0
    show = LogPrinter(options.form, directory, [name for name in {*known, *logs.readers} if wants(name)])
    rows, lines = _history(logs, options, begin, has_time, pattern)
    print_lines(map(show, lines))
    if watch is not None:
        in_time, greps = _is_in(has_time), _grep(pattern)
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


def directory_of(options: LocationOptions, named: str | None) -> tuple[Path, Home]:
    """Return the directory of the requested logs, and the home of their system. Raises OrchestrateError.

    `named` is the value of --log-dir.
    """
    if named:
        directory, home = Path(options.directory or ".", named), system_lookup.home_of(options)
    elif options.preset or not (directory := _own_directory(options)).is_dir():
        home = system_lookup.find(options).home
        directory = home.logs
    else:
        home = system_lookup.home_of(options)
    if not directory.is_dir():
        raise OrchestrateError(f"cannot read logs: no such directory: {directory}", "name the home with --home DIR")
    return directory, home


def _own_directory(options: LocationOptions) -> Path:
    """Return the log directory of the home; of this directory, if the definition is in a parent and logs are here."""
    where = location.locate(options) if not options.home else None
    if where is not None and where.is_inherited and (logs := Home(where.base).logs).is_dir():
        return logs
    return system_lookup.home_of(options).logs


def _without_tags(names: tuple[str, ...], options: LocationOptions) -> list[str]:
    """Return the names, with those of the components that have a tag instead of `+TAG`. Raises ConfigError."""
    if not any(name.startswith("+") for name in names):
        return list(names)
    from orchestrator.cli import sources
    from orchestrator.config import selection

    tags = selection.tagged(sources.read(options, settings.read()).definition.components)
    return [
        one for name in names for one in (sorted(selection.matching([name], (), tags)) if name[:1] == "+" else [name])
    ]


def _wants(patterns: list[str], known: list[str], *, may_come: bool) -> Callable[[str], bool]:
    """Return whether an instance or its component matches one of the patterns.

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


def _in_time(since: datetime | None, until: datetime | None) -> InTime | None:
    """Return None if any time is wanted."""
    first, last = _stamp(since), _stamp(until)
    if not first and not last:
        return None
    return lambda _, stamp: not ((first and stamp < first) or (last and stamp > last))


def _is_in(has_time: InTime | None) -> Keep:
    if has_time is None:
        return lambda line: True
    return lambda line: has_time(line.instance, line.stamp)


def _in_previous_run(directory: Path, instances: list[str], in_time: InTime | None) -> InTime:
    """Return whether a line was written by the run before the current one, or before the last one. It must be called
    once for each line, in their order."""
    begun = {instance: run_starts.starts(directory, instance) for instance in instances}
    counters = {instance: run_starts.RunCounter(times) for instance, times in begun.items() if len(times) > 1}
    if not counters:
        which = f" of {', '.join(instances)}" if instances else ""
        raise OrchestrateError(f"cannot print the previous run{which}: there was only one run")

    def keep(instance: str, stamp: bytes) -> bool:
        counter = counters.get(instance)
        is_previous = counter is not None and counter.run_of(stamp) == len(begun[instance]) - 1
        return is_previous and (in_time is None or in_time(instance, stamp))

    return keep


def _pattern(text: str | None) -> re.Pattern[bytes] | None:
    if not text:
        return None
    try:
        return re.compile(os.fsencode(text))
    except re.error as error:
        raise UsageError(f"--grep {text!r} is not a valid regular expression: {error}") from None


def _grep(pattern: re.Pattern[bytes] | None) -> Keep:
    if pattern is None:
        return lambda line: True
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


LAST_MAX = 1 << 14  # lines of each instance that are read to find the last matches, before all are searched


def _history(
    logs: Logs, options: LogsOptions, since: float, has_time: InTime | None, pattern: re.Pattern[bytes] | None
) -> tuple[Rows, Iterable[Line]]:
    """Return the existing lines, as they are shown, and with --follow those that may still change."""
    count, whole = options.lines, options.follow
    in_time, greps = _is_in(has_time), _grep(pattern)
    if count is not None and not (options.previous and count):
        most = None if pattern is None else LAST_MAX
        if (last := _last(logs, count, most, in_time, greps, whole=whole)) is not None:
            return last
    rows = Rows()
    if pattern is None:
        history = logs.history(since, whole=whole)
    else:
        history = LogSearch(pattern, rows, has_time).lines(logs, since, whole=whole)
    kept = filter(greps, _shown(rows, filter(in_time, history), whole))
    return rows, kept if count is None else deque(kept, count)


def _last(
    logs: Logs, count: int, most: int | None, in_time: Keep, greps: Keep, *, whole: bool
) -> tuple[Rows, list[Line]] | None:
    """Return the last lines, or None if more than `most` of an instance would have to be read for them."""
    wanted, before = count, -1
    while most is None or wanted <= most:  # lines may be dropped: look further back until there are enough, or no more
        ends = list(logs.last(wanted, whole=whole))
        rows = Rows()
        found = list(filter(greps, _shown(rows, filter(in_time, ends), whole)))
        if len(found) >= count or len(ends) == before:
            return rows, found[len(found) - min(count, len(found)) :]
        wanted, before = wanted * 4, len(ends)
    return None


def _shown(rows: Rows, lines: Iterable[Line], whole: bool) -> Iterator[Line]:
    yield from rows.take(lines)
    if not whole:
        yield from rows.rest()


FEW = 10  # lines to begin with at least


def follow(
    directory: Path,
    connection: socket.socket,
    height: int,
    form: LineOptions,
    begun: float,
    modes: Mapping[str, bytes],
) -> int:
    """Print the last screenful and then new lines, until the supervisor closes the connection, or Ctrl-C. Lines from
    before `begun` (Unix time), those of an earlier start, are left out. `modes` are those of full-screen programs,
    whose screens are not printed."""
    watch = DirectoryWatch(directory, connection.fileno())
    files = Logs(directory, lambda instance: True)
    rows = Rows()
    for instance, text in modes.items():
        rows.set_modes(instance, text)
    show = LogPrinter(form, directory, {*files.readers, *labels.read(directory)})
    wanted = max(FEW, height - 2)
    in_start = _is_in(_in_time(datetime.fromtimestamp(begun, timezone.utc), None))
    lines = list(rows.take(filter(in_start, files.last(wanted, whole=True))))
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
