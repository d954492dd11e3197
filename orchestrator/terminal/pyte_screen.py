"""pyte's screen, plus the features that pyte lacks or does differently.

Only this file imports pyte (LGPL, the extra `screen`), and the supervisor never imports this file. If pyte is not
installed, importing it raises OrchestrateError, which says what to install.

From pyte: the sparse buffer, the cursor and its moves, tab stops and character sets. Replaced here, because tmux and
xterm do it differently (compared with pyte 0.8.1 and 0.8.2; the tests compare with tmux):

- alternate screens (modes 47, 1047, 1049), REP, SU, SD, CBT, CHT, DECSTR; one place for DECSC, not a stack;
- erased cells keep the background color and no other attribute; `CSI 3 J` erases the scrollback alone;
- a wide character is never cut into halves, and never begins in the last column (`terminal.sparse_rows`);
- colors remain indexes of the palette, and dim and concealed text is known.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from orchestrator.model.errors import OrchestrateError
from orchestrator.terminal.screen_cells import BLANK, Cell, Row
from orchestrator.terminal.sparse_rows import Line, fit, mend, slide, split_wide, styled_cells
from orchestrator.terminal.width import cells

try:
    import pyte
    import pyte.charsets
    import pyte.modes
except ImportError:
    raise OrchestrateError(
        "cannot show a screen: pyte is not installed", "run `pip install 'orchestrate[screen]'`"
    ) from None

COMBINED_MAX = 32  # code points in one cell
LATIN_1, GRAPHICS = pyte.charsets.LAT1_MAP, pyte.charsets.VT100_MAP
INSERT, NEW_LINE = pyte.modes.IRM, pyte.modes.LNM
# Private modes
ALTERNATE = (47, 1047, 1049)
AUTOWRAP, ORIGIN, CURSOR, REVERSE = 7, 6, 25, 5


class _Saved(NamedTuple):
    """The state that DECSC saves. `charsets` are G0, G1 and the active one."""

    x: int = 0
    y: int = 0
    style: Cell = BLANK
    charsets: tuple[str, str, int] = (LATIN_1, LATIN_1, 0)
    has_origin: bool = False


class PyteScreen(pyte.Screen):  # type: ignore[misc]
    """pyte's screen with our cells. `private` holds the private modes; `main` the hidden main screen while the
    alternate screen is shown: its buffer, and the saved cursor."""

    columns: int
    lines: int
    mode: set[int]

    def __init__(self, columns: int, lines: int, scrollback: int) -> None:
        self.private: set[int] = set()
        self.main: tuple[dict[int, Line], _Saved | None] | None = None
        self.scrolled: deque[Row] = deque(maxlen=scrollback)
        self._saved: _Saved | None = None
        self._last = ""
        self._styled = styled_cells(BLANK)
        super().__init__(columns, lines)

    @property
    def default_char(self) -> Cell:
        """The contents of a cell that was never written."""
        return BLANK

    def row(self, number: int) -> Row:
        """Return one row."""
        line = self.buffer.get(number)
        row = (BLANK,) * self.columns if line is None else tuple(line.get(x, BLANK) for x in range(self.columns))
        if REVERSE in self.private:
            return tuple(cell._replace(reverse=not cell.reverse) for cell in row)
        return row

    def reset(self) -> None:
        """Return to the initial state (RIS)."""
        super().reset()
        self.main = None
        self._saved, self._last = None, ""
        self.private = {AUTOWRAP, CURSOR}
        self.g1_charset = LATIN_1
        self.set_style(BLANK)

    def soft_reset(self) -> None:
        """Reset the modes, margins and attributes (DECSTR); the text stays."""
        self.margins = None
        self.private.difference_update({ORIGIN, 1})
        self.private |= {AUTOWRAP, CURSOR}
        self.mode.clear()
        self.charset, self.g0_charset, self.g1_charset = 0, LATIN_1, LATIN_1
        self._saved = None
        self.set_style(BLANK)

    # Text

    def draw(self, text: str) -> None:
        """Write characters at the cursor. No control is among them."""
        charset = self.g1_charset if self.charset else self.g0_charset
        if charset is not LATIN_1:
            text = text.translate(charset)
        if text.isascii() and INSERT not in self.mode:
            self._last = text[-1]
            self._draw_plain(text)
            return
        for character in text:
            if columns := cells(character):
                self._last = character
                self._draw_one(character, columns)
            else:
                self._combine(character)

    def _draw_plain(self, text: str) -> None:
        """Write ASCII: row by row."""
        at, end = 0, len(text)
        while at < end:
            x = self._place(1)
            count = min(end - at, self.columns - x)
            line = self.buffer[self.cursor.y]
            split_wide(line, x, x + count)
            line.update(zip(range(x, x + count), map(self._styled.__getitem__, text[at : at + count]), strict=True))
            self.cursor.x = x + count
            self.dirty.add(self.cursor.y)
            at += count

    def _draw_one(self, character: str, columns: int) -> None:
        if columns > self.columns:
            return
        x = self._place(columns)
        if INSERT in self.mode:
            self.insert_characters(columns)
        line = self.buffer[self.cursor.y]
        split_wide(line, x, x + columns)
        line[x] = self._styled[character]
        if columns == 2:
            line[x + 1] = self._styled[""]
        self.cursor.x = x + columns
        self.dirty.add(self.cursor.y)

    def _place(self, columns: int) -> int:
        """Return the column for a character of this width; wrap if it does not fit."""
        if self.cursor.x + columns > self.columns:
            if AUTOWRAP in self.private:
                self.cursor.x = 0
                self.index()
            else:
                self.cursor.x = self.columns - columns
        return int(self.cursor.x)

    def _combine(self, character: str) -> None:
        """Add a character without width to the one before the cursor."""
        line = self.buffer[self.cursor.y]
        x = min(self.cursor.x, self.columns) - 1
        if x > 0 and line.get(x, BLANK).data == "":
            x -= 1
        if x >= 0 and len(before := line.get(x, BLANK).data) < COMBINED_MAX:
            line[x] = line.get(x, BLANK)._replace(data=before + character)
            self.dirty.add(self.cursor.y)

    def set_style(self, cell: Cell) -> None:
        """Let characters have the attributes of `cell` from now on."""
        self.cursor.attrs = cell
        self._styled = styled_cells(cell)

    @property
    def _erased(self) -> Cell:
        return Cell(bg=self.cursor.attrs.bg)

    def switch(self, *, to_alternate: bool, mode: int) -> None:
        """Show the other screen. The cursor does not move, but mode 1049 saves and restores it."""
        if to_alternate == (self.main is not None):
            return
        self.dirty.update(range(self.lines))
        if to_alternate:
            if mode == 1049:
                self.save_cursor()
            self.main = self.buffer.copy(), self._saved
            self._saved = None
            self.buffer.clear()
            return
        assert self.main is not None
        buffer, self._saved = self.main
        self.main = None
        self.private -= set(ALTERNATE)
        self.buffer.clear()
        self.buffer.update(buffer)
        if mode == 1049:
            self.restore_cursor()

    def save_cursor(self) -> None:
        """Save the cursor, its attributes, the character sets and the origin mode (DECSC)."""
        charsets = self.g0_charset, self.g1_charset, self.charset
        cursor = self.cursor
        self._saved = _Saved(cursor.x, cursor.y, cursor.attrs, charsets, ORIGIN in self.private)

    def restore_cursor(self) -> None:
        """Restore the last saved state, or the initial one (DECRC)."""
        saved = self._saved or _Saved()
        self.g0_charset, self.g1_charset, self.charset = saved.charsets
        self.private = self.private | {ORIGIN} if saved.has_origin else self.private - {ORIGIN}
        self.set_style(saved.style)
        self.cursor.x, self.cursor.y = min(saved.x, self.columns), min(saved.y, self.lines - 1)

    # Moves

    @property
    def _region(self) -> tuple[int, int]:
        return self.margins or (0, self.lines - 1)

    def set_region(self, top: int, bottom: int) -> None:
        """DECSTBM; a region of one row is invalid."""
        first, last = max(1, top), min(bottom or self.lines, self.lines)
        if first < last:
            self.margins = None if (first, last) == (1, self.lines) else pyte.screens.Margins(first - 1, last - 1)
            self.cursor_position()

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        """CUP; with the origin mode set relative to the scrolling region, and within it."""
        top, bottom = self._region if ORIGIN in self.private else (0, self.lines - 1)
        self.cursor.y = min(top + max(1, line or 1) - 1, bottom)
        self.cursor.x = min(max(1, column or 1), self.columns) - 1

    def to_line(self, line: int) -> None:
        """VPA."""
        self.cursor_position(line, self.cursor.x + 1)

    def up(self, count: int) -> None:
        """CUU: stops at the top of the region, if it begins in or below it."""
        top = self._region[0]
        self.cursor.y = max(self.cursor.y - count, top if self.cursor.y >= top else 0)
        self._unwrap()

    def down(self, count: int) -> None:
        """CUD: stops at the bottom of the region, if it begins in or above it."""
        bottom = self._region[1]
        self.cursor.y = min(self.cursor.y + count, bottom if self.cursor.y <= bottom else self.lines - 1)
        self._unwrap()

    def forward(self, count: int) -> None:
        """CUF."""
        self.cursor.x = min(self.cursor.x + count, self.columns - 1)

    def back(self, count: int) -> None:
        """CUB."""
        self._unwrap()
        self.cursor.x = max(0, self.cursor.x - count)

    def to_column(self, column: int) -> None:
        """CHA."""
        self.cursor.x = min(column, self.columns) - 1

    def next_line(self, count: int) -> None:
        """CNL."""
        self.down(count)
        self.cursor.x = 0

    def previous_line(self, count: int) -> None:
        """CPL."""
        self.up(count)
        self.cursor.x = 0

    def tabs(self, count: int) -> None:
        """CHT."""
        for _ in range(min(count, self.columns)):
            self.tab()

    def back_tabs(self, count: int) -> None:
        """CBT."""
        for _ in range(min(count, self.columns)):
            self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)

    def _unwrap(self) -> None:
        self.cursor.x = min(self.cursor.x, self.columns - 1)

    # Scrolling

    def index(self) -> None:
        """Move down; at the bottom of the region scroll it (IND)."""
        if self.cursor.y == self._region[1]:
            self.scroll_up(1)
        elif self.cursor.y < self.lines - 1:
            self.cursor.y += 1

    def reverse_index(self) -> None:
        """Move up; at the top of the region scroll it (RI)."""
        if self.cursor.y == self._region[0]:
            self._shift(self._region[0], 1)
        elif self.cursor.y > 0:
            self.cursor.y -= 1

    def scroll_up(self, count: int) -> None:
        """Scroll the region up (SU); rows that leave the whole main screen at the top go into the scrollback."""
        top = self._region[0]
        if top == 0 and self.main is None and self.scrolled.maxlen:
            self.scrolled.extend(self.row(number) for number in range(min(count, self.lines)))
        self._shift(top, -count)

    def scroll_down(self, count: int) -> None:
        """Scroll the region down (SD)."""
        self._shift(self._region[0], count)

    def insert_lines(self, count: int | None = None) -> None:
        """IL."""
        self._shift_at_cursor(count or 1)

    def delete_lines(self, count: int | None = None) -> None:
        """DL."""
        self._shift_at_cursor(-(count or 1))

    def _shift_at_cursor(self, count: int) -> None:
        top, bottom = self._region
        if top <= self.cursor.y <= bottom:
            self._shift(self.cursor.y, count)
            self.cursor.x = 0

    def _shift(self, top: int, count: int) -> None:
        """Move the rows from `top` to the bottom of the region down by `count`, or up if it is negative."""
        bottom = self._region[1]
        rows = {y: self.buffer.pop(y) for y in range(top, bottom + 1) if y in self.buffer}
        for y, line in rows.items():
            if top <= y + count <= bottom:
                self.buffer[y + count] = line
        if self.cursor.attrs.bg:
            size = min(abs(count), bottom - top + 1)
            for y in range(top, top + size) if count > 0 else range(bottom + 1 - size, bottom + 1):
                self._erase(y, 0, self.columns)
        self.dirty.update(range(top, bottom + 1))

    # Erasing

    def _erase(self, y: int, start: int, end: int) -> None:
        self.dirty.add(y)
        blank = self._erased
        if blank == BLANK and start == 0 and end >= self.columns:
            self.buffer.pop(y, None)
            return
        line = self.buffer[y]
        split_wide(line, start, end)
        for x in range(start, min(end, self.columns)):
            line[x] = blank

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """EL. After the last column nothing is erased, as in tmux; xterm would erase the last character."""
        x = min(self.cursor.x, self.columns - 1)
        start, end = {0: (self.cursor.x, self.columns), 1: (0, x + 1), 2: (0, self.columns)}.get(how, (0, 0))
        if start < end:
            self._erase(self.cursor.y, start, end)

    def erase_in_display(self, how: int = 0, *words: object, **named: object) -> None:
        """ED; 3 erases the scrollback alone, as in xterm."""
        y = self.cursor.y
        if how == 3:
            self.scrolled.clear()
        if how in (0, 1):
            self.erase_in_line(how)
        for number in {0: range(y + 1, self.lines), 1: range(y), 2: range(self.lines)}.get(how, range(0)):
            self._erase(number, 0, self.columns)

    def erase_characters(self, count: int | None = None) -> None:
        """ECH."""
        x = min(self.cursor.x, self.columns - 1)
        self._erase(self.cursor.y, x, min(x + (count or 1), self.columns))

    def insert_characters(self, count: int | None = None) -> None:
        """ICH."""
        self._slide(count or 1)

    def delete_characters(self, count: int | None = None) -> None:
        """DCH."""
        self._slide(-(count or 1))

    def _slide(self, count: int) -> None:
        slide(self.buffer[self.cursor.y], min(self.cursor.x, self.columns - 1), count, self.columns, self._erased)
        self.dirty.add(self.cursor.y)

    def repeat(self, count: int) -> None:
        """REP."""
        if self._last:
            count = min(count, self.columns * self.lines)
            for _ in range(count):
                self._draw_one(self._last, cells(self._last))

    # Size

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Change the size of both screens."""
        lines, columns = lines or self.lines, columns or self.columns
        if (lines, columns) == (self.lines, self.columns):
            return
        off = max(0, self.cursor.y + 1 - lines)
        if off and self.main is None and self.scrolled.maxlen:
            self.scrolled.extend(self.row(number) for number in range(off))
        fit(self.buffer, off, lines, columns)
        if self.main is not None:
            buffer, saved = self.main
            above = max(0, saved.y + 1 - lines) if saved else 0
            fit(buffer, above, lines, columns)
            self.main = buffer, saved and saved._replace(x=min(saved.x, columns), y=saved.y - above)
        self.tabstops |= set(range(self.columns + -self.columns % 8, columns, 8))
        self.lines, self.columns, self.margins = lines, columns, None
        self.cursor.y, self.cursor.x = max(0, self.cursor.y - off), min(self.cursor.x, columns)
        for line in self.buffer.values():
            mend(line, self.columns)
        self.dirty.update(range(lines))
