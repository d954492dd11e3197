"""How many columns of a terminal a text takes, and what follows from that: padding, tabs.

Fact: a combining or invisible character takes none, an East Asian wide or fullwidth character takes two (Unicode
Standard Annex 11), any other character one. Terminals disagree about some scripts (Devanagari), so no code may depend
on the exact width.
"""

from __future__ import annotations

import unicodedata

from orchestrator.terminal.escapes import ANY, CONTROLS, ESC

TAB = 8  # columns from one tab stop to the next
_NO_CELL = bytes(b for b in CONTROLS if b not in b"\t\n")


def cells(character: str) -> int:
    """Return how many columns a character takes: 0, 1 or 2."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """Return how many columns a text without controls takes."""
    return len(text) if text.isascii() else sum(map(cells, text))


def padded(text: str, columns: int) -> str:
    """Return `text` with blanks after it, up to a number of columns."""
    return text + " " * (columns - width(text))


def expand_tabs(lines: bytes) -> bytes:
    """Replace each tab by blanks up to the next tab stop, counted from the beginning of its line.

    Fact: bytes.expandtabs() counts bytes, so it is right for ASCII without escape sequences only; it takes 1 ns a byte.
    """
    if lines.isascii() and ESC not in lines:
        return lines.expandtabs(TAB)
    return b"\n".join([_expanded(line) if b"\t" in line else line for line in lines.split(b"\n")])


def _expanded(line: bytes) -> bytes:
    *pieces, last = line.split(b"\t")
    out: list[bytes] = []
    at = 0
    for piece in pieces:
        text = ANY.sub(b"", piece) if ESC in piece else piece
        at += width(text.translate(None, _NO_CELL).decode("utf-8", "replace"))
        blanks = TAB - at % TAB
        at += blanks
        out += (piece, b" " * blanks)
    return b"".join((*out, last))
