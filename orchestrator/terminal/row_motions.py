"""Decides which line of the merged stream a text belongs to, after each motion of the cursor.

The merged stream has lines only:

- Text on the alternate screen, or of a program that uses the whole screen like top(1), belongs to no line.
- A motion to another row ends the line. The text after it begins in the column where a terminal would show it.
- A motion upward that redraws complete lines opens a block (`terminal.redraw`).
- Text on another row between saving and restoring the cursor, such as a status line, belongs to no line.
- Blank rows that a clear or a motion upward takes back belong to no line. So blank rows at the end are held back.

Line drawing characters become Unicode, a repeated character (REP) is repeated, and SO and SI are dropped.
`terminal.row` handles changes within a row. The height of the terminal and its scroll region are not known here, so an
absolute motion counts as one to another row, unless the last one went to the same row.

Fact: `CSI ? 1049 l` restores the cursor, `CSI ? 47 l` and `CSI ? 1047 l` do not (ctlseqs of xterm). Line drawing is the
character set `0` (DEC Special Graphics); SO and SI select G1 and G0 (ECMA-35).
"""

from __future__ import annotations

import re

from orchestrator.terminal.escapes import ANY, CONTROLS, SEQUENCE_MAX, no_escapes
from orchestrator.terminal.redraw import ABOVE_MAX, ROWS_MAX, RUN, BlockSplitter
from orchestrator.terminal.row import COLUMNS_MAX, column
from orchestrator.terminal.sgr import SGR
from orchestrator.terminal.width import cells

BLANK_MAX = 1 << 9  # bytes of blank rows that are held back
PAD_MAX = 1 << 8  # columns that are left blank before a text
_RUN_MAX = 256  # bytes of motions that are held back
_AFTER = 8  # bytes after them that say whether they begin a redraw
_ABOVE_UNKNOWN = b"\n" * 20  # after an absolute motion: the rows above are not what was written before
_CHARACTER_MAX = 1 << 5  # bytes of a character with its combining marks

MODE = re.compile(rb"\x1b(?:[=>c]|\[\?[0-9;]{0,60}[hl]|\[!p)")
_NO_TEXT = re.compile(rb"(?:[\x00-\x1a\x1c-\x1f\x7f]|" + ANY.pattern + rb")*")

