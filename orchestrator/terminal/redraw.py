"""A block of rows that a component redraws: it moves the cursor up, over lines that were complete already.

Nested bars (tqdm), `docker compose` and rich do so. Without this, each redraw would appear as new lines. So the block
keeps its rows, and passes on the changed ones when the cursor leaves it at the bottom, at the end, or when
the caller asks (`release`). The last row is the unfinished line.

Not every motion upward is a redraw. It is one if what follows rewrites the row (CR, CSI G, CSI K) or what is below it
(CSI J), and from the beginning of a row if it goes up as many lines as there were since the last time.

Knows the motions from row to row (CSI A B E F, ESC M, LF) and CSI J. `terminal.row` knows what happens within a row,
`terminal.row_motions` all other motions. A row does not wrap.

Also here: moves of a line editor over the rows below its prompt, in which nothing is drawn. prompt_toolkit (IPython)
makes room for its menus below the prompt: it goes down to the last row with line feeds, writes a blank there and erases
it, and goes up again by the same number of rows. In a stream of lines that is a return to the beginning of the row.
"""

from __future__ import annotations

import re

from orchestrator.terminal.escapes import no_escapes, open_style, plain
from orchestrator.terminal.lines import LineSplitter, compacted
from orchestrator.terminal.row import column, replay, rewrites

ROWS_MAX = 100  # the cursor does not move further up
ROW_MAX = 1 << 14  # bytes of a row; longer text is not a row of a block
COMPACT_AT = 1 << 9  # bytes of a row from which on overwritten text is dropped
ABOVE_MAX = 1 << 13  # bytes of the lines before that are remembered

_STEP = re.compile(rb"\x1b\[(\d{0,6})([ABEFJ])|\x1bM|\r*\n")
RUN = re.compile(rb"(?:\x1b(?:\[\d{0,6}[ABEFJ]|M)|\r*\n)+")  # motions only
_REWRITES = re.compile(rb"\r(?!\n)|\x1b\[(?:\d{0,3}G|[0-2]?K)")

_SGR = rb"(?:\x1b\[[0-9;]{0,20}m)*"
_DESCENT = re.compile(rb"((?:\r{0,3}\n)+)(" + _SGR + rb") \x08(" + _SGR + rb")\x1b\[(\d{1,4})A")


class _RedrawnRow:
    """One row of a block. `base` is the text that was passed on last, also as a line before the block; `text` is the
    present one."""

    __slots__ = ("_compact_at", "base", "text")

    def __init__(self, base: bytes) -> None:
        self.base = self.text = base
        self._compact_at = COMPACT_AT

    def add(self, text: bytes) -> None:
        self.text += text
        if len(self.text) > self._compact_at:
            self.text = compacted(self.text)
            self._compact_at = max(COMPACT_AT, 2 * len(self.text))

    @property
    def has_changed(self) -> bool:
        return self.text is not self.base and replay(self.text) != replay(self.base)

    @property
    def is_blank(self) -> bool:
        return not plain(replay(self.text)).strip()


