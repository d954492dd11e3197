"""The row of an unfinished line on a terminal, and the status row below it: how they are drawn and erased again.

It is cut to the window, and autowrap is off while it is drawn. So it takes one row, even if the terminal counts the
columns of a script differently (Devanagari), and a progress bar may fill the window. The cursor never stays in the last
columns: what the terminal echoes there (`^C`) must not begin another row.

Facts: when a window gets narrower, most terminals (tmux, VTE, kitty, iTerm2, Windows Terminal) wrap rows that no longer
fit, and the cursor stays behind the same character; at a multiple of the width it stays at the end of the full row
(tmux 3.3). xterm, rxvt, GNU screen and the Linux console cut rows off instead.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.terminal.escapes import drop_loose_joiners, plain
from orchestrator.terminal.width import width

ERASE, ERASE_BELOW = b"\r\x1b[K", b"\r\x1b[J"
MARGIN = 3  # columns at the right margin that the cursor keeps free
_NO_WRAP, _WRAP = b"\x1b[?7l", b"\x1b[?7h"

Size = Callable[[], tuple[int, int] | None]


class LastRow:
    """Tracks whether a line is drawn and how; returns the bytes to write. `cut` shortens shown bytes to a number of
    columns, `size` returns columns and rows of the terminal, `reflows` says whether it wraps rows that get too long."""

    def __init__(self, cut: Callable[[bytes, int], bytes], size: Size, *, reflows: bool = True) -> None:
        self._cut = cut
        self._size = size
        self._reflows = reflows
        self._last: tuple[bytes, bytes, int] = (b"", b"", 0)
        self._has_status = False  # whether a status row is drawn below it
        self._bytes = b""
        self._cursor = 0  # its column
        self._columns = 0  # of the window, when the line was drawn
        self.is_drawn = False

    def draw(self, line: bytes, status: bytes = b"") -> bytes:
        """Return what draws a line, and below it the status row; either may be empty. While components flood it is
        drawn again at every turn. The cursor stays at the end of the line: what the terminal echoes belongs there."""
        columns = (self._size() or (80, 24))[0]
        if self._last != (line, status, columns):
            self._last = (line, status, columns)
            shown = drop_loose_joiners(self._cut(line, columns)) if line else b""
            taken = width(plain(shown).decode("utf-8", "replace"))
            self._cursor = min(taken, max(0, columns - MARGIN))
            back = b"\x1b[%dG" % (self._cursor + 1) if taken > self._cursor else b""
            if status:
                below = b"\r\n" + status + b"\r\x1b[A" if line else status + b"\r"
                back = b"\x1b[%dG" % (self._cursor + 1) if self._cursor else b""
                self._bytes = _NO_WRAP + shown + below + _WRAP + back
            else:
                self._bytes = _NO_WRAP + shown + _WRAP + back
        self._has_status = bool(status)
        self._columns = columns
        return self._bytes

    def erase(self) -> bytes:
        """Return what erases the line, and leaves the cursor at the beginning of its row."""
        was_drawn, self.is_drawn = self.is_drawn, False
        size = self._size()
        if was_drawn and self._reflows and size is not None and size[0] < self._columns:
            above = max(0, self._cursor - 1) // size[0]
            return b"\r" + (b"\x1b[%dA" % above if above else b"") + b"\x1b[J"
        return ERASE_BELOW if was_drawn and self._has_status else ERASE
