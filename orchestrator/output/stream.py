"""One open master, the state of its output, and its readers."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.output.backlog import Flow
from orchestrator.runtime.loop import Timer
from orchestrator.terminal.line_painter import Painter
from orchestrator.terminal.row_splitter import RowSplitter

Watcher = Callable[[bytes], None]


class Tap(Protocol):
    """Gets every chunk of a terminal first."""

    def take(self, data: bytes) -> bytes:
        """Return the part of a chunk that may be logged and shown."""


class LogSink(Protocol):
    """A log that keeps every byte of a terminal."""

    def write(self, chunk: bytes, *, more: bool = False, removed: int = 0) -> bool:
        """Take a chunk, from which `removed` CRs before LFs have been removed. If `more` follows immediately, the write
        may be delayed; return whether it is."""

    def resized(self) -> None:
        """Take note that the terminal's size has changed."""

    def flush(self) -> None:
        """Write what waits."""

    def finish(self) -> None:
        """End an unfinished line, because the run has ended."""


@dataclass(slots=True)
class UnfinishedLine:
    """The state of `UnfinishedLines` for one stream; times are monotonic seconds, 0 for never.

    The unfinished line began at `since` and was last drawn at `drawn_at`; rows that are drawn again were last touched
    at `touched_at` and shown at `released_at`.
    """

    since: float = 0.0
    drawn_at: float = 0.0
    touched_at: float = 0.0
    released_at: float = 0.0
    timer: Timer | None = None
    standing_timer: Timer | None = None
    rows_timer: Timer | None = None
    held_timer: Timer | None = None


@dataclass(slots=True, eq=False)
class Stream:
    """One open master. `watcher`, if set, also gets every whole line, and `unfinished_watcher` an unfinished line that
    does not change any more; `shown` is off for a quiet component.

    `recent` is the last output (`last` is the same, once the master is closed). `seen_at` is its position in the merged
    stream, None if it was not shown.
    While `lent` to an attached terminal, its lines are not shown but counted in `held`. While `sized`, its size is that
    of a client. `backlog` was read and will be processed together with more; `after_cr` says that the last processed
    chunk ended in CR. `flow` is the text that waits for the screen; `waits` says that the master is not read because of
    that. `on_full_screen` is called once, when a full-screen program begins while the lines are visible;
    `full_screen_reported` says whether the present program was reported.
    """

    master_fd: int
    painter: Painter
    log: LogSink | None = None
    shown: bool = True
    splitter: RowSplitter = field(default_factory=RowSplitter)
    watcher: Watcher | None = None
    unfinished_watcher: Watcher | None = None
    recent: bytes = b""
    last: bytes = b""
    seen_at: int | None = 0
    terminal: bool = True
    tap: Tap | None = None
    lent: bool = False
    sized: bool = False
    held: int = 0
    open: bool = True
    parked: bool = False
    waits: bool = False
    flow: Flow = field(default_factory=Flow)
    unfinished: UnfinishedLine = field(default_factory=UnfinishedLine)
    after_cr: bool = False
    on_full_screen: Callable[[], None] | None = None
    full_screen_reported: bool = False
    backlog: list[bytes] = field(default_factory=list)
    backlog_size: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its terminal."""
        columns, rows = os.get_terminal_size(self.master_fd)
        return rows, columns

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size; if it changes, the kernel sends SIGWINCH to the foreground group."""
        if self.log is not None:
            self.log.resized()
        fcntl.ioctl(self.master_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def visible(self) -> bool:
        """Whether its lines go into the merged stream now."""
        return self.shown and not self.lent
