"""Lines of log files for the pane, as the merged stream shows them: the last ones, and new ones.

If more is written than a person could read, lines are skipped and the pane continues with the last ones.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from orchestrator.output import labels
from orchestrator.output.log_file import stamp
from orchestrator.output.log_reader import Line, Logs
from orchestrator.output.log_rows import Rows
from orchestrator.terminal.escapes import RESET, keep_colors
from orchestrator.terminal.row import replay, rewrites
from orchestrator.terminal.sgr import NO_SGR
from orchestrator.terminal.width import expand_tabs, padded, width
from orchestrator.ui.styled_text import colored

FIRST = 500  # lines that are read at first
FOLLOWED_MAX = 1 << 17  # bytes written since the last read, beyond which lines are skipped
SKIPPED = b"\x1b[33m-- lines skipped here; the log has them --\x1b[m"


class LogLines:
    """The log of one instance, or of all with prefixes if `instance` is empty."""

    def __init__(self, directory: Path, instance: str, without: Collection[str] = (), since: float = 0.0) -> None:
        """Leave out the instances in `without`, whose screens are not lines, and lines from before `since`, a Unix
        time. Raises OSError if the directory cannot be read."""
        self._since = stamp(since).rstrip() if since else b""
        self._without = frozenset(without)
        self._directory = directory
        self._instance = instance
        self._labels = labels.read(directory)
        self._prefixes: dict[tuple[str, bool], bytes] = {}
        self._columns = max(map(width, self._labels), default=0)
        self._logs = self._open()
        self._rows = Rows()
        self._sizes = self._present_sizes()
        self.count = FIRST
        self.has_earlier = False  # whether `last` has left out lines

    def last(self, count: int = FIRST) -> list[bytes]:
        """Return the last `count` lines. `news` returns those that are written later."""
        self.close()
        self._logs = self._open()
        self._rows = Rows()
        self._sizes = self._present_sizes()
        self.count = count
        lines = self._logs.last_of_all(count + 1, whole=True, since=self._since)
        self.has_earlier = len(lines) > count
        return [self._shown(line) for line in self._rows.take(lines[-count:])]

    def news(self) -> tuple[bool, list[bytes]]:
        """Return the lines that were written since the last call. The flag says that lines were skipped, and these
        are the last ones."""
        sizes = self._present_sizes()
        grown = sum(size - before if size >= (before := self._sizes.get(name, 0)) else size
                    for name, size in sizes.items())  # fmt: skip
        self._sizes = sizes
        if grown > FOLLOWED_MAX:
            return True, [SKIPPED, *self.last(FIRST)]
        return False, [self._shown(line) for line in self._rows.take(self._logs.news())]

    @property
    def unfinished(self) -> tuple[bytes, ...]:
        """The unfinished lines."""
        lines = [reader.unfinished for reader in self._logs.readers.values()]
        shown = [self._rows.unfinished(line) for line in lines if line is not None and line.stamp >= self._since]
        return tuple(self._shown(line) for line in shown if line.text)

    def close(self) -> None:
        """Close the files."""
        for reader in self._logs.readers.values():
            reader.close()

    def _open(self) -> Logs:
        instance = self._instance
        return Logs(self._directory, lambda name: name == instance if instance else name not in self._without)

    def _present_sizes(self) -> dict[str, int]:
        sizes = {}
        for name in self._logs.readers:
            try:
                sizes[name] = os.stat(self._directory / f"{name}.log").st_size
            except OSError:
                continue
        return sizes

    def _shown(self, line: Line) -> bytes:
        text = line.text[:8192]
        if rewrites(text.rstrip(b"\r")) or NO_SGR.search(text):
            text = replay(text)  # takes ten times as long as the rest
        text = expand_tabs(keep_colors(text)) + RESET
        return text if self._instance else self._prefix(line) + text

    def _prefix(self, line: Line) -> bytes:
        key = line.instance, line.is_error
        if key not in self._prefixes:
            self._columns = max(self._columns, width(line.instance))
            name = padded(line.instance, self._columns)
            color = self._labels.color(line.instance)
            mark = colored("bright_red", " ! ") if line.is_error else colored(color, " | ")
            self._prefixes[key] = colored(color, name) + mark
        return self._prefixes[key]
