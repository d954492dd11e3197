"""Converts the lines of one component to the bytes that are shown: prefix, allowed escapes, styles closed and reopened.

Most output needs none of that: lines of printable characters, which reset their colors themselves, take the fast path,
one `replace` for all lines of a chunk. Everything else is converted line by line, with the same result.

Fact: bytes.replace searches for one byte with memchr(3), but for two with a loop that takes ten times as long. So we
never search for CR LF, and never count, which is slow too. (CPython 3.11; measured.)

This file also keeps the last screenful of a component's lines, for terminals that attach.
"""

from __future__ import annotations

import enum
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from orchestrator.terminal import escapes
from orchestrator.terminal.escapes import RESET, keep_colors
from orchestrator.terminal.row import replay, rewrites
from orchestrator.terminal.sgr import NO_SGR
from orchestrator.terminal.width import expand_tabs

# What the fast path passes to a terminal: printable ASCII, TAB, LF, and (checked apart) SGR and bytes of UTF-8.
_PLAIN = bytes(b for b in range(256) if b in b"\t\n\x1b" or (b >= 32 and b != 127))
_INNER_CR = re.compile(rb"\r(?![\r\n])")  # not at a line's end
# Of sequences that are all SGR, one that sets a style and has no other after it in its line.
_LEFT_OPEN = re.compile(rb"\x1b(?!\[0?m|\[[0-9;:]+m[^\x1b\n]*\x1b)")
_ALL_BUT_SGR = bytes(set(range(256)) - set(b"\x1b[0123456789;:m\n"))
# A pair: an attribute that is turned on and, after nothing but text, off again, as JavaScript programs do it.
_PAIR = re.compile(
    rb"\x1b\[(?:(?:[39][0-7]|38;5;\d{1,3}|38;2(?:;\d{1,3}){3})m[^\x1b\n]*\x1b\[39"
    rb"|(?:4[0-7]|10[0-7]|48;5;\d{1,3}|48;2(?:;\d{1,3}){3})m[^\x1b\n]*\x1b\[49"
    rb"|[12]m[^\x1b\n]*\x1b\[22|([3479])m[^\x1b\n]*\x1b\[2\1)m"
)
OWN_NAME = "orchestrate"  # the prefix of event lines
SEPARATOR = " | "
ERROR_SEPARATOR = " ! "  # before a line of standard error, if that is separate
CARRIED_MAX = 256  # bytes of style and link that are repeated on each line
SHIFTS = b"\x0e\x0f"  # SO and SI switch character sets; tput(1) ends colors with SI
CUT = "…".encode()  # marks where a line that is too long was cut


class PrefixStyle(enum.Enum):
    """The kind of sink: a terminal with colors, one without, or a file or pipe that gets bytes unchanged."""

    COLORS = "colors"
    NO_COLORS = "no colors"
    BYTES = "bytes"


class Painter(Protocol):
    """Converts the lines of one component to shown bytes."""

    def paint(self, whole: bytes) -> bytes:
        """Return `whole`, lines that each end in LF, as they are shown."""

    def paint_piece(self, piece: bytes) -> bytes:
        """Return a piece of a line that is too long, as a separate, marked line."""

    def paint_tail(self, pending: bytes) -> bytes:
        """Return an unfinished line as it is now, without a line end; changes nothing."""

    def take_name_of(self, other: Painter) -> None:
        """Mark lines from now on as `other` does, which is of the same kind."""


def clock(now: float, *, utc: bool = False) -> bytes:
    """Return the time of day with milliseconds, local or with a `Z` in UTC; `now` is seconds since the epoch."""
    parts = time.gmtime(now) if utc else time.localtime(now)
    return time.strftime("%H:%M:%S", parts).encode() + b".%03d%b " % (int(now % 1 * 1000), b"Z" * utc)


