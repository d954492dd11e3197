"""Emulates a whole screen from a program's output: bytes in, rows of cells out.

The screen is pyte's (`terminal.pyte_screen`). If pyte is not installed, importing this file raises OrchestrateError.
"""

from __future__ import annotations

import codecs

from orchestrator.terminal.pyte_screen import CURSOR, PyteScreen
from orchestrator.terminal.screen_cells import Row, Screen
from orchestrator.terminal.sequence_interpreter import SequenceInterpreter
from orchestrator.terminal.sequence_parser import SequenceParser

SIDE_MAX = 1000  # rows and columns of a screen


class Emulator:
    """A terminal of `columns` × `lines` that shows what `feed` gets. `scrollback` is how many rows that scroll off the
    top are kept."""

    def __init__(self, columns: int, lines: int, scrollback: int = 0) -> None:
        self._screen = PyteScreen(_side(columns), _side(lines), scrollback)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = SequenceParser(SequenceInterpreter(self._screen))

    def feed(self, data: bytes) -> None:
        """Process more output, cut anywhere. No output raises an exception or is answered."""
        self._parser.feed(self._decoder.decode(data))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size, as xterm does: rows go off the top only as far as the cursor needs it; nothing is wrapped
        again."""
        self._screen.resize(_side(lines), _side(columns))

    def reset(self) -> None:
        """Return to the initial state, with the same size."""
        self._decoder.reset()
        self._parser.reset()
        self._screen.reset()

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self._screen.columns)

    @property
    def lines(self) -> int:
        """The number of rows."""
        return int(self._screen.lines)

    @property
    def title(self) -> str:
        """The window title that the program has set."""
        return str(self._screen.title)

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row, from 0. Past the last column the cursor is in it: the next character wraps."""
        cursor = self._screen.cursor
        return min(cursor.x, self.columns - 1), cursor.y

    @property
    def is_cursor_visible(self) -> bool:
        """Whether the cursor is shown (DECTCEM)."""
        return CURSOR in self._screen.private

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
        """Return everything that is visible now."""
        x, y = self.cursor
        rows = tuple(self.row(number) for number in range(self.lines))
        return Screen(rows, x, y, self.is_cursor_visible, self.title, self.is_alternate, self.modes)


def _side(number: int) -> int:
    return max(1, min(number, SIDE_MAX))
