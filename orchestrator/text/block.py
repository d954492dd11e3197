"""A block of rows that a component redraws: it moves the cursor up, over lines that were whole already.

So do nested bars (tqdm), `docker compose`, rich. Each redraw would come as lines of its own. So the rows are kept, and
what stands on them is handed on when the cursor leaves the block below, at the end, or when somebody asks for it
(`release`), and only of rows that have changed. The last row is the unfinished line.

Not every motion upward is a redraw, and where it is none the text after it stays on its line. It is one when what
follows rewrites the row (CR, CSI G, CSI K), and from the beginning of a row when it goes up as many lines as there
were since the last time.

Knows the motions from row to row (CSI A B E F, ESC M, LF) and CSI J; what happens within a row is `text.row`'s. A row
does not wrap.
"""

from __future__ import annotations

import re

from orchestrator.text.escapes import ESC, no_escapes, plain
from orchestrator.text.lines import LineSplitter, compacted
from orchestrator.text.row import column, replay
from orchestrator.text.sgr import NO_SGR

ROWS_MAX = 100  # the cursor goes no further up
ROW_MAX = 1 << 14  # bytes of a row; what is longer is no row of a block
COMPACT_AT = 1 << 9  # bytes of a row from which on what was written over is dropped
ABOVE_MAX = 1 << 13  # bytes of the lines before that are remembered

_UP = re.compile(rb"\x1b(?:\[\d{0,6}[AF]|M)")
_STEP = re.compile(rb"\x1b\[(\d{0,6})([ABEFJ])|\x1bM|\r*\n")
_RUN = re.compile(rb"(?:\x1b(?:\[\d{0,6}[ABEFJ]|M)|\r*\n)+")  # motions only
_REWRITES = re.compile(rb"\r(?!\n)|\x1b\[(?:\d{0,3}G|[0-2]?K)")
_CUT = re.compile(rb"(?:\x1b(?:\[\d{0,6})?|\r)\Z")
_CUT_MAX = 8
_RUN_MAX = 256


