"""The lines of log files, printed by `logs` and `attach` as in the merged stream."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

from orchestrator.cli import settings
from orchestrator.cli.options import LineOptions
from orchestrator.output import labels
from orchestrator.output.console import OutputKind, kind_of
from orchestrator.output.last_row import LastRow
from orchestrator.output.log_reader import Line, Logs
from orchestrator.output.log_rows import Rows
from orchestrator.output.unfinished_lines import REDRAW_AFTER, UNFINISHED_AFTER
from orchestrator.runtime.inotify import DirectoryWatch
from orchestrator.terminal.line_painter import (
    ERROR_SEPARATOR,
    SEPARATOR,
    JsonPainter,
    PrefixPainter,
    PrefixStyle,
)
from orchestrator.terminal.row import rewrites
from orchestrator.terminal.width import padded, width

_REPLICA = re.compile(r"\.\d+$")

Keep = Callable[[Line], bool]


def component_of(instance: str) -> str:
    """Return the component of an instance."""
    return _REPLICA.sub("", instance)


class LogPrinter:
    """Formats lines for printing. `directory` has the logs and labels; `names` are the instances that may be shown, for
    the width of the prefix."""

    def __init__(self, options: LineOptions, directory: Path, names: Iterable[str]) -> None:
        here = settings.read(options.color, json=options.json)
        self._json = options.json
        self._timestamps, self._utc = options.timestamps or options.utc, options.utc
        self._has_prefix = not options.no_prefix
        self._is_terminal = kind_of(1) is OutputKind.TERMINAL
        if here.colors:
            self._style = PrefixStyle.COLORS
        else:
            self._style = PrefixStyle.NO_COLORS if self._is_terminal else PrefixStyle.BYTES
        self._labels = labels.read(directory)
        self._labels.add(sorted(names))
        self._columns = max(map(width, names), default=0)
        self._painters: dict[tuple[str, bool], PrefixPainter] = {}
        self._wrap: Callable[[str, str], bytes] = lambda color, text: text.encode()
        self.row: LastRow | None = None
        if here.colors or here.erases:
            from orchestrator.output.palette import Palette

            palette = Palette(here.term, here.forced)
            if here.colors:
                self._wrap = palette.wrap
            if here.erases:
                self.row = LastRow(palette.cut, _size, reflows=here.reflows)

    def __call__(self, line: Line) -> bytes:
        """Return a line as it is printed."""
        if self._json:
            return _as_json(line)
        painter = self._painter(line)
        return self._time(line) + (painter.paint(line.text + b"\n") if line.ends else painter.paint_piece(line.text))

    def unfinished(self, line: Line) -> bytes:
        """Return an unfinished line as it is printed."""
        return self._time(line) + self._painter(line).paint_tail(line.text)

    def _time(self, line: Line) -> bytes:
        if not self._timestamps or not line.stamp:
            return b""
        if self._utc:
            return line.stamp + b" "
        moment = datetime.strptime(line.stamp.decode(), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        return moment.astimezone().isoformat(timespec="microseconds").encode() + b" "

    def _painter(self, line: Line) -> PrefixPainter:
        key = line.instance, line.is_error
        painter = self._painters.get(key)
        if painter is None:
            prefix = self._prefix(*key) if self._has_prefix else b""
            painter = self._painters[key] = PrefixPainter(prefix, self._style, expand_tabs=self._is_terminal)
        return painter

    def _prefix(self, instance: str, is_error: bool) -> bytes:
        name = padded(instance, self._columns)
        color = self._labels.color(instance)
        if is_error:
            return self._wrap(color, name) + self._wrap("bright_red", ERROR_SEPARATOR)
        return self._wrap(color, name + SEPARATOR)


def _size() -> tuple[int, int] | None:
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return None
    return (columns, rows) if columns and rows else None


def _as_json(line: Line) -> bytes:
    painter = JsonPainter(component_of(line.instance), line.instance, lambda: 0.0, is_error=line.is_error)
    more = {} if line.ends else {"cut": True}
    return painter.entry(line.stamp.decode(), line.text, **more)


class Follower:
    """Prints new lines; on a terminal the newest unfinished line is shown below it."""

    def __init__(self, logs: Logs, rows: Rows, show: LogPrinter, keep: Keep = lambda line: True) -> None:
        self._logs = logs
        self._rows = rows
        self._show = show
        self._keep = keep
        self._tails: dict[str, Line] = {}  # the newest last
        self._drawn_at = 0.0
        self._due: float | None = None  # when the newest is to be drawn or redrawn
        self._settle_at: float | None = None  # when blank lines are to be printed that are held back

    def look(self) -> None:
        """Print new lines; the first call only learns which lines are unfinished."""
        now = time.monotonic()
        lines = list(filter(self._keep, self._rows.take(self._logs.news())))
        if not self._rows.hold:
            self._settle_at = None
        elif self._settle_at is None:
            self._settle_at = now + UNFINISHED_AFTER
        elif now >= self._settle_at:
            self._settle_at = None
            lines += filter(self._keep, self._rows.settle())
        self._look_at_tails(now)
        shown = b"".join(map(self._show, lines))
        row = self._show.row
        if row is None:
            _print(shown)
            return
        is_due = self._due is not None and now >= self._due
        if row.is_drawn and (shown or is_due or not self._tails):
            shown = row.erase() + shown
        if self._tails and not row.is_drawn and (is_due or self._drawn_at):
            shown += row.draw(self._show.unfinished(next(reversed(self._tails.values()))))
            row.is_drawn, self._due, self._drawn_at = True, None, now
        _print(shown)

    def _look_at_tails(self, now: float) -> None:
        if self._show.row is None:
            return
        for name, reader in self._logs.readers.items():
            line = reader.unfinished
            line = self._rows.unfinished(line) if line is not None else None
            if line is None or not line.text or not self._keep(line):
                self._tails.pop(name, None)
            elif self._tails.get(name) != line:
                self._tails.pop(name, None)
                self._tails[name] = line
                wait = REDRAW_AFTER if rewrites(line.text.rstrip(b"\r")) else UNFINISHED_AFTER
                due = max(now + UNFINISHED_AFTER, self._drawn_at + wait)
                self._due = due if self._due is None else min(self._due, due)
        if not self._tails:
            self._due, self._drawn_at = None, 0.0

    def wait(self, watch: DirectoryWatch) -> None:
        """Wait until there is something new."""
        times = [when for when in (self._due, self._settle_at) if when is not None]
        watch.wait(max(0.0, min(times) - time.monotonic()) if times else None)

    def close(self) -> None:
        """Leave the cursor on an empty row."""
        if self._show.row is not None and self._show.row.is_drawn:
            self._show.row.is_drawn = False
            _print(b"\n")


def _print(shown: bytes) -> None:
    if shown:
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()


def print_lines(shown: Iterable[bytes]) -> None:
    """Print them immediately."""
    out = sys.stdout.buffer
    for line in shown:
        out.write(line)
    out.flush()