class PrefixPainter:
    """Puts a prefix before each line. It keeps the style that a line left open, and whether the line was cut."""

    __slots__ = ("_columns", "_cut", "_in_string", "_link", "_open", "_stamp", "_tabs", "_utc", "prefix", "style")

    def __init__(
        self,
        prefix: bytes,
        style: PrefixStyle,
        stamp: Callable[[], float] | None = None,
        *,
        utc: bool = False,
        expand_tabs: bool = False,
        columns: Callable[[], int] | None = None,
    ) -> None:
        """`stamp` returns the time that is printed before each line, in UTC if `utc` is set; None for no time.
        `expand_tabs` is for a terminal, whose tab stops do not count from the end of the prefix. `columns` returns the
        width of the component's own terminal."""
        self._columns = columns
        self._utc = utc
        self._tabs = expand_tabs
        self.prefix = prefix
        self.style = style
        self._stamp = stamp
        self._open = b""
        self._link = b""
        self._cut = False
        self._in_string = False

    def paint(self, whole: bytes) -> bytes:
        """Return `whole`, which ends in LF, with the prefix on each line."""
        prefix = self.prefix if self._stamp is None else self._prefix()
        text = self._plain(whole)
        if text is not None:
            if self._tabs and b"\t" in text:
                text = expand_tabs(text)
            shown = prefix + text[:-1].replace(b"\n", b"\n" + prefix) + b"\n"
        else:
            lines = whole.split(b"\n")
            lines.pop()
            shown = b"".join([prefix + self._line(line) + b"\n" for line in lines])
        if self.style is not PrefixStyle.BYTES and escapes.JOINER in shown:
            return escapes.drop_loose_joiners(shown)
        return shown

    def paint_piece(self, piece: bytes) -> bytes:
        """Return a piece of a line that is too long, marked at the cut."""
        shown = self._prefix() + self._line(piece, ends=False) + CUT + b"\n"
        self._cut = True
        return shown

    def paint_tail(self, pending: bytes) -> bytes:
        """Return an unfinished line as it is now, with its style closed."""
        state = self._open, self._link, self._cut, self._in_string
        shown = self._prefix() + self._line(pending[: escapes.unterminated(pending)])
        self._open, self._link, self._cut, self._in_string = state
        return shown

    def take_name_of(self, other: Painter) -> None:
        """Put the prefix of `other` before each further line."""
        if isinstance(other, PrefixPainter):
            self.prefix = other.prefix

    def _prefix(self) -> bytes:
        return self.prefix if self._stamp is None else clock(self._stamp(), utc=self._utc) + self.prefix

    def _line(self, line: bytes, *, ends: bool = True) -> bytes:
        if ends and not self._cut and self._is_calm(line := line.rstrip(b"\r")):
            return self._calm(line)
        lead = CUT if self._cut else b""
        goes_on = False
        if self._in_string:
            end = escapes.STRING_END.search(line)
            goes_on, line = end is None, line[end.end() :] if end else b""
        self._in_string = not ends and (goes_on or bool(escapes.STRING_OPEN.search(line)))
        self._cut = False
        line = line.rstrip(b"\r")
        if rewrites(line):
            line = replay(line) if self._columns is None else replay(line, self._columns())
        if self.style is PrefixStyle.COLORS:
            return lead + self._carry_styles(self._less_tabs(escapes.keep_colors(line)))
        return lead + self._less_tabs(for_file(line) if self.style is PrefixStyle.BYTES else escapes.plain(line))

    def _less_tabs(self, line: bytes) -> bytes:
        return expand_tabs(line) if self._tabs and b"\t" in line else line

    @staticmethod
    def _is_calm(line: bytes) -> bool:
        """Whether a line contains only text and colors, so that it need not be cleaned or replayed."""
        return not line.translate(None, _PLAIN) and not NO_SGR.search(line) and _is_text(line)

    def _calm(self, line: bytes) -> bytes:
        line = self._less_tabs(line)
        if self.style is PrefixStyle.COLORS:
            return self._carry_styles(line)
        return escapes.SGR.sub(b"", line) if escapes.ESC in line else line

    def _carry_styles(self, line: bytes) -> bytes:
        """Return the line with the styles that earlier lines left open, and close what it leaves open itself."""
        before = self._link + self._open
        if escapes.ESC in line:
            self._open = escapes.open_style(self._open, line)
            if escapes.LINK_BEGIN in line:
                self._link = escapes.open_link(self._link, line)
            if len(self._open) + len(self._link) > CARRIED_MAX:
                return self._close_long_styles(before, line)
        after = (escapes.RESET if self._open else b"") + (escapes.LINK_END if self._link else b"")
        return before + line + after

    def _close_long_styles(self, before: bytes, line: bytes) -> bytes:
        """Close styles and links that are too long to be repeated on each following line."""
        self._open = self._link = b""
        return before + line + escapes.RESET + escapes.LINK_END

    def _plain(self, whole: bytes) -> bytes | None:
        """Return the lines as shown, without the prefix; None if each line has to be examined."""
        if self._open or self._link or self._cut or b"\b" in whole:
            return None
        if b"\r" in whole:
            if _INNER_CR.search(whole):
                return None
            whole = whole.replace(b"\r", b"")
        if escapes.ESC in whole:
            if self.style is PrefixStyle.COLORS:
                if not _closes_styles(whole) and not _closes_styles(_less_pairs(whole)):
                    return None
            else:
                whole = escapes.SGR.sub(b"", whole)
                if escapes.ESC in whole:
                    return None
        if self.style is PrefixStyle.BYTES and (b"\x0f" in whole or b"\x0e" in whole):
            whole = whole.translate(None, SHIFTS)
        if self.style is not PrefixStyle.BYTES and (whole.translate(None, _PLAIN) or not _is_text(whole)):
            return None
        return whole


