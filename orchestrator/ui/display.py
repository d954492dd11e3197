"""The user's terminal while the view uses it: its modes, and the rows drawn on it.

All terminals in use understand these sequences. blessed provides them too, but importing it takes 0.1 to 0.3 s, and
the first frame is due within 0.15 s.

Only rows that have changed are written, and a frame is written as a whole. While the terminal has not accepted all of a
frame, no other is drawn. So a slow terminal, or a flood in the pane, only reduces the frame rate.

Facts (ctlseqs of xterm): mode 1049 is the alternate screen, 1000 reports clicks and the wheel, 1006 their encoding,
2004 marks what is pasted, 2026 has the terminal show a frame at once; unknown modes are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.output.console import Console
from orchestrator.ui.styled_text import Row, encoded

ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[H\x1b[2J"
LEAVE = b"\x1b[?1006l\x1b[?1000l\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[m\x1b[?1049l"
MOUSE_ON, MOUSE_OFF = b"\x1b[?1000h\x1b[?1006h", b"\x1b[?1006l\x1b[?1000l"
_FRAME, _END = b"\x1b[?2026h\x1b[?25l", b"\x1b[?2026l"
DRAIN_TIMEOUT = 0.3  # seconds that the view waits at its end for a terminal that accepts nothing

Parts = Mapping[int, Row]  # of one row of the screen: the runs that begin in each column


class Display:
    """Draws on one console. `colors` is false for a terminal without colors, or if the user wants none."""

    def __init__(self, console: Console, *, colors: bool) -> None:
        self._console = console
        self._colors = colors
        self._drawn: list[bytes] = []
        self._cursor: tuple[int, int] | None = None
        self._mouse = False
        self.entered = False

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        columns, rows = self._console.size() or (80, 24)
        return rows, columns

    @property
    def is_ready(self) -> bool:
        """Whether the terminal has accepted everything."""
        return not self._console.waiting and not self._console.is_blocked

    def enter(self, *, mouse: bool) -> None:
        """Switch to the alternate screen and set the modes."""
        self.entered = True
        self._mouse = mouse
        self.forget()
        self._write(ENTER + (MOUSE_ON if mouse else b""))

    def leave(self) -> None:
        """Restore the screen and the modes."""
        if self.entered:
            self.entered = False
            self._write(LEAVE)
            self._console.drain(DRAIN_TIMEOUT)

    def set_mouse(self, on: bool) -> None:
        """Turn reports of the mouse on, or off so that the terminal selects text with it."""
        self._mouse = on
        self._write(MOUSE_ON if on else MOUSE_OFF)

    def forget(self) -> None:
        """Draw every row again with the next frame: the terminal was resized, or another program has drawn on it."""
        self._drawn = []
        self._cursor = None

    def draw(self, rows: list[Parts], cursor: tuple[int, int] | None) -> None:
        """Draw the rows of the screen that have changed; `cursor` is its row and column, None to hide it."""
        shown = bytearray()
        drawn = self._drawn
        new: list[bytes] = []
        if len(drawn) != len(rows):
            shown += b"\x1b[m\x1b[2J" if drawn else b""
            drawn = [b""] * len(rows)
        for index, parts in enumerate(rows):
            line = b"".join(
                b"\x1b[%d;%dH%b" % (index + 1, column + 1, encoded(row, colors=self._colors))
                for column, row in parts.items()
            )
            new.append(line)
            if line != drawn[index]:
                shown += line
        self._drawn = new
        if not shown and cursor == self._cursor:
            return
        self._cursor = cursor
        place = b"" if cursor is None else b"\x1b[%d;%dH\x1b[?25h" % (cursor[0] + 1, cursor[1] + 1)
        self._write(_FRAME + bytes(shown) + place + _END)

    def send(self, sequence: bytes) -> None:
        """Send a sequence that draws nothing, such as one for the clipboard."""
        self._write(sequence)

    def _write(self, data: bytes) -> None:
        self._console.write(data, may_skip=False)
        self._console.flush()
