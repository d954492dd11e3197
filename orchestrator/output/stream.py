"""One open master: what is known of its output, and who sees it."""

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
from orchestrator.terminal.painter import Painter
from orchestrator.terminal.row_splitter import RowSplitter

Watcher = Callable[[bytes], None]


class Tap(Protocol):
    """Sees every chunk of a terminal first."""

    def take(self, data: bytes) -> bytes:
        """Return what of a chunk may be logged and shown."""


class LogSink(Protocol):
    """Where every byte of a terminal is kept."""

    def write(self, chunk: bytes, *, more: bool = False, removed: int = 0) -> bool:
        """Take a chunk, from which `removed` CRs before LFs have been removed. Where there is `more` to come at once,
        it may wait for that; returns whether it does."""

    def resized(self) -> None:
        """The terminal has another size from now on."""

    def flush(self) -> None:
        """Write what waits."""

    def finish(self) -> None:
        """End an unfinished line; the incarnation has ended."""


@dataclass(slots=True)
class UnfinishedLine:
    """What tails.py remembers of one stream; times are monotonic seconds, 0 for never.

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
    """One open master. `watcher`, where set, sees every whole line too, and `tail_watcher` an unfinished one that
    stands; `shown` is off for a quiet component.

    `recent` is the end of what it printed (`last` the same, once it is closed), and `seen_at` where in the merged
    stream that stands, None where it was not shown.
    While it is `lent` to somebody who is attached its lines are not shown but counted in `held`. While it is `sized`
    its size is that of a client. `backlog` is what was read and is to be looked at together with more; `after_cr` says
    that what was looked at last ended in CR. `flow` is its text that waits for the screen; `waits` says that it is not
    read because of that. `on_full_screen` is called once, when a full-screen program begins while its lines are
    visible; `full_screen_reported` says whether the present one was reported so.
    """

    master_fd: int
    painter: Painter
    log: LogSink | None = None
    shown: bool = True
    splitter: RowSplitter = field(default_factory=RowSplitter)
    watcher: Watcher | None = None
    tail_watcher: Watcher | None = None
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
    tail: UnfinishedLine = field(default_factory=UnfinishedLine)
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
        """Give its terminal a size; where that is a new one the foreground group gets SIGWINCH from the kernel."""
        if self.log is not None:
            self.log.resized()
        fcntl.ioctl(self.master_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def visible(self) -> bool:
        """Whether its lines go into the merged stream now."""
        return self.shown and not self.lent
