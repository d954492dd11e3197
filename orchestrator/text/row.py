"""One row of a terminal: what stands on it after carriage returns, backspaces and erasures.

A progress bar rewrites its row many times; what counts is what a terminal would show there in the end. Knows the
controls that stay on one row (CR, BS, CSI K, C, D and G) and SGR; everything else is dropped. Each character counts
as one cell.
"""

from __future__ import annotations

import re

from orchestrator.text.escapes import ANY, RESET, SGR, open_style

CELLS_MAX = 1 << 14  # of a longer line only the last rewrite is kept, without replay

_TOKEN = re.compile(rb"\r|\x08|" + ANY.pattern + rb"|[^\r\x08\x1b]+", re.DOTALL)
_MOTION = re.compile(rb"\x1b\[(\d*)([CDGK])")


def replay(line: bytes) -> bytes:
    """Return `line` without rewrites: the text that is left on the row, each change of style with its SGR.

    A CR at the very end rewrites nothing. The style that the line leaves open stays open.
    """
    line = line.rstrip(b"\r")
    if len(line) > CELLS_MAX:
        cut = line.rfind(b"\r") + 1
        return open_style(b"", line[:cut]) + line[cut:].replace(b"\b", b"")
    row = _Row()
    for match in _TOKEN.finditer(line):
        row.take(match.group())
    return row.render()


class _Row:
    """Cells of (style, character), a position, and the style in force."""

    def __init__(self) -> None:
        self._cells: list[tuple[bytes, str]] = []
        self._at = 0
        self._style = b""

    def take(self, token: bytes) -> None:
        if token == b"\r":
            self._at = 0
        elif token == b"\b":
            self._at = max(0, self._at - 1)
        elif not token.startswith(b"\x1b"):
            self._put(token.decode("utf-8", "surrogateescape"))
        elif SGR.fullmatch(token):
            self._style = open_style(self._style, token)
        elif match := _MOTION.fullmatch(token):
            self._move(match[2], int(match[1] or 0))

    def _put(self, text: str) -> None:
        self._pad(self._at)
        style = self._style
        self._cells[self._at : self._at + len(text)] = [(style, character) for character in text]
        self._at += len(text)

    def _pad(self, width: int) -> None:
        if len(self._cells) < width:
            self._cells += [(b"", " ")] * (width - len(self._cells))

    def _move(self, what: bytes, count: int) -> None:
        if what == b"C":
            self._at = min(CELLS_MAX, self._at + max(1, count))
        elif what == b"D":
            self._at = max(0, self._at - max(1, count))
        elif what == b"G":
            self._at = min(CELLS_MAX, max(1, count) - 1)
        elif count == 0:
            del self._cells[self._at :]
        elif count == 2:
            self._cells = []
        elif count == 1:
            self._pad(self._at + 1)
            self._cells[: self._at + 1] = [(b"", " ")] * (self._at + 1)

    def render(self) -> bytes:
        pieces: list[str] = []
        style = b""
        for cell_style, character in self._cells:
            if cell_style != style:
                pieces.append(_change(style, cell_style))
                style = cell_style
            pieces.append(character)
        if style != self._style:
            pieces.append(_change(style, self._style))
        return "".join(pieces).encode("utf-8", "surrogateescape")


def _change(before: bytes, after: bytes) -> str:
    return ((RESET if before else b"") + after).decode()
