"""The right side of the view: one component's terminal, or lines that can be scrolled and searched."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from orchestrator.model.control import Frame, FrameKind, MalformedFrame, parse_size
from orchestrator.terminal.emulator import Emulator
from orchestrator.terminal.escapes import ESC, RESET
from orchestrator.terminal.screen_cells import BLANK, Cell, sgr
from orchestrator.terminal.screen_cells import Row as Cells
from orchestrator.terminal.sgr import NO_SGR, SGR, open_style
from orchestrator.ui.styled_text import DIM, Row, marked, padded, plain, runs_of, wrapped

SLICE = 8192  # bytes that are emulated at once: about 10 ms
PENDING_MAX = 1 << 18  # bytes that wait to be emulated, beyond which no more are read
LINES_MAX = 20_000
_NOT_PLAIN = re.compile(rb"[\x0b\x0c\x0e\x0f\x18\x1a]")  # controls that do more than write and begin lines


class TerminalPane:
    """Emulates what a component prints. `take` collects, `advance` emulates a slice of that."""

    def __init__(self, rows: int, columns: int) -> None:
        self._emulator = Emulator(columns, rows)
        self._pending: deque[bytes | tuple[int, int]] = deque()
        self.pending_size = 0
        self._rows: dict[int, Row] = {}

    def take(self, frames: Iterable[Frame]) -> None:
        """Take frames of an attachment; others than output and size are ignored."""
        for frame in frames:
            if frame.kind is FrameKind.OUTPUT:
                self._pending.append(frame.body)
                self.pending_size += len(frame.body)
            elif frame.kind is FrameKind.SIZE:
                try:
                    self._pending.append(parse_size(frame.body))
                except MalformedFrame:
                    continue

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more is to be read."""
        return self.pending_size >= PENDING_MAX

    def advance(self) -> bool:
        """Emulate a slice of what waits; return whether more waits."""
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
        return bool(self._pending)

    def _skip(self) -> None:
        """Leave out what is scrolled off the screen anyway, if nothing but lines waits."""
        if not all(isinstance(one, bytes) for one in self._pending):
            return
        waiting = b"".join(one for one in self._pending if isinstance(one, bytes))
        shown = last_screenful(waiting, self._emulator.lines)
        self._pending = deque([shown])
        self.pending_size = len(shown)

    def draw(self, columns: int, height: int) -> tuple[list[Row], tuple[int, int] | None]:
        """Return so many rows of so many columns, and the cursor's row and column in them, None if it is not shown."""
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
    """Return the end of `data` that leaves the same screen of so many rows, if it is lines and colors only; otherwise
    all of it."""
    if _NOT_PLAIN.search(data) or (ESC in data and NO_SGR.search(data)):
        return data
    start = len(data)
    for _ in range(rows + 1):
        start = data.rfind(b"\r\n", 0, start)
        if start < 0:
            return data
    left_out = data[:start]
    sequences = SGR.findall(left_out)
    reset = RESET if any(one in (RESET, b"\x1b[0m") for one in sequences) else b""
    return reset + open_style(b"", left_out) + b"\r\n" * rows + data[start + 2 :]


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
    """

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._lines: deque[bytes] = deque(lines, LINES_MAX)
        self.offset = 0
        self.unfinished: tuple[bytes, ...] = ()
        self.needle = ""
        self._height = 1

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, lines: list[bytes]) -> None:
        """Add lines; if it is scrolled up, what is shown stays."""
        if self.offset:
            self.offset = min(len(self._lines) + len(lines) - 1, self.offset + len(lines))
        self._lines.extend(lines)

    def replace(self, lines: list[bytes]) -> None:
        """Show other lines, for example more of the same."""
        self._lines = deque(lines, LINES_MAX)
        self.offset = min(self.offset, max(0, len(self._lines) - 1))

    @property
    def is_at_top(self) -> bool:
        """Whether the first line is shown."""
        return self.offset >= len(self._lines) - self._height

    def scroll(self, by: int) -> None:
        """Go up by so many lines; down, if that is negative."""
        self.offset = max(0, min(self.offset + by, max(0, len(self._lines) - self._height)))

    def page(self, by: int) -> None:
        """Go up by so many pages."""
        self.scroll(by * max(1, self._height - 1))

    def go_to_top(self) -> None:
        """Show the first line."""
        self.scroll(len(self._lines))

    def find(self, needle: str) -> str:
        """Go to the nearest line above that contains `needle`, from the end; return what to say about it."""
        self.needle = needle
        if not needle:
            return ""
        self.offset = 0
        return self.find_next(1, including=True)

    def find_next(self, by: int, *, including: bool = False) -> str:
        """Go to the next match: an older one with 1, a newer one with -1."""
        if not self.needle:
            return "type / to search"
        hits = [number for number, line in enumerate(reversed(self._lines)) if self._matches(line)]
        if not hits:
            return f"no match for {self.needle!r}"
        later = [n for n in hits if n > self.offset or (including and n == self.offset)]
        earlier = [n for n in hits if n < self.offset]
        if by > 0 and not later:
            return f"no older match for {self.needle!r}"
        if by < 0 and not earlier:
            return f"no newer match for {self.needle!r}"
        self.offset = later[0] if by > 0 else earlier[-1]
        return f"match {hits.index(self.offset) + 1} of {len(hits)} for {self.needle!r}, from the end"

    def _matches(self, line: bytes) -> bool:
        return self.needle.lower() in SGR.sub(b"", line).decode("utf-8", "replace").lower()

    def draw(self, columns: int, height: int) -> list[Row]:
        """Return so many rows of so many columns: the last that fit."""
        self._height = height
        rows: list[Row] = []
        if not self.offset:
            for line in reversed(self.unfinished):
                rows[:0] = wrapped(runs_of(line), columns)
        lines = len(self._lines)
        index = lines - 1 - self.offset
        while index >= 0 and len(rows) < height:
            row = runs_of(self._lines[index])
            rows[:0] = wrapped(marked(row, self.needle) if self.needle else row, columns)
            index -= 1
        return [padded(row, columns) for row in rows[-height:]] + [padded([], columns)] * (height - len(rows))


def text_of(rows: Iterable[Row]) -> str:
    """Return rows as text, without blanks at the ends and without empty rows at the bottom."""
    return "\n".join(plain(row) for row in rows).rstrip("\n")


def headed(title: Row, columns: int) -> Row:
    """Return the row above a pane."""
    return padded(title, columns, DIM)
