"""`orchestrate logs`: what the components have written, from their log files, with or without a running instance."""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import surroundings
from orchestrator.config.times import parse_time
from orchestrator.model.errors import OrchestrateError, UsageError
from orchestrator.output import logreader
from orchestrator.output.logreader import Line
from orchestrator.runtime.home import Home
from orchestrator.runtime.watch import DirectoryWatch
from orchestrator.text import escapes
from orchestrator.text.prefix import PrefixPainter, Style

STAMP = "%Y-%m-%dT%H:%M:%S.%fZ"

Show = Callable[[Line], bytes]


def run(options: argparse.Namespace) -> int:
    """Print the lines asked for, and with --follow those that come, until Ctrl-C."""
    directory = _directory(options)
    logs = logreader.instances(directory)
    names = _select(options.names, logs)
    keep = _filter(options)
    watch = DirectoryWatch(directory) if options.follow else None
    follower = logreader.Follower(directory, names if options.names else None) if options.follow else None
    show = _show(options, names)
    _print(map(show, _history(logs, names, options.lines, keep)))
    while watch is not None and follower is not None:
        watch.wait()
        _print(show(line) for line in follower.news() if keep(line))
    return 0


def _directory(options: argparse.Namespace) -> Path:
    home = Home(Path(options.directory or ".") / (options.home or ""))
    directory = Path(options.log_dir) if options.log_dir else home.logs
    if not directory.is_dir():
        raise OrchestrateError(f"unable to read logs: there is no {directory}", "name the home with --home DIR")
    return directory


def _select(patterns: list[str], logs: Iterable[str]) -> list[str]:
    if not patterns:
        return list(logs)
    for pattern in patterns:
        if not fnmatch.filter(logs, pattern):
            raise OrchestrateError(f"unable to find a log of {pattern!r}", f"there are: {', '.join(logs) or 'none'}")
    return [name for name in logs if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _filter(options: argparse.Namespace) -> Callable[[Line], bool]:
    since, until = _stamp(options.since, "--since"), _stamp(options.until, "--until")
    try:
        pattern = re.compile(os.fsencode(options.grep)) if options.grep else None
    except re.error as error:
        raise UsageError(f"--grep {options.grep!r} is no regular expression: {error}") from None

    def keep(line: Line) -> bool:
        if (since and line.stamp < since) or (until and line.stamp > until):
            return False
        return pattern is None or bool(pattern.search(escapes.no_escapes(line.text)))

    return keep


def _stamp(text: str | None, option: str) -> bytes:
    if text is None:
        return b""
    time = parse_time(text, datetime.now(timezone.utc))
    if time is None:
        raise UsageError(f"{option} {text!r} is no time", "write 5m, 1h30m, 14:05 or 2026-01-31T14:05")
    return time.strftime(STAMP).encode()


def _history(
    logs: dict[str, list[Path]], names: list[str], count: int | None, keep: Callable[[Line], bool]
) -> Iterable[Line]:
    if count is None:
        return filter(keep, logreader.merge(logreader.history(logs[name], name, b"") for name in names))
    wanted = count
    while True:  # the filter may drop lines: look further back until there are enough, or no more
        ends = [logreader.last_lines(logs[name], name, wanted) for name in names]
        lines = [line for line in logreader.merge(ends) if keep(line)]
        if len(lines) >= count or all(len(end) < wanted for end in ends):
            return lines[-count:] if count else []
        wanted *= 4


def _show(options: argparse.Namespace, names: list[str]) -> Show:
    if options.json:
        return _as_json
    here = surroundings.read(options)
    width = max(map(len, names), default=0)
    painters: dict[str, PrefixPainter] = {}
    style = Style.COLOURS if here.colours else Style.NO_COLOURS if os.isatty(1) else Style.BYTES
    prefixes = _prefixes(here, width)

    def show(line: Line) -> bytes:
        painter = painters.get(line.instance)
        if painter is None:
            painter = painters[line.instance] = PrefixPainter(next(prefixes)(line.instance), style)
        time = line.stamp + b" " if options.timestamps else b""
        return time + painter.paint(line.text + b"\n")

    return show


def _prefixes(here: surroundings.Surroundings, width: int) -> Iterator[Callable[[str], bytes]]:
    if not here.colours:
        return itertools.repeat(lambda name: f"{name.ljust(width)} | ".encode())
    from orchestrator.output.palette import CYCLE, OWN, Palette

    wrap = Palette(here.term, here.forced).wrap
    colours = itertools.cycle(CYCLE)

    def paint(name: str) -> bytes:
        return wrap(OWN if name == "orchestrate" else next(colours), f"{name.ljust(width)} | ")

    return itertools.repeat(paint)


def _as_json(line: Line) -> bytes:
    text = escapes.no_escapes(line.text).decode("utf-8", "replace")
    entry = {"time": line.stamp.decode(), "instance": line.instance, "text": text}
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _print(shown: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    for line in shown:
        out.write(line)
    out.flush()
