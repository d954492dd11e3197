"""A whole screen, as a terminal makes it of a program's output: pyte's, with what pyte lacks or does differently.

Only this file imports pyte (LGPL, the extra `screen`), and the supervisor never imports this file: importing it raises
OrchestrateError, with what to install, if there is no pyte.

From pyte: the sparse buffer, the cursor and its moves, tab stops and character sets. Replaced here, because tmux and
xterm do it differently (compared with pyte 0.8.1 and 0.8.2; the tests compare with tmux):

- the parser: pyte prints the text of DCS, APC and of CSI with intermediates (`CSI ! p`), takes `CSI > 4 m` for SGR,
  ignores `ESC ( 0` in UTF-8, raises TypeError for `CSI ? 1 m`, and has no bound for an OSC;
- alternate screens (modes 47, 1047, 1049), REP, SU, SD, CBT, CHT, DECSTR; one place for DECSC, not a stack;
- what is erased keeps the background color and no other attribute; `CSI 3 J` erases the scrollback alone;
- a wide character is never cut into halves, and never begins in the last column;
- colors remain indexes of the palette, and dim and concealed text is known.
"""

from __future__ import annotations

import codecs
import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from orchestrator.model.errors import OrchestrateError
from orchestrator.terminal.screen_cells import BLANK, Cell, Row, Screen, parameter, styled
from orchestrator.terminal.sequence_parser import SequenceParser
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
SIDE_MAX = 1000  # rows and columns of a screen
_LATIN_1, _GRAPHICS = pyte.charsets.LAT1_MAP, pyte.charsets.VT100_MAP
_ALTERNATE = (47, 1047, 1049)
_AUTOWRAP, _ORIGIN, _CURSOR, _REVERSE = 7, 6, 25, 5


