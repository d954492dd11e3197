"""One row of a terminal: its text after carriage returns, backspaces, cursor motions and erasures.

A progress bar rewrites its row many times; only the text that a terminal would show in the end counts. Handles the
controls that stay on one row (CR, BS, TAB, CSI C D G I J K X P Z a ` @) and SGR; everything else is dropped. The row is
as wide as necessary: it does not wrap.
"""

from __future__ import annotations

import re

from orchestrator.terminal.escapes import ANY, CONTROLS, RESET, SGR, open_style
from orchestrator.terminal.width import TAB, cells, width

CELLS_MAX = 1 << 14  # of a longer row only the last rewrite is kept, without replay
SEGMENTS_MAX = 1 << 12  # rewrites that are processed one by one
COLUMNS_MAX = 1000  # no motion goes further

_TOKEN = re.compile(rb"\r+|\x08+|\t|" + ANY.pattern + rb"|[^\r\x08\t\x1b]+", re.DOTALL)
_MOTION = re.compile(rb"\x1b\[(\d{0,6})([CDGIJKXPZa@`])")
_MOVES_BACK = re.compile(rb"\x1b\[(?:\d*[CDGIZa`]|[12]K|1J)")  # without one of these, CR or BS no row is rewritten
_SHIFTS = re.compile(rb"\x1b\[\d*[P@]")
_ERASES_ALL = re.compile(rb"(?:\x1b\[[0-9;:]{0,250}m)*\x1b\[[02]?K")  # at the beginning of the row
_OVERSTRUCK = re.compile(rb"[ -~]\x08(?=[ -~])")
_NO_CELL = bytes(b for b in CONTROLS if b not in b"\r\b\x1b")


def rewrites(line: bytes) -> bool:
    """Whether `line` overwrites itself, so that it has to be replayed; a CR at its very end does not count."""
    return b"\r" in line or b"\b" in line or (b"\x1b[" in line and bool(_MOVES_BACK.search(line)))


def replay(line: bytes, columns: int = COLUMNS_MAX) -> bytes:
    """Return `line` without rewrites: the text that is left on the row, each change of style with its SGR.

    A CR at the very end rewrites nothing. The style that the line leaves open stays open. `columns` is the width of the
    terminal that the line was written for: CUF goes no further. Text may, because a row does not wrap here.
    """
    line = _less_hidden(line.rstrip(b"\r"))
    if len(line) > CELLS_MAX:
        cut = line.rfind(b"\r") + 1
        return open_style(b"", line[:cut]) + line[cut:].replace(b"\b", b"")
    row = _Row(columns)
    row.write(line)
    return row.render()


def column(line: bytes) -> int:
    """Return the cursor's column after `line`, counted from 0."""
    line = line[line.rfind(b"\r") + 1 :][-CELLS_MAX:]
    columns = _width(line)
    if columns >= 0:
        return columns
    row = _Row()
    row.write(line)
    return row.at


def compact(line: bytes) -> bytes:
    """Return a shorter line after which any continuation gives the same row as after `line`, which rewrites itself.

    It begins with a CR, and so it still is one that rewrites itself: a TAB that follows stays a motion. `line` must
    not end within a sequence or a character.
    """
    line = _less_hidden(line)
    if len(line) > CELLS_MAX:
        last = line.rstrip(b"\r").rfind(b"\r")
        before = line.rfind(b"\r", 0, last) if last > 0 else -1
        # Two rewrites are kept: the last may be shorter, or not written to its end.
        return open_style(b"", line[:before]) + line[before + 1 :] if before >= 0 else line
    row = _Row()
    row.write(line)
    return b"\r" + row.render() + row.back_to_position()


def _less_hidden(line: bytes) -> bytes:
    """Drop text that was certainly overwritten: most of a long progress bar, at the speed of C."""
    if b"\b" in line and b"\x1b" not in line:
        line = _OVERSTRUCK.sub(b"", line)
    if line.count(b"\r") < 2:
        return line
    segments = line.split(b"\r")
    if not _SHIFTS.search(line):
        covered = max(map(_width, segments[-3:]))  # UTF-8 takes at least as many bytes as cells
        segments[:-3] = [s for s in segments[:-3] if len(s) > covered or b"\x1b" in s or b"\b" in s or b"\t" in s]
    backwards = [segments.pop()]
    covered = _width(backwards[0])
    while segments and len(backwards) < SEGMENTS_MAX and not _SHIFTS.search(backwards[-1]):
        if _ERASES_ALL.match(backwards[-1]):
            backwards.append(open_style(b"", b"\r".join(segments)))
            segments = []
            break
        segment = segments.pop()
        columns = _width(segment)
        if 0 <= columns <= covered:
            if b"\x1b" in segment:
                backwards.append(b"".join(SGR.findall(segment)))
        else:
            backwards += (b"\r", segment)
            covered = max(covered, columns)
    return b"\r".join((*segments, b"".join(reversed(backwards))))


