"""Computes the cursor's position after some output, on a terminal of a known size (ECMA-48, ctlseqs of xterm).

`Cursor` computes only the position: it follows text (with wrapping and wide characters), motions, margins, saved
positions, and the switch to the alternate screen. `CursorRow` keeps the characters too, without colors.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator.terminal.width import cells

_CSI = rb"\x1b\[(?P<private>[<-?]?)(?P<parameters>[0-9;:]{0,64})(?P<between>[ -/]{0,2})(?P<final>[@-~])"
_TOKEN = re.compile(
    rb"(?P<text>[ -~\x80-\xff]+)"
    rb"|" + _CSI + rb"|\x1b[\]PX^_][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\)?"
    rb"|\x1b[ -/]+[0-~]|\x1b(?P<escape>[0-~])|(?P<control>[\x00-\x1f])",
)
TAB = 8


class Cursor:
    """A cursor that follows output. `row` and `column` count from 0; a `column` equal to the width means a pending
    wrap."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = max(1, rows), max(1, columns)
        self._reset()

    def _reset(self) -> None:
        self.row = self.column = 0
        self._top, self._bottom = 0, self.rows - 1
        self._origin, self._wraps = False, True
        self._saved = self._saved_main = (0, 0, False)
        self._last = b" "

    def set_modes(self, margins: bytes, *, origin: bool, wraps: bool) -> None:
        """Set the initial modes; the cursor does not move."""
        row, column = self.row, self.column
        self._set_margins(_numbers(margins))
        self._origin, self._wraps, self.row, self.column = origin, wraps, row, column

    def feed(self, output: bytes) -> None:
        """Follow this output."""
        for match in _TOKEN.finditer(output):
            if text := match["text"]:
                self._write(text)
            elif match["control"]:
                self._control(match["control"])
            elif match["escape"]:
                self._escape(match["escape"])
            elif match["final"] and not match["between"]:
                self._sequence(match["private"], match["parameters"], match["final"])

    @property
    def position(self) -> tuple[int, int]:
        """Row and column as a terminal reports them: from 1, in origin mode from the top margin."""
        return self.row + 1 - (self._top if self._origin else 0), min(self.column + 1, self.columns)

    def _write(self, text: bytes) -> None:
        if text.isascii():
            self._last = text[-1:]
            self._advance(len(text))
            return
        for character in text.decode("utf-8", "replace"):
            width = cells(character)
            self._last = character.encode()
            if width == 2 and self.column + 2 > self.columns > 1 and self._wraps:
                self.column = self.columns  # it does not fit, so it is written on the next row
            if width:
                self._advance(width)

    def _advance(self, width: int) -> None:
        column = self.column + width
        if self._wraps and column > self.columns:
            wraps = (column - 1) // self.columns
            for _ in range(min(wraps, self.rows)):
                self._index()
            column -= wraps * self.columns
        self.column = min(column, self.columns)

    def _index(self) -> None:
        if self.row != self._bottom:
            self.row = min(self.row + 1, self.rows - 1)

    def _control(self, control: bytes) -> None:
        stands = min(self.column, self.columns - 1)
        if control in b"\n\v\f":
            self._index()
            self.column = stands
        elif control == b"\r":
            self.column = 0
        elif control == b"\b":
            self.column = max(0, stands - 1)
        elif control == b"\t":
            self.column = min((stands // TAB + 1) * TAB, self.columns - 1)

    def _escape(self, final: bytes) -> None:
        if final == b"7":
            self._saved = (self.row, self.column, self._origin)
        elif final == b"8":
            self.row, self.column, self._origin = self._saved
        elif final in (b"D", b"E"):
            self._index()
            self.column = 0 if final == b"E" else min(self.column, self.columns - 1)
        elif final == b"M" and self.row != self._top:
            self.row = max(0, self.row - 1)
        elif final == b"c":
            self._reset()

    def _sequence(self, private: bytes, parameters: bytes, final: bytes) -> None:
        numbers = _numbers(parameters)
        if private == b"?" and final in (b"h", b"l"):
            for number in numbers:
                self._switch(number, on=final == b"h")
        elif not private and (motion := _MOTIONS.get(final)):
            motion(self, numbers)

    def _switch(self, number: int, *, on: bool) -> None:
        if number == 6:
            self._origin = on
            self._go(0, 0)
        elif number == 7:
            self._wraps = on
        elif number == 1048:
            self._escape(b"7" if on else b"8")
        elif number == 1049:
            if on:
                self._saved_main = (self.row, self.column, self._origin)
            else:
                self.row, self.column, self._origin = self._saved_main

    # Motions

    def _go(self, row: int, column: int) -> None:
        """Go to a row, in origin mode within the margins, and a column."""
        first, last = (self._top, self._bottom) if self._origin else (0, self.rows - 1)
        self.row = max(first, min(first + row, last))
        self.column = max(0, min(column, self.columns - 1))

    def _move(self, rows: int, columns: int) -> None:
        """Move; margins that the cursor is within stop it."""
        first = self._top if self.row >= self._top else 0
        last = self._bottom if self.row <= self._bottom else self.rows - 1
        if rows:
            self.row = max(first, min(self.row + rows, last))
        self.column = max(0, min(min(self.column, self.columns - 1) + columns, self.columns - 1))

    def _set_margins(self, numbers: list[int]) -> None:
        top, bottom = (*numbers, 0, 0)[:2]
        top, bottom = max(1, top), min(bottom or self.rows, self.rows)
        if top < bottom:
            self._top, self._bottom = top - 1, bottom - 1
            self._go(0, 0)

    def _save(self, _: list[int]) -> None:
        self._escape(b"7")

    def _restore(self, _: list[int]) -> None:
        self._escape(b"8")

    def _repeat(self, numbers: list[int]) -> None:
        self._write(self._last * min(_count(numbers), self.rows * self.columns))

    def _tab(self, numbers: list[int]) -> None:
        for _ in range(min(_count(numbers), self.columns)):
            self._control(b"\t")

    def _tab_back(self, numbers: list[int]) -> None:
        for _ in range(min(_count(numbers), self.columns)):
            self.column = max(0, (min(self.column, self.columns - 1) - 1) // TAB * TAB)


def _numbers(parameters: bytes) -> list[int]:
    return [int(number.partition(b":")[0][:9] or 0) for number in parameters.split(b";")]


def _count(numbers: list[int]) -> int:
    return numbers[0] or 1


def _second(numbers: list[int]) -> int:
    return numbers[1] if len(numbers) > 1 else 0


_Motion = Callable[[Cursor, list[int]], None]
_MOTIONS: dict[bytes, _Motion] = {
    b"A": lambda c, n: c._move(-_count(n), 0),
    b"B": lambda c, n: c._move(_count(n), 0),
    b"e": lambda c, n: c._move(_count(n), 0),
    b"C": lambda c, n: c._move(0, _count(n)),
    b"a": lambda c, n: c._move(0, _count(n)),
    b"D": lambda c, n: c._move(0, -_count(n)),
    b"E": lambda c, n: c._move(_count(n), -c.columns),
    b"F": lambda c, n: c._move(-_count(n), -c.columns),
    b"G": lambda c, n: c._move(0, _count(n) - 1 - min(c.column, c.columns - 1)),
    b"`": lambda c, n: c._move(0, _count(n) - 1 - min(c.column, c.columns - 1)),
    b"H": lambda c, n: c._go(_count(n) - 1, (_second(n) or 1) - 1),
    b"f": lambda c, n: c._go(_count(n) - 1, (_second(n) or 1) - 1),
    b"d": lambda c, n: c._go(_count(n) - 1, c.column),
    b"I": Cursor._tab,
    b"Z": Cursor._tab_back,
    b"b": Cursor._repeat,
    b"r": Cursor._set_margins,
    b"s": Cursor._save,
    b"u": Cursor._restore,
    b"L": lambda c, _: c._control(b"\r"),
    b"M": lambda c, _: c._control(b"\r"),
}


class CursorRow(Cursor):
    """A cursor that also keeps the characters, so that its row can be read. Each character takes a step."""

    _cells: list[list[str]]
    _main: list[list[str]] | None  # while the alternate screen is shown

    @property
    def row_before_cursor(self) -> str:
        """The text from the beginning of the row to the cursor."""
        return "".join(self._cells[self.row][: self.column])

    def _blank(self) -> list[list[str]]:
        return [self._blank_row() for _ in range(self.rows)]

    def _blank_row(self) -> list[str]:
        return [" "] * self.columns

    def _reset(self) -> None:
        super()._reset()
        self._cells, self._main = self._blank(), None

    def _write(self, text: bytes) -> None:
        for character in text.decode("utf-8", "replace"):
            width = cells(character)
            if not width:
                continue
            self._last = character.encode()
            if self._wraps and self.column + width > self.columns:
                self.column = self.columns
            self._advance(width)
            at = max(0, self.column - width)
            self._cells[self.row][at : at + width] = [character, ""][:width]

    def _index(self) -> None:
        if self.row == self._bottom:
            self._scroll(self._top, 1)
        super()._index()

    def _scroll(self, first: int, rows: int) -> None:
        """Scroll from row `first` to the bottom margin, up by `rows` or, if that is negative, down."""
        for _ in range(min(abs(rows), self.rows)):
            del self._cells[first if rows > 0 else self._bottom]
            self._cells.insert(self._bottom if rows > 0 else first, self._blank_row())

    def _escape(self, final: bytes) -> None:
        if final == b"M" and self.row == self._top:
            self._scroll(self._top, -1)
        super()._escape(final)

    def _switch(self, number: int, *, on: bool) -> None:
        super()._switch(number, on=on)
        if number in (47, 1047, 1049):
            if on and self._main is None:
                self._main, self._cells = self._cells, self._blank()
            elif not on and self._main is not None:
                self._cells, self._main = self._main, None

    def _sequence(self, private: bytes, parameters: bytes, final: bytes) -> None:
        if not private:
            self._edit(final, _numbers(parameters))
        super()._sequence(private, parameters, final)

    def _edit(self, final: bytes, numbers: list[int]) -> None:
        row, at, count = self._cells[self.row], min(self.column, self.columns - 1), _count(numbers)
        if final in (b"J", b"K"):
            begin, end = {0: (at, self.columns), 1: (0, at + 1)}.get(numbers[0], (0, self.columns))
            row[begin:end] = [" "] * (end - begin)
            others = {0: range(self.row + 1, self.rows), 1: range(self.row)}.get(numbers[0], range(self.rows))
            for other in others if final == b"J" else ():
                self._cells[other] = self._blank_row()
        elif final == b"X":
            row[at : at + count] = [" "] * (min(at + count, self.columns) - at)
        elif final in (b"@", b"P"):
            row[at:at] = [" "] * (min(count, self.columns) if final == b"@" else 0)
            del row[at : at + (count if final == b"P" else 0)]
            self._cells[self.row] = (row + self._blank_row())[: self.columns]
        elif final in (b"L", b"M") and self._top <= self.row <= self._bottom:
            self._scroll(self.row, count if final == b"M" else -count)
        elif final in (b"S", b"T"):
            self._scroll(self._top, count if final == b"S" else -count)
