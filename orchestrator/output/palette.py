"""Colors of the prefixes, by blessed. Imported only where colors are drawn, and after the components have started:
importing blessed takes 0.1-0.3 s.

Fact: if its stream is a terminal, blessed (1.40 and later) sends queries (XTGETTCAP, XTVERSION), takes the answers from
standard input and waits up to ten seconds for them. So we give it a stream that is not a terminal: it derives the
colors from TERM alone.
"""

from __future__ import annotations

import io
import warnings

from orchestrator.terminal.escapes import RESET

# Readable on dark and light backgrounds; black, white and plain blue are not. Adjacent colors differ strongly.
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
    """Wraps text in the colors of terminal type `term`; `force` draws them even if stdout is not a terminal."""

    def __init__(self, term: str, force: bool) -> None:
        import blessed

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown terminal type: blessed falls back to no colors
            self._terminal = blessed.Terminal(
                kind="xterm-256color" if force and term in ("", "dumb") else term or None,
                stream=io.StringIO(),
                force_styling=True,
            )

    def cut(self, shown: bytes, columns: int) -> bytes:
        """Shorten `shown`, one line with its styles, to this many columns of the terminal; wide characters count
        two."""
        return str(self._terminal.truncate(shown.decode("utf-8", "replace"), columns)).encode()

    def wrap(self, color: str, text: str) -> bytes:
        """Return `text` in `color`, a blessed name, followed by a reset.

        The reset is a plain SGR reset: the terminal's own sgr0 would switch character sets too (`ESC ( B`).
        """
        if self._terminal.number_of_colors < 16:
            color = color.replace("bright_", "bold_")  # setaf would produce an invalid sequence: `ESC [ 312 m`
        start = str(getattr(self._terminal, color)).encode()
        return start + text.encode() + RESET if start else text.encode()