def _width(segment: bytes) -> int:
    """Return the cells that a segment of text and SGR takes; -1 if it has other motions."""
    if b"\x1b" in segment:
        segment = SGR.sub(b"", segment)
    if b"\x1b" in segment or b"\b" in segment or b"\t" in segment:
        return -1
    segment = segment.translate(None, _NO_CELL)
    return width(segment.decode("utf-8", "surrogateescape"))


class _Row:
    """Cells of (style, character), a position, and the style in force. The second cell of a wide one is empty."""

    def __init__(self, columns: int = COLUMNS_MAX) -> None:
        self._last = columns if columns == COLUMNS_MAX else columns - 1  # where CUF stops
        self._cells: list[tuple[bytes, str]] = []
        self.at = 0
        self._style = b""

    def write(self, line: bytes) -> None:
        for match in _TOKEN.finditer(line):
            self._take(match.group())

    def _take(self, token: bytes) -> None:
        first = token[0]
        if first == 0x0D:
            self.at = 0
        elif first == 0x08:
            self.at = max(0, self.at - len(token))
        elif first == 0x09:
            self.at += TAB - self.at % TAB
            self._pad(self.at)
        elif first != 0x1B:
            self._put(token.translate(None, _NO_CELL).decode("utf-8", "surrogateescape"))
        elif SGR.fullmatch(token):
            self._style = open_style(self._style, token)
        elif match := _MOTION.fullmatch(token):
            self._move(match[2], int(match[1] or 0))

    def _put(self, text: str) -> None:
        self._pad(self.at)
        style = self._style
        if text.isascii():
            self._replace([(style, character) for character in text])
            return
        for character in text:
            columns = cells(character)
            if columns:
                self._replace([(style, character), (style, "")][:columns])
            elif self.at > 0:
                self._combine(character)

    def _replace(self, new: list[tuple[bytes, str]]) -> None:
        end = self.at + len(new)
        self._split(self.at)
        self._split(end)
        self._cells[self.at : end] = new
        self.at = end

    def _combine(self, mark: str) -> None:
        at = self.at - 1
        if at > 0 and self._cells[at][1] == "":
            at -= 1
        style, base = self._cells[at]
        if len(base) < 16:
            self._cells[at] = (style, base + mark)

    def _split(self, at: int) -> None:
        """Blank the other half of a wide character that is overwritten by half."""
        if 0 < at < len(self._cells) and self._cells[at][1] == "":
            for half in (at - 1, at):
                self._cells[half] = (self._cells[half][0], " ")

    def _pad(self, columns: int) -> None:
        if len(self._cells) < columns:
            self._cells += [(b"", " ")] * (columns - len(self._cells))

    def _move(self, what: bytes, count: int) -> None:
        at, some = self.at, min(COLUMNS_MAX, max(1, count))
        if what in b"Ca":
            self.at = min(at + some, max(at, self._last))
        elif what == b"D":
            self.at = max(0, at - some)
        elif what in b"G`":
            self.at = some - 1
        elif what == b"I":
            self.at = min(at - at % TAB + TAB * some, max(at, COLUMNS_MAX))
        elif what == b"Z":
            self.at = max(0, at - (at - 1) % TAB - 1 - TAB * (some - 1))
        elif what == b"X":
            self._blank(at, min(at + some, len(self._cells)))
        elif what == b"P":
            self._split(at)
            self._split(at + some)
            del self._cells[at : at + some]
        elif what == b"@":
            if at < len(self._cells):
                self._split(at)
                self._cells[at:at] = [(b"", " ")] * some
                del self._cells[CELLS_MAX:]
        elif count == 0:
            self._split(at)
            del self._cells[at:]
        elif count == 2 and what == b"K":
            self._cells = []
        elif count == 1:
            self._pad(at + 1)
            self._blank(0, at + 1)

    def _blank(self, start: int, end: int) -> None:
        if start < end:
            self._split(start)
            self._split(end)
            self._cells[start:end] = [(b"", " ")] * (end - start)

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

    def back_to_position(self) -> bytes:
        if self.at == len(self._cells):
            return b""
        return b"\r\x1b[%dC" % self.at if self.at else b"\r"


def _change(before: bytes, after: bytes) -> str:
    return ((RESET if before else b"") + after).decode()