class Emulator:
    """A terminal of `columns` × `lines` that shows what `feed` gets. `scrollback` is how many rows that scroll off the
    top are kept."""

    def __init__(self, columns: int, lines: int, scrollback: int = 0) -> None:
        self._screen = _Screen(_side(columns), _side(lines), scrollback)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = SequenceParser(self._screen)

    def feed(self, data: bytes) -> None:
        """Show more output, cut anywhere. Nothing in it can raise or answer."""
        self._parser.feed(self._decoder.decode(data))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as xterm does: rows go off the top only as far as the cursor needs it; nothing is wrapped
        again."""
        self._screen.resize(_side(lines), _side(columns))

    def reset(self) -> None:
        """Be as new, with the same size."""
        self._decoder.reset()
        self._parser.reset()
        self._screen.reset()

    @property
    def columns(self) -> int:
        """Its width."""
        return int(self._screen.columns)

    @property
    def lines(self) -> int:
        """Its height."""
        return int(self._screen.lines)

    @property
    def title(self) -> str:
        """What the program has set as the window's title."""
        return str(self._screen.title)

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0. Past the last column the cursor is in it: the next character wraps."""
        cursor = self._screen.cursor
        return min(cursor.x, self.columns - 1), cursor.y

    @property
    def is_cursor_visible(self) -> bool:
        """Whether the cursor is shown (DECTCEM)."""
        return _CURSOR in self._screen.private

    @property
    def is_alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return self._screen.main is not None

    @property
    def modes(self) -> frozenset[int]:
        """The private modes that are set, for example 1 (application cursor keys), 1000 (mouse), 2004 (paste)."""
        return frozenset(self._screen.private)

    @property
    def scrollback(self) -> tuple[Row, ...]:
        """Rows that have scrolled off the top, oldest first. Their width is that of the screen at that time."""
        return tuple(self._screen.scrolled)

    def row(self, number: int) -> Row:
        """Return one row, of exactly `columns` cells."""
        return self._screen.row(number)

    def take_changed(self) -> set[int]:
        """Return the rows that may have changed since the last call."""
        changed = {number for number in self._screen.dirty if 0 <= number < self.lines}
        self._screen.dirty.clear()
        return changed

    def screen(self) -> Screen:
        """Return all there is to see now."""
        x, y = self.cursor
        rows = tuple(self.row(number) for number in range(self.lines))
        return Screen(rows, x, y, self.is_cursor_visible, self.title, self.is_alternate, self.modes)


def _side(number: int) -> int:
    return max(1, min(number, SIDE_MAX))


class _Saved(NamedTuple):
    """What DECSC saves. `charsets` are G0, G1 and which of them is in use."""

    x: int = 0
    y: int = 0
    style: Cell = BLANK
    charsets: tuple[str, str, int] = (_LATIN_1, _LATIN_1, 0)
    has_origin: bool = False


class _Styles(dict[str, Cell]):
    """The cells of one style, by character."""

    def __init__(self, style: Cell) -> None:
        super().__init__()
        self._style = style

    def __missing__(self, character: str) -> Cell:
        cell = self._style._replace(data=character)
        if len(self) < 1024:
            self[character] = cell
        return cell


_styles = functools.lru_cache(maxsize=64)(_Styles)


class _Screen(pyte.Screen):  # type: ignore[misc]
    """pyte's screen with the cells of ours. `private` holds the private modes; `main` what the alternate screen covers:
    its buffer, and the saved cursor."""

    columns: int
    lines: int
    mode: set[int]

    def __init__(self, columns: int, lines: int, scrollback: int) -> None:
        self.private: set[int] = set()
        self.main: tuple[dict[int, dict[int, Cell]], _Saved | None] | None = None
        self.scrolled: deque[Row] = deque(maxlen=scrollback)
        self._saved: _Saved | None = None
        self._last = ""
        self._styled = _styles(BLANK)
        super().__init__(columns, lines)

    @property
    def default_char(self) -> Cell:
        """What a cell holds that was never written to."""
        return BLANK

    def row(self, number: int) -> Row:
        """Return one row."""
        line = self.buffer.get(number)
        row = (BLANK,) * self.columns if line is None else tuple(line.get(x, BLANK) for x in range(self.columns))
        if _REVERSE in self.private:
            return tuple(cell._replace(reverse=not cell.reverse) for cell in row)
        return row

    def reset(self) -> None:
        """Return to the initial state (RIS)."""
        super().reset()
        self.main = None
        self._saved, self._last = None, ""
        self.private = {_AUTOWRAP, _CURSOR}
        self.g1_charset = _LATIN_1
        self._set_style(BLANK)

    def _soft_reset(self) -> None:
        """DECSTR."""
        self.margins = None
        self.private.difference_update({_ORIGIN, 1})
        self.private |= {_AUTOWRAP, _CURSOR}
        self.mode.clear()
        self.charset, self.g0_charset, self.g1_charset = 0, _LATIN_1, _LATIN_1
        self._saved = None
        self._set_style(BLANK)

    # Text

    def draw(self, text: str) -> None:
        """Write characters at the cursor. No control is among them."""
        charset = self.g1_charset if self.charset else self.g0_charset
        if charset is not _LATIN_1:
            text = text.translate(charset)
        if text.isascii() and pyte.modes.IRM not in self.mode:
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
            self._split_wide(line, x, x + count)
            line.update(zip(range(x, x + count), map(self._styled.__getitem__, text[at : at + count]), strict=True))
            self.cursor.x = x + count
            self.dirty.add(self.cursor.y)
            at += count

    def _draw_one(self, character: str, columns: int) -> None:
        if columns > self.columns:
            return
        x = self._place(columns)
        if pyte.modes.IRM in self.mode:
            self.insert_characters(columns)
        line = self.buffer[self.cursor.y]
        self._split_wide(line, x, x + columns)
        line[x] = self._styled[character]
        if columns == 2:
            line[x + 1] = self._styled[""]
        self.cursor.x = x + columns
        self.dirty.add(self.cursor.y)

    def _place(self, columns: int) -> int:
        """Return the column where a character of this width goes; wraps if it has no room."""
        if self.cursor.x + columns > self.columns:
            if _AUTOWRAP in self.private:
                self.cursor.x = 0
                self.index()
            else:
                self.cursor.x = self.columns - columns
        return int(self.cursor.x)

    def _combine(self, character: str) -> None:
        """Add to the character before the cursor one that takes no cell."""
        line = self.buffer[self.cursor.y]
        x = min(self.cursor.x, self.columns) - 1
        if x > 0 and line.get(x, BLANK).data == "":
            x -= 1
        if x >= 0 and len(before := line.get(x, BLANK).data) < COMBINED_MAX:
            line[x] = line.get(x, BLANK)._replace(data=before + character)
            self.dirty.add(self.cursor.y)

    def _split_wide(self, line: dict[int, Cell], start: int, end: int) -> None:
        """Blank the other halves of wide characters that the cells from `start` to `end` are about to lose."""
        if start > 0 and (cell := line.get(start)) is not None and cell.data == "":
            line[start - 1] = line.get(start - 1, BLANK)._replace(data=" ")
        if (cell := line.get(end)) is not None and cell.data == "":
            line[end] = cell._replace(data=" ")

    def _set_style(self, cell: Cell) -> None:
        self.cursor.attrs = cell
        self._styled = _styles(cell)

    @property
    def _erased(self) -> Cell:
        return Cell(bg=self.cursor.attrs.bg)

    # Controls and sequences

    def control(self, character: str) -> None:
        """Carry out a C0 control. C1 controls have no effect: in UTF-8 they are most often garbage."""
        match character:
            case "\n" | "\v" | "\f":
                self.index()
                if pyte.modes.LNM in self.mode:
                    self.cursor.x = 0
            case "\r":
                self.cursor.x = 0
            case "\b":
                self.cursor.x = max(0, min(self.cursor.x, self.columns) - 1)
            case "\t":
                if self.cursor.x < self.columns:
                    self.tab()
            case "\x0e":
                self.charset = 1
            case "\x0f":
                self.charset = 0

    def escape(self, intermediates: str, final: str) -> None:
        """Carry out an escape sequence that is neither CSI nor a string."""
        match intermediates, final:
            case "", "7":
                self.save_cursor()
            case "", "8":
                self.restore_cursor()
            case "", "D":
                self.index()
            case "", "E":
                self.cursor.x = 0
                self.index()
            case "", "M":
                self.reverse_index()
            case "", "H":
                self.set_tab_stop()
            case "", "c":
                self.reset()
            case "", "=" | ">":
                self._set_private([66], final == "=")
            case "#", "8":
                self.margins = None
                self.alignment_display()
                self.cursor_position()
            case "(", _:
                self.g0_charset = _GRAPHICS if final == "0" else _LATIN_1
            case ")", _:
                self.g1_charset = _GRAPHICS if final == "0" else _LATIN_1

    def osc(self, text: str) -> None:
        """Carry out an operating system command: the title."""
        code, _, rest = text.partition(";")
        if code in ("0", "2"):
            self.title = "".join(c for c in rest if c.isprintable())

    def csi(self, name: str, text: str) -> None:
        """Carry out a control sequence; `name` is its prefix, intermediates and final byte."""
        if name == "m":
            self._set_style(styled(self.cursor.attrs, text))
            return
        words = [parameter(word) for word in text.replace(":", ";").split(";")]
        if action := _ACTIONS.get(name):
            action(self, max(1, words[0]))
            return
        first = words[0]
        second = words[1] if len(words) > 1 else 0
        match name:
            case "H" | "f":
                self.cursor_position(first, second)
            case "J" | "?J":
                self.erase_in_display(first)
            case "K" | "?K":
                self.erase_in_line(first)
            case "r":
                self._set_region(first, second)
            case "g":
                self.clear_tab_stop(first)
            case "h" | "l":
                known = {pyte.modes.IRM, pyte.modes.LNM} & set(words)
                self.mode = self.mode | known if name == "h" else self.mode - known
            case "?h" | "?l":
                self._set_private(words, name == "?h")
            case "s" if not text:
                self.save_cursor()
            case "u" if not text:
                self.restore_cursor()
            case "!p":
                self._soft_reset()

    def _set_private(self, modes: Iterable[int], is_set: bool) -> None:
        for mode in modes:
            if mode in _ALTERNATE:
                self._switch(to_alternate=is_set, mode=mode)
            elif mode == 1048:
                self.save_cursor() if is_set else self.restore_cursor()
                continue
            self.private = self.private | {mode} if is_set else self.private - {mode}
            if mode == _ORIGIN:
                self.cursor_position()
            elif mode == _REVERSE:
                self.dirty.update(range(self.lines))

    def _switch(self, *, to_alternate: bool, mode: int) -> None:
        """Show the other screen. The cursor stays where it is, but with 1049 it is saved and restored."""
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
        self.private -= set(_ALTERNATE)
        self.buffer.clear()
        self.buffer.update(buffer)
        if mode == 1049:
            self.restore_cursor()

    def save_cursor(self) -> None:
        """Save the cursor, its attributes, the character sets and the origin mode (DECSC)."""
        charsets = self.g0_charset, self.g1_charset, self.charset
        cursor = self.cursor
        self._saved = _Saved(cursor.x, cursor.y, cursor.attrs, charsets, _ORIGIN in self.private)

    def restore_cursor(self) -> None:
        """Restore what was saved last, or the initial state (DECRC)."""
        saved = self._saved or _Saved()
        self.g0_charset, self.g1_charset, self.charset = saved.charsets
        self.private = self.private | {_ORIGIN} if saved.has_origin else self.private - {_ORIGIN}
        self._set_style(saved.style)
        self.cursor.x, self.cursor.y = min(saved.x, self.columns), min(saved.y, self.lines - 1)

    # Moves

    @property
    def _region(self) -> tuple[int, int]:
        return self.margins or (0, self.lines - 1)

    def _set_region(self, top: int, bottom: int) -> None:
        """DECSTBM; a region of one row is invalid."""
        first, last = max(1, top), min(bottom or self.lines, self.lines)
        if first < last:
            self.margins = None if (first, last) == (1, self.lines) else pyte.screens.Margins(first - 1, last - 1)
            self.cursor_position()

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        """CUP; with the origin mode set relative to the scrolling region, and within it."""
        top, bottom = self._region if _ORIGIN in self.private else (0, self.lines - 1)
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
        """Scroll the region up (SU); what leaves the whole main screen at the top goes into the scrollback."""
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
        self._split_wide(line, start, end)
        for x in range(start, min(end, self.columns)):
            line[x] = blank

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """EL. Behind the last column nothing is left to erase, as in tmux; xterm would erase the last character."""
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
        self._slide(min(count or 1, self.columns))

    def delete_characters(self, count: int | None = None) -> None:
        """DCH."""
        self._slide(-min(count or 1, self.columns))

    def _slide(self, count: int) -> None:
        """Move the rest of the row from the cursor to the right, or to the left."""
        y, x = self.cursor.y, min(self.cursor.x, self.columns - 1)
        line = self.buffer[y]
        row = [line.get(n, BLANK) for n in range(self.columns)]
        blanks = [self._erased] * min(abs(count), self.columns - x)
        rest = [*blanks, *row[x:]] if count > 0 else [*row[x - count :], *blanks]
        row = [*row[:x], *rest][: self.columns]
        for n, cell in enumerate(row):
            line[n] = cell
        self._mend(line)
        self.dirty.add(y)

    def _mend(self, line: dict[int, Cell]) -> None:
        """Blank halves of wide characters that have lost the other."""
        for x in range(self.columns):
            cell = line.get(x, BLANK)
            before = line.get(x - 1, BLANK) if x else BLANK
            after = line.get(x + 1, BLANK) if x + 1 < self.columns else BLANK
            if (cell.data == "" and not _is_wide(before)) or (_is_wide(cell) and after.data != ""):
                line[x] = cell._replace(data=" ")

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
        _fit(self.buffer, off, lines, columns)
        if self.main is not None:
            buffer, saved = self.main
            above = max(0, saved.y + 1 - lines) if saved else 0
            _fit(buffer, above, lines, columns)
            self.main = buffer, saved and saved._replace(x=min(saved.x, columns), y=saved.y - above)
        self.tabstops |= set(range(self.columns + -self.columns % 8, columns, 8))
        self.lines, self.columns, self.margins = lines, columns, None
        self.cursor.y, self.cursor.x = max(0, self.cursor.y - off), min(self.cursor.x, columns)
        for line in self.buffer.values():
            self._mend(line)
        self.dirty.update(range(lines))


def _fit(buffer: dict[int, dict[int, Cell]], off: int, lines: int, columns: int) -> None:
    """Drop `off` rows at the top, and what does not fit below and to the right."""
    rows = dict(buffer)
    buffer.clear()
    for y, line in rows.items():
        if 0 <= y - off < lines:
            buffer[y - off] = line
            for x in [x for x in line if x >= columns]:
                del line[x]


def _is_wide(cell: Cell) -> bool:
    return bool(cell.data) and not cell.data.isascii() and cells(cell.data[0]) == 2


_ACTIONS: dict[str, Callable[[_Screen, int], object]] = {
    "@": _Screen.insert_characters,
    "A": _Screen.up,
    "B": _Screen.down,
    "C": _Screen.forward,
    "D": _Screen.back,
    "E": _Screen.next_line,
    "F": _Screen.previous_line,
    "G": _Screen.to_column,
    "I": _Screen.tabs,
    "L": _Screen.insert_lines,
    "M": _Screen.delete_lines,
    "P": _Screen.delete_characters,
    "S": _Screen.scroll_up,
    "T": _Screen.scroll_down,
    "X": _Screen.erase_characters,
    "Z": _Screen.back_tabs,
    "`": _Screen.to_column,
    "a": _Screen.forward,
    "b": _Screen.repeat,
    "d": _Screen.to_line,
    "e": _Screen.down,
}