_DRAWING = dict(zip(b"`abcdefghijklmnopqrstuvwxyz{|}~_", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£· ", strict=True))
_ALTERNATE = frozenset({47, 1047, 1049})
_OWN_CURSOR = 1049  # whose end restores the cursor
_SAVES_CURSOR = 1048
_CURSOR = 25
_MAKES_HOME = frozenset({3, 6})  # the modes whose change moves the cursor to the top


class RowMotions(BlockSplitter):
    """A BlockSplitter that knows all motions. `terminal.row_splitter` cuts chunks into text and motions for it.

    The cursor is `_away` when it has left its row for an unknown one and nothing has been written there yet: then it
    holds the column, otherwise -1. `_saved` is the column of the saved cursor, -1 for none, `_saved_up` how many rows
    that is above. `_carry` is input that is held back until more is known.
    """

    __slots__ = (
        "_alternate",
        "_away",
        "_away_row",
        "_blank",
        "_carry",
        "_charsets",
        "_hidden",
        "_keypad",
        "_row",
        "_saved",
        "_saved_up",
        "_shift",
        "took_screen",
    )

    def __init__(self) -> None:
        super().__init__()
        self._carry = b""
        self._blank = b""
        self._away = -1
        self._away_row = 0
        self._row = 0  # the row that the last absolute motion went to, 0 if another one may follow from text
        self._saved = -1
        self._saved_up = 0
        self._alternate = self._keypad = self._hidden = False
        self._charsets = [b"B", b"B"]
        self._shift = 0
        self.took_screen = False  # whether a full-screen program has begun; the caller resets it

    @property
    def full_screen(self) -> bool:
        """Whether a full-screen program has the terminal."""
        return self._alternate or (self._keypad and self._hidden)

    # Text

    @staticmethod
    def _has_text(text: bytes) -> bool:
        """Return whether the terminal shows any of the text before the end of the line, a blank included."""
        return bool(no_escapes(text.partition(b"\n")[0]).translate(None, CONTROLS + b"\t"))

    def _arrive(self, text: bytes, out: list[bytes]) -> bytes:
        """Return text that arrives while the cursor is away, in the form that continues our lines."""
        first, end, rest = text.partition(b"\n")
        if self._has_text(text):
            before = _NO_TEXT.match(text)
            assert before is not None
            styles, self._away = b"".join(SGR.findall(before[0])), self._column_after(before[0])
            self._end_blank(out)
            out.append(self.end_row())
            pad, self._row = b" " * min(self._away, PAD_MAX), self._away_row
            self._away = self._saved = -1
            self._above = _ABOVE_UNKNOWN
            return styles + pad + text[before.end() :]
        styles = b"".join(SGR.findall(first))
        if styles and self._rows:  # the row that the cursor has left keeps its style
            out.append(self.end_row())
        if end:
            self._end_blank(out)
            if styles:
                self._feed(styles, out)
            out.append(self.end_row())
            self._away = self._saved = -1
            self._above = _ABOVE_UNKNOWN
            return rest
        self._away = self._column_after(first)
        return styles

    def _column_after(self, motions: bytes) -> int:
        """Return the column after motions within the row, while the cursor is away."""
        before = b"\r\x1b[%dC" % self._away if self._away else b""
        return min(column(before + motions), COLUMNS_MAX)

    def _write_text(self, text: bytes, out: list[bytes]) -> None:
        """Pass on text without motions, but hold blank rows at its end."""
        if self._charsets[self._shift] == b"0":
            text = _drawn(text)
        if b"\n" in text:
            self._row = 0
            if self._saved >= 0:
                self._saved_up += text.count(b"\n")
                if self._saved_up > ROWS_MAX:
                    self._saved = -1
        while text and self._rows:
            text = self._redraw(text, out)
        if not text:
            return
        if self._blank:
            if not text.strip(b"\r\n") and len(self._blank) < BLANK_MAX:
                self._blank += text
                return
            self._end_blank(out)
        body = text.rstrip(b"\r\n")
        if body or self._size:
            end = text.find(b"\n", len(body)) + 1
            body = text[:end] if end else text
        blank = text[len(body) :]
        if b"\n" not in blank or len(blank) > BLANK_MAX:
            body, blank = text, b""
        if body:
            self._feed(body, out)
        self._blank = blank

    def _end_blank(self, out: list[bytes]) -> None:
        """Pass on blank rows that were not taken back."""
        blank, self._blank = self._blank, b""
        if blank:
            self._feed(blank, out)

    # Motions

    def _move(self, token: bytes, rest: bytes, above: bytes, out: list[bytes], *, final: bool) -> bytes:
        """Carry out a motion; return the text that follows."""
        if MODE.fullmatch(token):
            return self._set_mode(token, out) + rest
        if token[1:2] in (b"(", b")"):
            self._charsets[token[1:2] == b")"] = token[2:]
        elif token in (b"\x0e", b"\x0f"):
            self._shift = int(token == b"\x0e")
        elif token in (b"\x1b7", b"\x1b[s"):
            self._save()
        elif token in (b"\x1b8", b"\x1b[u"):
            return self._restore() + rest
        elif token[1:2] == b"[":
            numbers = [int(number or 0) for number in token[2:-1].split(b";")]
            if token[-1:] in (b"A", b"F"):
                return self._go_above(token, numbers[0], rest, above, out, final=final)
            self._do_csi(token, token[-1:], numbers, out)
        elif token == b"\x1bM":
            return self._go_above(token, 1, rest, above, out, final=final)
        elif token == b"\x1bE":
            return b"\r\n" + rest
        elif self._is_above_last and self._away < 0:
            self._feed(b"\x1b[B", out)
        else:
            self._go_away(self._here)
        return rest

    @property
    def _here(self) -> int:
        return self._column if self._away < 0 else self._away

    def _go_away(self, to_column: int, row: int = 0) -> None:
        self._away, self._away_row = min(to_column, COLUMNS_MAX), row

    def _do_csi(self, token: bytes, kind: bytes, numbers: list[int], out: list[bytes]) -> None:
        if kind == b"b":
            self._repeat(numbers[0], out)
        elif kind == b"J":
            self._erase_screen(token, numbers[0], out)
        elif kind in b"Hf":
            to_column = min(max(1, numbers[1] if len(numbers) > 1 else 1), COLUMNS_MAX) - 1
            self._go_to(max(1, numbers[0]), to_column, out)
        elif kind == b"d":
            self._go_to(max(1, numbers[0]), self._here, out)
        elif kind in b"BE" and self._rows and self._away < 0 and self._has_row_below(max(1, numbers[0])):
            self._saved_up += min(max(1, numbers[0]), ROWS_MAX)
            self._feed(token, out)
        else:
            self._go_away(0 if kind == b"E" else self._here)

    def _go_to(self, row: int, to_column: int, out: list[bytes]) -> None:
        if row != self._row or self._away >= 0 or self._rows:
            self._go_away(to_column, row)
        else:
            self._write_text(b"\r\x1b[%dC" % to_column if to_column else b"\r", out)

    def _go_above(self, token: bytes, count: int, rest: bytes, above: bytes, out: list[bytes], *, final: bool) -> bytes:
        begins, count = token.endswith(b"F"), min(max(1, count), COLUMNS_MAX)
        if self._away >= 0:
            self._go_away(0 if begins else self._away)
            return rest
        if self._blank:
            rows = self._blank.count(b"\n")
            self._blank = b"\n" * max(0, rows - count)
            self._saved_up -= min(rows, count)
            count -= rows
            return rest if count <= 0 else b"\x1b[%d%b" % (count, b"F" if begins else b"A") + rest
        if not self._rows:
            ahead = token + rest
            run = RUN.match(ahead)
            assert run is not None
            if not final and len(ahead) < _RUN_MAX and not ahead[run.end() :].strip(b"\r"):
                self._carry = ahead
                return b""
            if not self._is_redraw(run.group(), ahead[run.end() : run.end() + _AFTER]):
                self._go_away(self._column)
                return rest
            self._enter(self._above or (above + b"".join(out))[-ABOVE_MAX:])
        self._saved_up -= count
        if self._saved_up < 0:
            self._saved = -1
        self._feed(token, out)
        return rest

    def _save(self) -> None:
        known = self._away < 0 and not self._rows
        self._saved = self._column if known else -1
        self._saved_up = 0

    def _restore(self) -> bytes:
        """Return the motions within a row, or upward, that go back to the saved cursor."""
        if self._saved < 0:
            self._go_away(0)
            return b""
        self._away = -1
        to_column = b"\x1b[%dC" % self._saved if self._saved else b""
        if self._saved_up:
            return b"\x1b[%dF" % self._saved_up + to_column
        return b"\r" + to_column if self._column != self._saved else b""

    def _erase_screen(self, token: bytes, what: int, out: list[bytes]) -> None:
        if what == 2 or (what == 0 and self._away >= 0):
            self._blank = b""
        if self._away >= 0 or self._blank or what == 3:
            return  # nothing is on the cursor's row or below it
        self._feed(token, out)

    def _repeat(self, count: int, out: list[bytes]) -> None:
        if self._away >= 0 or self._blank:
            return
        row = self._rows[self._at].text if self._rows else self.pending
        text = no_escapes(row[-SEQUENCE_MAX:])[-_CHARACTER_MAX:].decode("utf-8", "surrogateescape")
        start = len(text) - 1
        while start > 0 and not cells(text[start]):  # a combining mark is repeated with its character
            start -= 1
        character = text[max(0, start) :].encode("utf-8", "surrogateescape")
        if character.translate(None, CONTROLS):
            room = max(0, SEQUENCE_MAX - len(row)) // len(character)
            self._feed(character * min(max(1, count), room), out)

    # Modes

    def _set_mode(self, token: bytes, out: list[bytes]) -> bytes:
        """Switch modes; return the motion to the saved cursor, if that is one of them."""
        was_full = self.full_screen
        restored = True
        motion = b""
        on = token.endswith(b"h")
        if token in (b"\x1b=", b"\x1b>"):
            self._keypad = token == b"\x1b="
            restored = False
        elif token in (b"\x1bc", b"\x1b[!p"):
            self._charsets, self._shift = [b"B", b"B"], 0
            self._keypad = self._hidden = False
            if token == b"\x1bc":
                self._alternate, self._saved, self._blank = False, -1, b""
                restored = False
                self._go_away(0)
        else:
            for number in map(int, filter(None, token[3:-1].split(b";"))):
                if number in _ALTERNATE:
                    self._alternate = on
                    restored = number == _OWN_CURSOR
                elif number == _CURSOR:
                    self._hidden = not on
                    restored = self._alternate
                elif number == _SAVES_CURSOR and not was_full:
                    if on:
                        self._save()
                    else:
                        motion = self._restore()
                elif number in _MAKES_HOME:
                    self._go_away(0)
        if self.full_screen and not was_full:
            self._end_blank(out)
            self.took_screen = True
        elif was_full and not self.full_screen and not restored:
            self._go_away(0)
        return motion


def _drawn(text: bytes) -> bytes:
    """Return text in line drawing characters, its escape sequences unchanged."""
    pieces: list[bytes] = []
    position = 0
    for sequence in ANY.finditer(text):
        pieces += (_draw(text[position : sequence.start()]), sequence.group())
        position = sequence.end()
    return b"".join((*pieces, _draw(text[position:])))


def _draw(text: bytes) -> bytes:
    return text.decode("utf-8", "surrogateescape").translate(_DRAWING).encode("utf-8", "surrogateescape")
