"""Rows of styled text: cut, padded and wrapped to a number of columns.

A row is a list of runs. A run is text without controls and the SGR sequences that style it, after a reset. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.terminal.escapes import RESET, drop_loose_joiners
from orchestrator.terminal.sgr import SGR
from orchestrator.terminal.width import cells, width

Run = tuple[str, bytes]
Row = list[Run]

STYLE_MAX = 256  # bytes of SGR sequences that are open at once; more are dropped
REVERSE = b"\x1b[7m"
BOLD = b"\x1b[1m"
DIM = b"\x1b[2m"
RED = b"\x1b[31m"
GREEN = b"\x1b[32m"
YELLOW = b"\x1b[33m"
CYAN = b"\x1b[36m"
MAGENTA = b"\x1b[35m"

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "�")  # controls in a text must not reach the terminal
_COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_RESETS = (b"\x1b[m", b"\x1b[0m")


def runs_of(line: bytes) -> Row:
    """Return the runs of a line that has no other controls than SGR sequences."""
    row: Row = []
    style = b""
    position = 0
    for match in SGR.finditer(line):
        if match.start() > position:
            row.append((line[position : match.start()].decode("utf-8", "replace"), style))
        position = match.end()
        style = b"" if match.group() in _RESETS else (style + match.group())[-STYLE_MAX:]
    if position < len(line):
        row.append((line[position:].decode("utf-8", "replace"), style))
    return row


def colored(color: str, text: str) -> bytes:
    """Return text in a color, given by its name: `cyan`, `bright_red`, `bold`."""
    base = color.removeprefix("bright_")
    if base not in _COLORS:
        return BOLD + text.encode() + RESET
    code = _COLORS.index(base) + (90 if base != color else 30)
    return b"\x1b[%dm" % code + text.encode() + RESET


def width_of(row: Iterable[Run]) -> int:
    """Return how many columns a row takes."""
    return sum(width(text) for text, _ in row)


def wrapped(row: Row, columns: int) -> list[Row]:
    """Break a row into rows of at most `columns` columns; an empty row stays one row."""
    rows: list[Row] = [[]]
    left = columns
    for text, style in row:
        while text:
            count, taken = _fitting(text, left)
            if count == 0 and left < columns:
                rows.append([])
                left = columns
                continue
            count = max(1, count)  # a wide character and a single column: cut when it is drawn
            rows[-1].append((text[:count], style))
            left -= taken
            text = text[count:]
            if text:
                rows.append([])
                left = columns
    return rows


def cut(row: Iterable[Run], columns: int, mark: str = "…") -> Row:
    """Shorten a row to `columns` columns; `mark` is the last character of a row that was too wide."""
    row = list(row)
    if width_of(row) <= columns:
        return row
    left = columns - width(mark)
    short: Row = []
    for text, style in row:
        count, taken = _fitting(text, left)
        if count:
            short.append((text[:count], style))
            left -= taken
        if count < len(text):
            break
    return [*short, (mark, short[-1][1] if short else b"")] if columns >= width(mark) else []


def padded(row: Iterable[Run], columns: int, style: bytes = b"") -> Row:
    """Return a row of exactly `columns` columns, cut or filled with blanks in `style`."""
    short = cut(row, columns)
    missing = columns - width_of(short)
    return [*short, (" " * missing, style)] if missing > 0 else short


def marked(row: Row, needle: str) -> Row:
    """Return a row in which each occurrence of `needle` is shown in reverse, whatever its case; it may span runs."""
    text = "".join(text for text, _ in row)
    folded, wanted = text.lower(), needle.lower()
    if not wanted or wanted not in folded or len(folded) != len(text):
        return row
    hits = bytearray(len(text))
    at = folded.find(wanted)
    while at >= 0:
        hits[at : at + len(wanted)] = b"\1" * len(wanted)
        at = folded.find(wanted, at + len(wanted))
    found: Row = []
    position = 0
    for piece, style in row:
        start = 0
        for index in range(1, len(piece) + 1):
            if index == len(piece) or hits[position + index] != hits[position + start]:
                over = REVERSE if hits[position + start] else b""
                found.append((piece[start:index], style + over))
                start = index
        position += len(piece)
    return found


def encoded(row: Iterable[Run], *, colors: bool = True) -> bytes:
    """Return the bytes that draw a row; without `colors` only bold, dim and reverse are kept."""
    shown = bytearray()
    open_style = b""
    for text, style in row:
        style = style if colors else _without_colors(style)
        if style != open_style:
            shown += (RESET if open_style else b"") + style
            open_style = style
        shown += text.translate(_CONTROLS).encode("utf-8", "replace")
    if open_style:
        shown += RESET
    return drop_loose_joiners(bytes(shown))


def plain(row: Iterable[Run]) -> str:
    """Return the text of a row, without blanks at its end."""
    return "".join(text for text, _ in row).rstrip()


def _without_colors(style: bytes) -> bytes:
    return b"".join(one for one in (BOLD, DIM, REVERSE) if one in style)


def _fitting(text: str, columns: int) -> tuple[int, int]:
    """Return how many characters of `text` fit into `columns` columns, and how many columns they take."""
    if text.isascii():
        count = max(0, min(len(text), columns))
        return count, count
    taken = 0
    for index, character in enumerate(text):
        size = cells(character)
        if taken + size > columns:
            return index, taken
        taken += size
    return len(text), taken
