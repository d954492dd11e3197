"""`orchestrate logs`: what the components have written, from their log files, with or without a running instance."""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import asking, location, surroundings
from orchestrator.config.times import parse_time
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import logreader
from orchestrator.output.logreader import Line, Logs
from orchestrator.runtime.home import Home
from orchestrator.runtime.watch import DirectoryWatch
from orchestrator.text import escapes
from orchestrator.text.cells import padded, width
from orchestrator.text.prefix import OWN_NAME, SEPARATOR, JsonPainter, PrefixPainter, Style

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
_REPLICA = re.compile(r"\.\d+$")

Show = Callable[[Line], bytes]


def run(options: argparse.Namespace) -> int:
    """Print the lines asked for, and with --follow those that come, until Ctrl-C."""
    try:
        return _run(options)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise OrchestrateError(f"unable to print logs: {where}{error.strerror}") from None


def _run(options: argparse.Namespace) -> int:
    directory = _directory(options)
    since, until = _time(options.since, "--since"), _time(options.until, "--until")
    keep = _filter(options.grep, since, until)
    wants = _wants(_without_tags(options), directory)
    watch = DirectoryWatch(directory) if options.follow else None
    logs = Logs(directory, wants)
    show = shower(options, list(logs.readers))
    print_lines(map(show, _history(logs, options, since, keep)))
    while watch is not None:
        watch.wait()
        print_lines(show(line) for line in logs.news() if keep(line))
        if logs.missed:
            print("orchestrate: some lines were rotated away before they could be read", file=sys.stderr)
            for reader in logs.readers.values():
                reader.missed = False
    return 0


def _directory(options: argparse.Namespace) -> Path:
    if options.log_dir:
        directory = Path(options.directory or ".", options.log_dir)
    elif options.preset or not (directory := _own_directory(options)).is_dir():
        directory = asking.system_of(options).logs
    if not directory.is_dir():
        raise OrchestrateError(f"unable to read logs: there is no {directory}", "name the home with --home DIR")
    return directory


def _own_directory(options: argparse.Namespace) -> Path:
    """Return the log directory of the home; of this directory, if the definition is in a parent and logs are here."""
    where = location.locate(options) if not options.home else None
    if where is not None and where.is_inherited and (logs := Home(where.base).logs).is_dir():
        return logs
    return asking.home_of(options).logs


def _without_tags(options: argparse.Namespace) -> list[str]:
    """Return the names, with those of the components that have a tag instead of `+TAG`. Raises ConfigError."""
    names = list(options.names)
    if not any(name.startswith("+") for name in names):
        return names
    from orchestrator.cli import sources
    from orchestrator.config import selection

    tags = selection.tagged(sources.read(options, surroundings.read(options)).definition.components)
    return [
        one for name in names for one in (sorted(selection.matching([name], (), tags)) if name[:1] == "+" else [name])
    ]


def _wants(patterns: list[str], directory: Path) -> Callable[[str], bool]:
    """Return whether an instance is wanted: it, or the component it is an instance of, matches one of the patterns."""
    found = list(logreader.instances(directory))

    def matches(instance: str, pattern: str) -> bool:
        names = (instance, _component(instance)) if _REPLICA.search(instance) else (instance, f"{instance}.1")
        return any(fnmatch.fnmatchcase(name, pattern) for name in names)

    for pattern in patterns:
        if not any(matches(name, pattern) for name in found):
            raise OrchestrateError(f"unable to find a log of {pattern!r}", f"there are: {', '.join(found) or 'none'}")
    return lambda instance: not patterns or any(matches(instance, pattern) for pattern in patterns)


def _component(instance: str) -> str:
    return _REPLICA.sub("", instance)


def _filter(grep: str | None, since: datetime | None, until: datetime | None) -> Callable[[Line], bool]:
    first, last = _stamp(since), _stamp(until)
    try:
        pattern = re.compile(os.fsencode(grep)) if grep else None
    except re.error as error:
        raise UsageError(f"--grep {grep!r} is no regular expression: {error}") from None

    def keep(line: Line) -> bool:
        if (first and line.stamp < first) or (last and line.stamp > last):
            return False
        return pattern is None or bool(pattern.search(escapes.no_escapes(line.text)))

    return keep


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    time = parse_time(text, datetime.now(timezone.utc))
    if time is None:
        raise UsageError(f"{option} {text!r} is no time", "write 5m, 1h30m, 14:05 or 2026-01-31T14:05")
    return time


def _stamp(time: datetime | None) -> bytes:
    return time.strftime(STAMP).encode() if time else b""


def _history(
    logs: Logs, options: argparse.Namespace, since: datetime | None, keep: Callable[[Line], bool]
) -> Iterable[Line]:
    count, whole = options.lines, options.follow
    if count is None:
        return filter(keep, logs.history(since.timestamp() if since else 0.0, whole=whole))
    wanted, before = count, -1
    while True:  # the filter may drop lines: look further back until there are enough, or no more
        ends = list(logs.last(wanted, whole=whole))
        lines = list(filter(keep, ends))
        if len(lines) >= count or len(ends) == before:
            return lines[len(lines) - min(count, len(lines)) :]
        wanted, before = wanted * 4, len(ends)


def shower(options: argparse.Namespace, names: list[str]) -> Show:
    """Return what makes a line into what is printed; `names` are those that there are, for width and colours."""
    if options.json:
        return _as_json
    here = surroundings.read(options)
    painters: dict[str, PrefixPainter] = {}
    style = Style.COLOURS if here.colours else Style.NO_COLOURS if os.isatty(1) else Style.BYTES
    columns = max(map(width, names), default=0)
    wrap = _wrap(here, [name for name in names if name != OWN_NAME])

    def show(line: Line) -> bytes:
        painter = painters.get(line.instance)
        if painter is None:
            prefix = wrap(line.instance, f"{padded(line.instance, columns)}{SEPARATOR}")
            painter = painters[line.instance] = PrefixPainter(prefix, style, expand_tabs=os.isatty(1))
        time = line.stamp + b" " if options.timestamps else b""
        return time + (painter.paint(line.text + b"\n") if line.ends else painter.paint_piece(line.text))

    return show


def _wrap(here: surroundings.Surroundings, names: list[str]) -> Callable[[str, str], bytes]:
    if not here.colours:
        return lambda instance, text: text.encode()
    from orchestrator.output.palette import Palette, colour_of

    wrap = Palette(here.term, here.forced).wrap
    return lambda instance, text: wrap(colour_of(instance, names, len(names)), text)


def _as_json(line: Line) -> bytes:
    painter = JsonPainter(_component(line.instance), line.instance, lambda: 0.0)
    more = {} if line.ends else {"cut": True}
    return painter.entry(line.stamp.decode(), line.text, **more)


def print_lines(shown: Iterable[bytes]) -> None:
    """Print them, at once."""
    out = sys.stdout.buffer
    for line in shown:
        out.write(line)
    out.flush()
