"""The right side of the view: one component's terminal, or lines that can be scrolled and searched."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from orchestrator.model.frames import Frame, FrameKind, MalformedFrame, parse_size
from orchestrator.terminal.emulator import Emulator
from orchestrator.terminal.escapes import ESC, RESET
from orchestrator.terminal.screen_cells import BLANK, Cell, sgr
from orchestrator.terminal.screen_cells import Row as Cells
from orchestrator.terminal.sgr import NO_SGR, SGR
from orchestrator.ui.styled_text import DIM, REVERSE, YELLOW, Row, marked, padded, plain, runs_of, wrapped

SLICE = 8192  # bytes that are emulated at once: about 10 ms
PENDING_MAX = 1 << 18  # bytes of lines queued for emulation, beyond which no more are read
UNCUT_MAX = SLICE  # … if they are not only lines, which cannot be cut: the supervisor skips output sooner
SEQUENCE_MAX = 32  # bytes of an SGR sequence, about
LINES_MAX = 20_000  # lines that are kept; `read_more` in content.py and the search read no more of a log
CAN = b"\x18"
_NOT_PLAIN = re.compile(rb"[\x0b\x0c\x0e\x0f\x18\x1a]")  # controls other than those of plain lines


class TerminalPane:
    """Emulates the terminal of a component. `take` queues its output, `advance` emulates a slice of the queue."""

    def __init__(self, rows: int, columns: int) -> None:
        self._emulator = Emulator(columns, rows)
        self._pending: deque[bytes | tuple[int, int]] = deque()
        self.pending_size = 0
        self._has_only_lines = True  # in the queue
        self._rows: dict[int, Row] = {}

    def take(self, frames: Iterable[Frame]) -> None:
        """Queue the output and sizes in frames of an attachment."""
        for frame in frames:
            if frame.kind is FrameKind.OUTPUT:
                body = frame.body
                if self._has_only_lines and body.startswith(CAN) and body.endswith(b"\r\n"):
                    # The supervisor has skipped output. This ends its modes, and would keep lines from being cut.
                    self._emulator.feed(body.removesuffix(b"\r\n"))
                    body = RESET + b"\r\n"
                self._has_only_lines = self._has_only_lines and _has_only_lines(_without_last(body))
                self._pending.append(body)
                self.pending_size += len(body)
            elif frame.kind is FrameKind.SIZE:
                try:
                    self._pending.append(parse_size(frame.body))
                except MalformedFrame:
                    continue

    @property
    def is_full(self) -> bool:
        """Whether the queue is full, so that no more is to be read."""
        return self.pending_size >= (PENDING_MAX if self._has_only_lines else UNCUT_MAX)

    def advance(self) -> bool:
        """Emulate a slice of the queue; return whether more is queued."""
        if self.pending_size > SLICE:
            self._skip()
        left = SLICE
        while self._pending and left > 0:
            first = self._pending.popleft()
            if isinstance(first, tuple):
                rows, columns = first
                self._emulator.resize(columns, rows)
                self._rows.clear()
                continue
            if len(first) > left:
                self._pending.appendleft(first[left:])
                first = first[:left]
            left -= len(first)
            self.pending_size -= len(first)
            self._emulator.feed(first)
        self._has_only_lines = self._has_only_lines or not self._pending
        return bool(self._pending)

    def _skip(self) -> None:
        """Drop lines from the queue that would scroll off the screen anyway, if it has nothing but lines."""
        if not all(isinstance(one, bytes) for one in self._pending):
            return
        waiting = b"".join(one for one in self._pending if isinstance(one, bytes))
        shown = last_screenful(waiting, self._emulator.lines)
        self._pending = deque([shown])
        self.pending_size = len(shown)

    def draw(self, columns: int, height: int) -> tuple[list[Row], tuple[int, int] | None]:
        """Return `height` rows of `columns` columns, and the row and column of the cursor, None if it is hidden."""
        emulator = self._emulator
        for number in emulator.take_changed():
            self._rows.pop(number, None)
        x, y = emulator.cursor
        top = max(0, min(emulator.lines - height, y - height + 1))
        rows: list[Row] = []
        for number in range(top, min(top + height, emulator.lines)):
            if number not in self._rows:
                self._rows[number] = _runs(emulator.row(number))
            rows.append(padded(self._rows[number], columns) if emulator.columns != columns else self._rows[number])
        rows += [padded([], columns)] * (height - len(rows))
        shown = emulator.is_cursor_visible and x < columns and top <= y < top + height
        return rows, (y - top, x) if shown else None


def last_screenful(data: bytes, rows: int) -> bytes:
    """Return the end of `data` that leaves the same screen of `rows` rows, if `data` has only lines and colors;
    otherwise all of it."""
    if not _has_only_lines(data):
        return data
    if data.count(b"\r\n") < 2 * rows:  # some rows may be there already: only one that is scrolled in gets a background
        return data
    start = len(data)
    for _ in range(rows + 1):
        start = data.rfind(b"\r\n", 0, start)
    styles = []  # each sequence left out, at its last place, from the last reset on; also 39, which ends an earlier 31
    for sequence in dict.fromkeys(reversed(SGR.findall(data[:start]))):
        styles.append(sequence)
        if sequence in (RESET, b"\x1b[0m"):
            break
    return b"".join(reversed(styles)) + b"\r\n" * rows + data[start + 2 :]


def _has_only_lines(data: bytes) -> bool:
    return not _NOT_PLAIN.search(data) and not (ESC in data and NO_SGR.search(data))


def _without_last(data: bytes) -> bytes:
    """Return a chunk without its last escape sequence, which may be cut off."""
    end = data.rfind(ESC, max(0, len(data) - SEQUENCE_MAX))
    return data if end < 0 else data[:end]


def _runs(cells: Cells) -> Row:
    row: Row = []
    style, begun = BLANK, ""
    for cell in cells:
        new: Cell = cell if cell.data == " " else cell._replace(data=" ")
        if cell.data and new != style:
            if begun:
                row.append((begun, _style(style)))
            style, begun = new, ""
        begun += cell.data
    if begun:
        row.append((begun, _style(style)))
    return row


def _style(cell: Cell) -> bytes:
    return b"" if cell == BLANK else sgr(cell).encode().replace(b"\x1b[0;", b"\x1b[")


class LinesPane:
    """Lines with SGR sequences; follows the last one unless it is scrolled up.

    `offset` is how many lines are below the last one that is shown. `unfinished` is shown below the last line.
    `command` prints all lines, also those that are not kept here.
    """

    def __init__(self, lines: Iterable[bytes] = (), command: str = "") -> None:
        self._lines: deque[bytes] = deque(lines, LINES_MAX)
        self._command = command
        self._has_earlier = False  # whether lines are known to be missing before the first one
        self.offset = 0
        self._inside = 0  # how many rows of the last line that is shown are below the screen
        self.unfinished: tuple[bytes, ...] = ()
        self.needle = ""
        self._height = 1
        self._columns = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, lines: list[bytes]) -> None:
        """Add lines. While scrolled up, the same lines stay on the screen."""
        if self.offset or self._inside:
            self.offset = min(len(self._lines) + len(lines) - 1, self.offset + len(lines))
        self._has_earlier = self._has_earlier or len(self._lines) + len(lines) > LINES_MAX
        self._lines.extend(lines)

    def replace(self, lines: list[bytes], *, has_earlier: bool = False) -> None:
        """Show other lines, for example more of the same. `has_earlier` says that there are lines before them, which
        cannot be shown here."""
        self._lines = deque(lines, LINES_MAX)
        self._has_earlier = has_earlier or len(lines) > LINES_MAX
        self.offset = min(self.offset, max(0, len(self._lines) - 1))

    @property
    def is_at_top(self) -> bool:
        """Whether the first line is shown."""
        top, inside = self._top()
        return self.offset > top or (self.offset == top and self._inside >= inside)

    def _top(self) -> tuple[int, int]:
        """Return the offset with which the first line is in the first row, and how many rows are then below."""
        lines = len(self._lines)
        rows = len(self._wrapped_mark())
        for number in range(min(lines, self._height)):
            rows += self._rows_of(number)
            if rows >= self._height:
                return lines - 1 - number, rows - self._height
        return 0, 0

    def _rows_of(self, number: int) -> int:
        """Return how many rows a line takes."""
        return len(wrapped(runs_of(self._lines[number]), self._columns)) if self._columns else 1

    @property
    def _bottom(self) -> int:
        """The number of the last line that is shown, from 0; -1 without lines."""
        return len(self._lines) - 1 - self.offset

    def _rows_above(self) -> int:
        """Return how many rows of the last line that is shown are above the screen."""
        return max(0, self._rows_of(self._bottom) - self._inside - self._height) if self._bottom >= 0 else 0

    def _wrapped_mark(self) -> list[Row]:
        """Return the rows above the first line: none if it is the first one of the log."""
        if not self._has_earlier or not self._command:
            return []
        row: Row = [(f"-- earlier lines: {self._command} --", YELLOW)]
        return wrapped(row, self._columns) if self._columns else [row]

    def scroll(self, by: int) -> None:
        """Go up by `by` lines, down if it is negative; row by row in a line that is higher than the pane."""
        rows = min(by, self._rows_above()) if by > 0 else -min(-by, self._inside)
        self._inside += rows
        if by == rows:
            return
        top, inside = self._top()
        before, wanted = self.offset, self.offset + by - rows
        self.offset = max(0, min(wanted, top))
        self._inside = 0
        if wanted > top and (before == top or not self._rows_above()):
            self._inside = inside
        elif by < 0:
            self._inside = self._rows_above()  # it begins with the first row of the next line

    def page(self, by: int) -> None:
        """Go up by a page, down if `by` is negative. A line that is not whole on one page is on the next."""
        rows = max(1, self._height - 1)
        if by < 0:
            count, left = 0, rows
            while (
                not self._inside
                and count < self.offset
                and (left := left - self._rows_of(self._bottom + count + 1)) >= 0
            ):
                count += 1
            self.scroll(-min(self._inside, rows) or -max(1, count))
        elif above := self._rows_above():
            self.scroll(min(above, rows))
        else:
            count, left = 0, self._height + self._inside
            while count <= self._bottom and left > 0:
                left -= self._rows_of(self._bottom - count)
                count += 1
            self.scroll(max(1, count - 1))

    def go_to_top(self) -> None:
        """Show the first line."""
        self.offset, self._inside = self._top()

    def go_to_end(self) -> None:
        """Show the last line, and follow those that are added."""
        self.offset = self._inside = 0

    def find(self, needle: str) -> str:
        """Go to the nearest line above that contains `needle`, from the end; return a message for the status line."""
        self.needle = needle
        if not needle:
            return ""
        self.go_to_end()
        return self.find_next(1, including=True)

    def find_next(self, by: int, *, including: bool = False) -> str:
        """Go to the next match: an older one with 1, a newer one with -1."""
        if not self.needle:
            return "type / to search"
        hits = [number for number, line in enumerate(reversed(self._lines)) if self._matches(line)]
        if not hits:
            return f"no match for {self.needle!r}{self._where}"
        later = [n for n in hits if n > self.offset or (including and n == self.offset)]
        earlier = [n for n in hits if n < self.offset]
        if by > 0 and not later:
            return f"no older match for {self.needle!r}{self._where}"
        if by < 0 and not earlier:
            return f"no newer match for {self.needle!r}"
        self.offset = later[0] if by > 0 else earlier[-1]
        self._inside = self._rows_below_match()
        return f"match {hits.index(self.offset) + 1} of {len(hits)} for {self.needle!r}, from the end"

    def _rows_below_match(self) -> int:
        """Return how many rows of the last line that is shown are below its first match, if it is higher than the
        pane."""
        if not self._rows_above() and not self._inside:
            return 0
        rows = wrapped(marked(runs_of(self._lines[self._bottom]), self.needle), self._columns)
        found = (number for number, row in enumerate(rows) if any(REVERSE in style for _, style in row))
        return max(0, len(rows) - max(self._height, next(found, len(rows)) + 1))

    @property
    def _where(self) -> str:
        return f" in the last {len(self._lines):,} lines" if self._has_earlier else ""

    def _matches(self, line: bytes) -> bool:
        return self.needle.lower() in SGR.sub(b"", line).decode("utf-8", "replace").lower()

    def draw(self, columns: int, height: int) -> list[Row]:
        """Return `height` rows of `columns` columns: the last that fit, or at the top the first."""
        self._height, self._columns = height, columns
        rows: list[Row] = []
        if not self.offset and not self._inside:
            for line in reversed(self.unfinished):
                rows[:0] = wrapped(runs_of(line), columns)
        index = self._bottom
        while index >= 0 and len(rows) < height:
            row = runs_of(self._lines[index])
            parts = wrapped(marked(row, self.needle) if self.needle else row, columns)
            if index == self._bottom:
                self._inside = min(self._inside, len(parts) - 1)
                parts = parts[: len(parts) - self._inside]
            rows[:0] = parts
            index -= 1
        if index < 0:
            rows[:0] = self._wrapped_mark()
        rows = rows[-height:]
        return [padded(row, columns) for row in rows] + [padded([], columns)] * (height - len(rows))


def text_of(rows: Iterable[Row]) -> str:
    """Return rows as text, without blanks at the ends and without empty rows at the bottom."""
    return "\n".join(plain(row) for row in rows).rstrip("\n")


def headed(title: Row, columns: int) -> Row:
    """Return the row above a pane."""
    return padded(title, columns, DIM)
