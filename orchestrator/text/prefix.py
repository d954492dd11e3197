"""One component's lines to the bytes that are shown: prefix, allowed escapes, styles closed and reopened.

Most output needs none of that: a chunk of printable characters in lines that end in CR LF takes the fast path, one
`replace` for all its lines. Everything else goes line by line.
"""

from __future__ import annotations

import enum

from orchestrator.text import escapes

# What the fast path lets through: printable ASCII, TAB, CR, LF, and bytes of UTF-8 (checked apart).
_PLAIN = bytes(b for b in range(256) if b in b"\t\r\n" or (b >= 32 and b != 127))


class Style(enum.Enum):
    """What the sink is: a terminal with colours, one without, or a file or pipe that gets bytes as they are."""

    COLOURS = "colours"
    NO_COLOURS = "no colours"
    BYTES = "bytes"


class Painter:
    """Turns the whole lines of one component into shown bytes. Remembers what style a line left open."""

    __slots__ = ("_join", "_link", "_open", "prefix", "style")

    def __init__(self, prefix: bytes, style: Style) -> None:
        self.prefix = prefix
        self.style = style
        self._join = b"\n" + prefix
        self._open = b""
        self._link = b""

    def paint(self, whole: bytes) -> bytes:
        """Return `whole`, which ends in LF, with a prefix on each line."""
        if self._is_plain(whole):
            return self.prefix + whole[:-2].replace(b"\r\n", self._join) + b"\n"
        lines = whole.split(b"\n")
        lines.pop()
        return b"".join([self.prefix + self.paint_line(line) + b"\n" for line in lines])

    def paint_line(self, line: bytes) -> bytes:
        """Return one line, without its LF, as it is shown, without prefix."""
        line = line.rstrip(b"\r")
        if b"\r" in line or b"\b" in line:
            line = escapes.final_state(line)
        if self.style is Style.COLOURS:
            return self._styled(escapes.keep_colours(line))
        return escapes.no_escapes(line) if self.style is Style.BYTES else escapes.plain(line)

    def _styled(self, line: bytes) -> bytes:
        before = self._link + self._open
        if escapes.ESC in line:
            self._open = escapes.open_style(self._open, line)
            self._link = escapes.open_link(self._link, line)
        after = (escapes.RESET if self._open else b"") + (escapes.LINK_END if self._link else b"")
        return before + line + after

    def _is_plain(self, whole: bytes) -> bool:
        ends = whole.count(b"\r\n")
        if ends != whole.count(b"\r") or ends != whole.count(b"\n") or self._open or self._link:
            return False
        if whole.translate(None, _PLAIN):
            return False
        return self.style is Style.BYTES or whole.isascii()
