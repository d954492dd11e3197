"""The rows of a screen while it changes: cells by column, without those that were never written.

A wide character takes two cells, the second one empty. The functions here keep it whole, or blank both halves.
"""

from __future__ import annotations

import functools

from orchestrator.terminal.screen_cells import BLANK, Cell
from orchestrator.terminal.width import cells

Line = dict[int, Cell]


class StyledCells(dict[str, Cell]):
    """The cells of one style, by character."""

    def __init__(self, style: Cell) -> None:
        super().__init__()
        self._style = style

    def __missing__(self, character: str) -> Cell:
        cell = self._style._replace(data=character)
        if len(self) < 1024:
            self[character] = cell
        return cell


styled_cells = functools.lru_cache(maxsize=64)(StyledCells)


def split_wide(line: Line, start: int, end: int) -> None:
    """Blank the other halves of wide characters that the cells from `start` to `end` are about to lose."""
    if start > 0 and (cell := line.get(start)) is not None and cell.data == "":
        line[start - 1] = line.get(start - 1, BLANK)._replace(data=" ")
    if (cell := line.get(end)) is not None and cell.data == "":
        line[end] = cell._replace(data=" ")


def slide(line: Line, x: int, count: int, columns: int, blank: Cell) -> None:
    """Move the rest of the row from column `x` by `count` columns to the right, or to the left if it is negative."""
    count = max(-columns, min(count, columns))
    row = [line.get(n, BLANK) for n in range(columns)]
    blanks = [blank] * min(abs(count), columns - x)
    rest = [*blanks, *row[x:]] if count > 0 else [*row[x - count :], *blanks]
    for n, cell in enumerate([*row[:x], *rest][:columns]):
        line[n] = cell
    mend(line, columns)


def mend(line: Line, columns: int) -> None:
    """Blank halves of wide characters that have lost their other half."""
    for x in range(columns):
        cell = line.get(x, BLANK)
        before = line.get(x - 1, BLANK) if x else BLANK
        after = line.get(x + 1, BLANK) if x + 1 < columns else BLANK
        if (cell.data == "" and not _is_wide(before)) or (_is_wide(cell) and after.data != ""):
            line[x] = cell._replace(data=" ")


def fit(buffer: dict[int, Line], off: int, lines: int, columns: int) -> None:
    """Drop `off` rows at the top, and the parts that do not fit below and to the right."""
    rows = dict(buffer)
    buffer.clear()
    for y, line in rows.items():
        if 0 <= y - off < lines:
            buffer[y - off] = line
            for x in [x for x in line if x >= columns]:
                del line[x]


def _is_wide(cell: Cell) -> bool:
    return bool(cell.data) and not cell.data.isascii() and cells(cell.data[0]) == 2
