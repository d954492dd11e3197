"""The cells of a screen, and rows of them as text, with or without SGR sequences. Pure, and without pyte."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ESC = "\x1b"


class Cell(NamedTuple):
    """One cell. `data` is a character with its combining characters, a blank, or empty: the second cell of a wide
    character.

    Colors are empty for the default, an index into the palette in decimal ("0" to "255"), or "#rrggbb". The attributes
    are those that the program has set: `reverse` does not swap the colors here.
    """

    data: str = " "
    fg: str = ""
    bg: str = ""
    bold: bool = False
    dim: bool = False
    italics: bool = False
    underscore: bool = False
    blink: bool = False
    reverse: bool = False
    conceal: bool = False
    strikethrough: bool = False


BLANK = Cell()
Row = tuple[Cell, ...]
# SGR parameters that set an attribute.
_SETS = {
    "bold": "1",
    "dim": "2",
    "italics": "3",
    "underscore": "4",
    "blink": "5",
    "reverse": "7",
    "conceal": "8",
    "strikethrough": "9",
}

_ATTRIBUTES: dict[int, dict[str, object]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italics": True},
    4: {"underscore": True},
    5: {"blink": True},
    6: {"blink": True},
    7: {"reverse": True},
    8: {"conceal": True},
    9: {"strikethrough": True},
    21: {"underscore": True},
    22: {"bold": False, "dim": False},
    23: {"italics": False},
    24: {"underscore": False},
    25: {"blink": False},
    27: {"reverse": False},
    28: {"conceal": False},
    29: {"strikethrough": False},
    39: {"fg": ""},
    49: {"bg": ""},
}


@dataclass(frozen=True, slots=True)
class Screen:
    """A screen at one moment. `x` and `y` are the cursor's, from 0; `modes` the private modes that are set (2004 is
    bracketed paste), `is_alternate` whether the program has switched to the alternate screen."""

    rows: tuple[Row, ...]
    x: int = 0
    y: int = 0
    is_cursor_visible: bool = True
    title: str = ""
    is_alternate: bool = False
    modes: frozenset[int] = frozenset()

    @property
    def columns(self) -> int:
        """The number of columns."""
        return len(self.rows[0]) if self.rows else 0

    def text(self) -> str:
        """Return the rows as lines, without trailing blanks and without empty rows at the bottom."""
        lines = [row_text(row) for row in self.rows]
        return "".join(f"{line}\n" for line in without_empty_end(lines))

    def ansi(self) -> str:
        """Return the lines of `text` with colors and attributes as SGR sequences."""
        lines = [row_ansi(row) for row in self.rows]
        return "".join(f"{line}\n" for line in without_empty_end(lines))


def without_empty_end(lines: Sequence[str]) -> list[str]:
    """Return the lines up to the last that is not empty."""
    count = next((n for n in range(len(lines), 0, -1) if lines[n - 1]), 0)
    return list(lines[:count])


def row_text(row: Iterable[Cell]) -> str:
    """Return the characters of a row, without trailing blanks."""
    return "".join(cell.data for cell in row).rstrip(" ")


def row_ansi(row: Sequence[Cell], *, whole: bool = False) -> str:
    """Return a row with SGR sequences; it ends with the attributes of the beginning. Blanks without attributes at its
    end are left out, unless it is to be `whole`."""
    end = len(row)
    while not whole and end and row[end - 1] == BLANK:
        end -= 1
    parts: list[str] = []
    style = BLANK
    for cell in row[:end]:
        new = cell if cell.data == " " else cell._replace(data=" ")
        if cell.data and new != style:
            parts.append(sgr(new))
            style = new
        parts.append(cell.data)
    if style != BLANK:
        parts.append(f"{ESC}[m")
    return "".join(parts)


def sgr(cell: Cell) -> str:
    """Return the SGR sequence that sets the attributes of a cell, whatever was set before."""
    words = ["0", *(number for name, number in _SETS.items() if getattr(cell, name))]
    words += [*_color(cell.fg, 30), *_color(cell.bg, 40)]
    return f"{ESC}[{';'.join(words)}m"


def _color(color: str, base: int) -> list[str]:
    if not color:
        return []
    if color.startswith("#"):
        return [str(base + 8), "2", *(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))]
    index = int(color)
    if index < 8:
        return [str(base + index)]
    return [str(base + 52 + index)] if index < 16 else [str(base + 8), "5", color]


def attributes(cell: Cell) -> dict[str, object]:
    """Return the attributes of a cell that differ from the default, for JSON."""
    return {name: value for name, value in cell._asdict().items() if name != "data" and value != BLANK._asdict()[name]}


def as_json(screen: Screen) -> dict[str, object]:
    """Return a screen as plain values: rows as text, and runs of cells that have attributes as [column, text, {…}]."""
    plain = dataclasses.replace(screen, rows=())
    return {
        "columns": screen.columns,
        "lines": len(screen.rows),
        "rows": [row_text(row) for row in screen.rows],
        "styles": [_runs(row) for row in screen.rows],
        "cursor": {"x": plain.x, "y": plain.y, "visible": plain.is_cursor_visible},
        "title": plain.title,
        "alternate": plain.is_alternate,
        "modes": sorted(plain.modes),
    }


def _runs(row: Row) -> list[list[object]]:
    runs: list[list[object]] = []
    before: dict[str, object] = {}
    for column, cell in enumerate(row):
        now = attributes(cell) if cell.data else before
        if now and now == before:
            runs[-1][1] = f"{runs[-1][1]}{cell.data}"
        elif now:
            runs.append([column, cell.data, now])
        before = now
    return runs


# Styles from SGR sequences


def parameter(word: str) -> int:
    """Return a parameter: an empty one is 0, and values are limited to 9999, which always suffices."""
    return min(int(word[:6]), 9999) if word else 0


@functools.lru_cache(maxsize=512)
def styled(style: Cell, text: str) -> Cell:
    """Return the style after an SGR sequence with these parameters. Unknown ones have no effect."""
    groups = [[parameter(part) for part in word.split(":")] for word in text.split(";")]
    changes: dict[str, object] = {}
    at = 0
    while at < len(groups):
        group = groups[at]
        at += 1
        code = group[0]
        if code == 0:
            changes = dict(BLANK._asdict())
            del changes["data"]
        elif code in (38, 48, 58):
            if len(group) == 1:
                flat = [one[0] for one in groups[at:]]
                used = {5: 2, 2: 4}.get(flat[0], 1) if flat else 0
                group, at = [code, *flat[:used]], at + used
            elif len(group) > 5:  # 38:2:SPACE:R:G:B
                group = [*group[:2], *group[3:6]]
            color = _color_of(group[1:])
            if color is not None and code != 58:
                changes["fg" if code == 38 else "bg"] = color
        elif code == 4 and len(group) > 1:
            changes["underscore"] = group[1] != 0
        elif 30 <= code <= 37 or 90 <= code <= 97:
            changes["fg"] = str(code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            changes["bg"] = str(code - 40 if code < 100 else code - 92)
        else:
            changes.update(_ATTRIBUTES.get(code, {}))
    return style._replace(**changes)  # type: ignore[arg-type]


def _color_of(words: list[int]) -> str | None:
    match words:
        case [5, index] if index < 256:
            return str(index)
        case [2, r, g, b] if max(r, g, b) < 256:
            return f"#{r:02x}{g:02x}{b:02x}"
    return None