class _Row:
    """`base` is what was handed on of it, or has long been a line; `text` what stands there now."""

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
    """A LineSplitter that knows blocks. What does not move up costs it one search."""

    __slots__ = ("_above", "_at", "_cut_off", "_left", "_rows", "_since", "_touched", "_trail", "overwritten")

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_Row] = []
        self._at = 0
        self._trail = b""  # what was written since the cursor came to its row
        self._left: bytes | None = None  # that of the row it came from, as long as its column counts
        self._touched = False
        self._above = b""
        self._cut_off = b""
        self._since = -1  # lines since the cursor last went up from the beginning of a row
        self.overwritten: list[bytes] = []  # lines that ended within the block; the caller empties it

    @property
    def has_changes(self) -> bool:
        """Whether rows above the last one may have changed since they were handed on."""
        return self._touched

    @property
    def has_pending(self) -> bool:
        """Whether there is an unfinished line."""
        return bool(self._rows[-1].text) if self._rows else super().has_pending

    @property
    def pending(self) -> bytes:
        """The unfinished line so far."""
        return self._rows[-1].text if self._rows else super().pending

    def feed(self, chunk: bytes, above: bytes = b"") -> bytes:
        """As LineSplitter has it. `above` are the lines before, in case that the chunk goes back to them."""
        if self._cut_off:
            chunk, self._cut_off = self._cut_off + chunk, b""
        may_move = bool(self._rows) or (ESC in chunk and bool(NO_SGR.search(chunk) and _UP.search(chunk)))
        may_be_cut = may_move or ESC in chunk[-_CUT_MAX:]
        if may_be_cut and (cut := _CUT.search(chunk, max(0, len(chunk) - _CUT_MAX))):
            chunk, self._cut_off = chunk[: cut.start()], cut.group()
        if not may_move:
            return self._pass(chunk)
        out: list[bytes] = []
        while chunk:
            if not self._rows:
                chunk = self._look_for_redraw(chunk, above, out)
            if self._rows:
                chunk = self._redraw(chunk, out)
        return b"".join(out)

    def _look_for_redraw(self, chunk: bytes, above: bytes, out: list[bytes]) -> bytes:
        """Pass on what comes before a redraw, and enter the block; returns the rest."""
        up = _UP.search(chunk)
        if up is None:
            out.append(self._pass(chunk))
            return b""
        run = _RUN.match(chunk, up.start())
        assert run is not None
        rest = chunk[run.start() :]
        if len(rest) < _RUN_MAX and not rest[len(run.group()) :].strip(b"\r"):
            self._cut_off = rest + self._cut_off  # whether it is one, what follows says
            out.append(self._pass(chunk[: run.start()]))
            return b""
        out.append(self._pass(chunk[: run.start()]))
        if self._is_redraw(run.group(), chunk[run.end() : run.end() + _CUT_MAX]):
            self._enter(self._above or (above + b"".join(out))[-ABOVE_MAX:])
            return chunk[run.start() :]
        out.append(self._pass(run.group()))
        return chunk[run.end() :]

    def _is_redraw(self, run: bytes, after: bytes) -> bool:
        if self.piece or len(self.pending) > ROW_MAX:
            return False
        if b"F" in run or _REWRITES.match(after):
            return True
        if no_escapes(self.pending).rstrip(b"\r"):
            return False
        first = _STEP.match(run)
        since, self._since = self._since, 0
        return first is not None and since == max(1, int(first[1] or 0))

    def release(self) -> bytes:
        """Return, as lines, the rows that have changed and are not blank, but the last one, which is unfinished."""
        self._touched = False
        lines: list[bytes] = []
        for row in self._rows[:-1]:
            if row.has_changed and not row.is_blank:
                lines.append(row.text + b"\n")
            row.base = row.text
        return b"".join(lines)

    def compact(self) -> None:
        """As LineSplitter has it."""
        if self._rows:
            self._rows[-1].text = compacted(self._rows[-1].text)
        else:
            super().compact()

    def flush(self) -> bytes:
        """Return what has not been handed on, each row with an end of ours; forget it."""
        held, self._cut_off = self._cut_off, b""
        if not self._rows:
            return self._pass(held) + super().flush()
        rest, last = self.release(), self._rows[-1]
        self._leave()
        return rest if last.is_blank else rest + last.text + b"\n"

    def _pass(self, chunk: bytes) -> bytes:
        whole = super().feed(chunk)
        if self._above:
            self._above = (self._above + whole)[-ABOVE_MAX:]
        if self._since >= 0:
            self._since += whole.count(b"\n")
        return whole

    def _enter(self, above: bytes) -> None:
        self._above = above
        self._rows = [_Row(b"")]
        self._rows[0].text = super().pending
        self._keep(b"")
        self._at = 0
        self._left, self._trail = None, self._rows[0].text

    def _leave(self) -> None:
        self._above = (self._above + b"".join([row.text + b"\n" for row in self._rows]))[-ABOVE_MAX:]
        self._since = len(self._rows)
        self._rows = []
        self._touched = False

    def _redraw(self, chunk: bytes, out: list[bytes]) -> bytes:
        """Follow the cursor through the block; returns what comes after it has left that."""
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
            elif self._at < len(self._rows) - 1:
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
        self._touched = self._touched or self._at < len(self._rows) - 1

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
            known = [_Row(line) for line in lines[-missing - 1 : -1]]
            self._rows[:0] = known
            self._at += len(known)
        self._go(max(0, self._at - count), begin=begin)

    def _erase(self, what: int) -> None:
        if what == 0:
            self._write(b"\x1b[K")
        for row in self._rows[0 if what >= 2 else self._at + 1 :] if what != 1 else []:
            row.text = b""
        self._touched = True

    def _give_up(self) -> bytes:
        """Hand on all rows: one has grown too long."""
        rows, at = self._rows, self._at
        lines = [row.text + b"\n" for row in rows[:at] if row.has_changed and not row.is_blank]
        lines += [row.text + b"\n" for row in rows[at + 1 :] if row.has_changed and not row.is_blank]
        self._rows, self._above, self._touched = [], b"", False
        return b"".join(lines) + super().feed(rows[at].text)


def _to_column_after(text: bytes) -> bytes:
    at = column(text)
    return b"\r\x1b[%dC" % at if at else b"\r"