class BlockSplitter(LineSplitter):
    """A LineSplitter that knows blocks; `terminal.row_motions` decides when one begins."""

    __slots__ = ("_above", "_at", "_is_clamped", "_left", "_rows", "_since", "_trail", "has_changes", "overwritten")

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_RedrawnRow] = []
        self._at = 0
        self._is_clamped = False  # whether the cursor went up further than the block knows
        self._trail = b""  # what was written since the cursor came to its row
        self._left: bytes | None = None  # the text of the row that the cursor left, while it decides the column
        self.has_changes = False  # whether rows above the last one may have changed since they were passed on
        self._above = b""
        self._since = -1  # lines since the cursor last went up from the beginning of a row
        self.overwritten: list[bytes] = []  # lines that ended within the block; the caller empties it

    @property
    def has_pending(self) -> bool:
        """Whether there is an unfinished line."""
        return bool(self._rows[-1].text) if self._rows else super().has_pending

    @property
    def pending(self) -> bytes:
        """The unfinished line so far."""
        return self._rows[-1].text if self._rows else super().pending

    @property
    def _column(self) -> int:
        """The cursor's column, counted from 0."""
        if self._rows:
            return column(self._trail if self._left is None else self._left)
        return column(super().pending)

    @property
    def _is_blank(self) -> bool:
        """Whether the unfinished line is empty."""
        row = self.pending
        return not self._in_piece and not plain(replay(row) if rewrites(row) else row).strip()

    @property
    def _is_above_last(self) -> bool:
        return self._at < len(self._rows) - 1

    def _has_row_below(self, count: int) -> bool:
        """Whether the cursor may be in a row of the block after moving down this far. If it went up further than the
        block knows, its row is uncertain, and the last row is assumed."""
        return self._is_clamped or self._at + count < len(self._rows)

    def _is_redraw(self, run: bytes, after: bytes) -> bool:
        if self._in_piece or len(self.pending) > ROW_MAX:
            return False
        if b"F" in run or b"J" in run or _REWRITES.match(after):
            return True
        if no_escapes(self.pending).rstrip(b"\r"):
            return False
        first = _STEP.match(run)
        since, self._since = self._since, 0
        return first is not None and since == max(1, int(first[1] or 0))

    def release(self) -> bytes:
        """Return, as lines, the rows that have changed and are not blank, but the last one, which is unfinished."""
        self.has_changes = False
        lines: list[bytes] = []
        for row in self._rows[:-1]:
            if row.has_changed and not row.is_blank:
                lines.append(row.text + b"\n")
            row.base = row.text
        return b"".join(lines)

    def compact(self) -> None:
        """Compact the unfinished line, as LineSplitter does."""
        if self._rows:
            self._rows[-1].text = compacted(self._rows[-1].text)
        else:
            super().compact()

    def end_row(self) -> bytes:
        """End the row that the cursor has left for an unknown one; return its line, or nothing if it is blank."""
        if self._rows:
            last = self._rows[-1]
            rows = self.release()
            self._leave()
            return rows if last.is_blank else rows + last.text + b"\n"
        if self._is_blank:
            self._keep(open_style(b"", self.pending))
            return b""
        return self._pass(b"\n")

    def flush(self) -> bytes:
        """Return and forget the rows that were not passed on, each with a line end added."""
        if not self._rows:
            return super().flush()
        rest, last = self.release(), self._rows[-1]
        self._leave()
        return rest if last.is_blank else rest + last.text + b"\n"

    def _feed(self, text: bytes, out: list[bytes]) -> None:
        """Take text and motions; the lines that are whole now go to `out`."""
        while text and self._rows:
            text = self._redraw(text, out)
        if text:
            out.append(self._pass(text))

    def _pass(self, chunk: bytes) -> bytes:
        whole = LineSplitter.feed(self, chunk)
        if self._above:
            self._above = (self._above + whole)[-ABOVE_MAX:]
        if self._since >= 0:
            self._since += whole.count(b"\n")
        return whole

    def _enter(self, above: bytes) -> None:
        self._above = above
        self._rows = [_RedrawnRow(b"")]
        self._rows[0].text = super().pending
        self._keep(b"")
        self._at = 0
        self._is_clamped = False
        self._left, self._trail = None, self._rows[0].text

    def _leave(self) -> None:
        self._above = (self._above + b"".join([row.text + b"\n" for row in self._rows]))[-ABOVE_MAX:]
        self._since = len(self._rows)
        self._rows = []
        self.has_changes = False

    def _redraw(self, chunk: bytes, out: list[bytes]) -> bytes:
        """Follow the cursor through the block; return the text after it has left the block."""
        position = 0
        for step in _STEP.finditer(chunk):
            self._write(chunk[position : step.start()])
            position = step.end()
            if len(self._rows[self._at].text) > ROW_MAX:
                out.append(self._give_up())
                return chunk[step.start() :]
            count = max(1, int(step[1] or 0))
            if step[2] == b"J":
                self._erase(int(step[1] or 0))
            elif step[2] in (b"B", b"E"):
                self._go(min(self._at + count, len(self._rows) - 1), begin=step[2] == b"E")
            elif step[2] or not step[0].endswith(b"\n"):
                self._go_up(count, begin=step[2] == b"F")
            elif self._is_above_last:
                self.overwritten.append(self._rows[self._at].text + b"\n")
                self._go(self._at + 1, begin=True)
            else:
                out += (self.release(), self._rows[-1].text + b"\n")
                self._leave()
                return chunk[position:]
        self._write(chunk[position:])
        if len(self._rows[self._at].text) > ROW_MAX:
            out.append(self._give_up())
        return b""

    def _write(self, text: bytes) -> None:
        if not text:
            return
        row = self._rows[self._at]
        if self._left is not None and not text.startswith(b"\r"):
            text = _to_column_after(self._left) + text
            self._trail = b""
        self._left = None
        self._trail += text
        if len(self._trail) > COMPACT_AT:
            self._trail = _to_column_after(self._trail)
        row.add(text)
        self.has_changes = self.has_changes or self._is_above_last

    def _go(self, at: int, *, begin: bool) -> None:
        if self._left is None or begin:
            self._left = b"" if begin else self._trail
        self._trail = b""
        self._at = at

    def _go_up(self, count: int, *, begin: bool) -> None:
        missing = min(count - self._at, ROWS_MAX - len(self._rows))
        if missing > 0:
            lines = self._above.rsplit(b"\n", missing + 1)
            self._above = lines[0] + b"\n" if len(lines) > missing + 1 else b""
            known = [_RedrawnRow(line) for line in lines[-missing - 1 : -1]]
            self._rows[:0] = known
            self._at += len(known)
        self._is_clamped = self._is_clamped or count > self._at
        self._go(max(0, self._at - count), begin=begin)

    def _erase(self, what: int) -> None:
        if what == 0:
            self._write(b"\x1b[K")
        for row in self._rows[0 if what >= 2 else self._at + 1 :] if what != 1 else []:
            row.text = b""
        self.has_changes = True

    def _give_up(self) -> bytes:
        """Pass on all rows, because one has grown too long."""
        rows, at = self._rows, self._at
        lines = [row.text + b"\n" for row in rows[:at] if row.has_changed and not row.is_blank]
        lines += [row.text + b"\n" for row in rows[at + 1 :] if row.has_changed and not row.is_blank]
        self._rows, self._above, self.has_changes = [], b"", False
        return b"".join(lines) + super().feed(rows[at].text)


def _to_column_after(text: bytes) -> bytes:
    at = column(text)
    return b"\r\x1b[%dC" % at if at else b"\r"


def less_descents(chunk: bytes) -> bytes:
    """Replace each move down and up again by CR. A chunk without a backspace costs one search."""
    return _DESCENT.sub(_stay, chunk) if b"\b" in chunk else chunk


def _stay(match: re.Match[bytes]) -> bytes:
    down, before, after, up = match.groups()
    return b"\r" + before + after if down.count(b"\n") == int(up) else match.group()
