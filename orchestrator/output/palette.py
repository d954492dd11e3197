"""Colours of the prefixes, by blessed. Imported only where colours are drawn, and after the components have started:
the import of blessed costs 0.1-0.3 s.

Fact: on a terminal of its own blessed (1.40 and later) sends queries (XTGETTCAP, XTVERSION), takes the answers from
standard input and waits up to ten seconds for them. So it is given a stream that is no terminal: it knows the colours
from TERM alone.
"""

from __future__ import annotations

import io
import warnings

from orchestrator.terminal.escapes import RESET

# Readable on dark and on light grounds; black, white and plain blue are not. Neighbours differ strongly.
CYCLE = (
    "cyan",
    "yellow",
    "green",
    "magenta",
    "bright_blue",
    "bright_red",
    "bright_cyan",
    "bright_yellow",
    "bright_green",
    "bright_magenta",
    "red",
)
OWN = "bold"


class Palette:
    """Wraps text in the colours that terminal type `term` knows; `force` draws them where stdout is no terminal."""

    def __init__(self, term: str, force: bool) -> None:
        import blessed

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown terminal type: blessed falls back to no colours
            self._terminal = blessed.Terminal(
                kind="xterm-256color" if force and term in ("", "dumb") else term or None,
                stream=io.StringIO(),
                force_styling=True,
            )

    def cut(self, shown: bytes, columns: int) -> bytes:
        """Shorten `shown`, one line with its styles, to so many columns of the terminal; wide characters count two."""
        return str(self._terminal.truncate(shown.decode("utf-8", "replace"), columns)).encode()

    def wrap(self, colour: str, text: str) -> bytes:
        """Return `text` in `colour`, a blessed name, and back to normal.

        Ended by a plain SGR reset: the terminal's own sgr0 would switch character sets too (`ESC ( B`).
        """
        if self._terminal.number_of_colors < 16:
            colour = colour.replace("bright_", "bold_")  # setaf would make nonsense of it: `ESC [ 312 m`
        start = str(getattr(self._terminal, colour)).encode()
        return start + text.encode() + RESET if start else text.encode()