def for_file(line: bytes) -> bytes:
    """Return a line without escape sequences and shifts; all other bytes stay as they are."""
    return escapes.no_escapes(line).translate(None, SHIFTS)


def _closes_styles(whole: bytes) -> bool:
    """Whether the last escape sequence of each line is a reset, and all of them are SGR.

    A regular expression reads text byte by byte, 5 ns each, so most of it is dropped first.
    """
    return not NO_SGR.search(whole) and not _LEFT_OPEN.search(whole.translate(None, _ALL_BUT_SGR))


def _less_pairs(whole: bytes) -> bytes:
    """Remove the pairs of sequences that turn an attribute on and off again, also one pair within another."""
    return _PAIR.sub(b"", _PAIR.sub(b"", whole))


def _is_text(whole: bytes) -> bool:
    if whole.isascii():
        return True
    try:
        return escapes.C1.search(whole.decode()) is None
    except UnicodeDecodeError:
        return False


class JsonPainter:
    """One JSON object a line: time (UTC), component, instance, text; of standard error also stream."""

    def __init__(self, component: str, instance: str, now: Callable[[], float], *, is_error: bool = False) -> None:
        self._stream = {"stream": "stderr"} if is_error else {}
        self._component = component
        self._instance = instance
        self._now = now

    def paint(self, whole: bytes) -> bytes:
        """Return an object for each line."""
        lines = whole.split(b"\n")
        lines.pop()
        time = self._time()
        return b"".join([self.entry(time, line) for line in lines])

    def paint_piece(self, piece: bytes) -> bytes:
        """Return an object for a piece of a line that is too long; `cut` says that the line continues."""
        return self.entry(self._time(), piece, cut=True)

    def paint_tail(self, pending: bytes) -> bytes:
        """Return nothing: an unfinished line is not an object yet."""
        return b""

    def take_name_of(self, other: Painter) -> None:
        """Name the instance in each object from now on as `other` does."""
        if isinstance(other, JsonPainter):
            self._instance = other._instance

    def entry(self, time: str, line: bytes, **more: bool) -> bytes:
        """Return the object for one line, given without its LF, which was written at `time`."""
        line = line.rstrip(b"\r")
        if rewrites(line):
            line = replay(line)
        text = for_file(line).decode("utf-8", "replace")
        entry = {
            "time": time,
            "component": self._component,
            "instance": self._instance,
            **self._stream,
            "text": text,
            **more,
        }
        return _JSON_LEAVES.sub(_escaped, json.dumps(entry, ensure_ascii=False)).encode() + b"\n"

    def _time(self) -> str:
        return datetime.fromtimestamp(self._now(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_JSON_LEAVES = re.compile("[\x7f-\x9f]")  # a terminal may act on characters that json does not escape


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def screenful(lines: bytes, unfinished: bytes, rows: int) -> bytes:
    """Return the last of `lines`, and the unfinished one, as they fit a terminal with this many rows.

    Only colors are kept: the terminal would answer a query, and the answer would be typed into the component.
    """
    whole = lines.split(b"\n")[:-1][-max(1, rows - 1) :]
    shown = [keep_colors(replay(line)) + RESET + b"\r\n" for line in whole]
    return b"".join(shown) + keep_colors(replay(unfinished))
