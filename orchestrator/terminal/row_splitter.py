"""Splits the output of one terminal into lines, however its program moves the cursor.

Most chunks contain text and colors only, and take a short path. Others are cut into text and motions, which
`terminal.row_motions` carries out. A sequence that the end of a chunk cuts off is held back until the next chunk.
"""

from __future__ import annotations

import re

from orchestrator.terminal.escapes import ESC, SEQUENCE_MAX
from orchestrator.terminal.lines import LineSplitter
from orchestrator.terminal.row_motions import MODE, RowMotions
from orchestrator.terminal.sgr import NO_SGR

_NEAR_END = 1 << 6  # bytes from the end of a chunk, where a sequence may be cut off
_PIECE = 1 << 11  # bytes that are processed together: the text after a motion is copied

_MOTION = re.compile(
    rb"\x1b(?:[78DEMc=>]|[()][0-~]|\[(?:[0-9;]{0,30}[ABEFHJbdefu]|s|\?[0-9;]{0,60}[hl]|!p)"
    rb"|(?P<string>[\]PX^_][^\x07\x18\x1a\x1b\n]*))"
)
_TOKEN = re.compile(rb"[\x0b\x0c\x0e\x0f]|" + _MOTION.pattern)
_CUT = re.compile(
    rb"(?:\x1b(?:\[[0-?]{0,60}[ -/]{0,3}|[ -/]{1,3}|[\]PX^_][^\x07\x18\x1a\x1b\n]{0,4000}\x1b?)?|\r{1,9})\Z"
)
_CUT_OFF = re.compile(  # a sequence that another one cuts off: a terminal drops it
    rb"\x1b(?:\[[0-?]{0,60}[ -/]{0,3}|[ -/]{1,3})?(?=\x1b)|\x1b[\]PX^_][^\x07\x18\x1a\x1b\n]{0,4000}(?=\x1b[^\\])"
)
_RESTORE = re.compile(rb"\x1b(?:8|\[u|\[\?1048l)")
_NOT_PLAIN = re.compile(rb"[\x0b\x0c\x0e\x0f]|" + NO_SGR.pattern)
_BLANK_END = (b"\n\n", b"\n\r\n", b"\n\r\r\n", b"\n\r", b"\n\r\r")


def is_plain(text: bytes) -> bool:
    """Return whether text, of one line or several, has no motions and modes, only colors and controls within a row."""
    if ESC in text or b"\f" in text or b"\v" in text or b"\x0e" in text or b"\x0f" in text:
        return _NOT_PLAIN.search(text) is None
    return True


class RowSplitter(RowMotions):
    """A LineSplitter for terminal output. Text and colors cost a few searches."""

    __slots__ = ("_busy", "_waits_for_restore")

    def __init__(self) -> None:
        super().__init__()
        self._busy = False  # whether even text without motions must be processed
        self._waits_for_restore = False

    @property
    def holds(self) -> bool:
        """Whether output is held back; after a moment without more, call `settle`."""
        return bool(self._blank) or self._waits_for_restore

    @property
    def passes(self) -> bool:
        """Whether it returns whole lines that are plain and not blank as they are."""
        return not (self._busy or self._rows or self._blank or self._carry or self._size or self._in_piece)

    def pass_over(self, lines: bytes) -> None:
        """Take whole lines that are plain and not blank, while it `passes`."""
        self._pass(lines)

    def feed(self, chunk: bytes, above: bytes = b"") -> bytes:
        """Take a chunk; return all whole lines, as LineSplitter does. `above` has the previous lines, in case the chunk
        moves back to them."""
        out: list[bytes] = []
        if self._busy or self._rows:
            pass
        elif (
            self._blank
            or self._carry
            or ESC in chunk
            or b"\f" in chunk
            or b"\v" in chunk
            or b"\x0e" in chunk
            or b"\x0f" in chunk
            or chunk.endswith(_BLANK_END)
            or (chunk[:1] in (b"\r", b"\n", b"") and not self._size and not chunk.strip(b"\r\n"))
        ):
            if (text := self._without_motions(chunk)) is not None:
                return self._plain(text)
        elif self._since < 0 and not self._above:
            return LineSplitter.feed(self, chunk)
        else:
            return self._pass(chunk)
        for start in range(0, len(chunk), _PIECE):
            self._follow(chunk[start : start + _PIECE], above, out, final=False)
        return b"".join(out)

    def _without_motions(self, chunk: bytes) -> bytes | None:
        """Return the held text and a chunk, without a sequence that it cuts off; None if it contains motions."""
        chunk = self._blank + self._carry + chunk
        size = len(chunk)
        if ESC in chunk:
            escape = chunk.rfind(ESC, max(0, size - _NEAR_END))
            if escape >= 0 and _CUT.match(chunk, escape):
                size = escape
            if (motion := NO_SGR.search(chunk, 0, size)) and _MOTION.search(chunk, motion.start(), size):
                return None
        if b"\f" in chunk or b"\v" in chunk or b"\x0e" in chunk or b"\x0f" in chunk:
            return None
        if chunk[:size].endswith(b"\r"):
            size = len(chunk[:size].rstrip(b"\r"))
        self._blank, self._carry = b"", chunk[size:]
        if self._carry.startswith(ESC):
            return _CUT_OFF.sub(b"", chunk[: size + 1])[:-1]
        return chunk[:size] if self._carry else chunk

    def _plain(self, text: bytes) -> bytes:
        """Return the whole lines of text without motions, if no earlier motion or mode affects it."""
        if not text or text.endswith(b"\n"):
            out: list[bytes] = []
            self._write_text(text, out)
            return b"".join(out)
        return self._pass(text)

    def settle(self, above: bytes = b"") -> bytes:
        """Return the output that was held back, as lines."""
        out: list[bytes] = []
        if self._waits_for_restore:
            self._saved = -1
            self._follow(b"", above, out, final=False)
        self._end_blank(out)
        self._set_busy()
        return b"".join(out)

    def flush(self) -> bytes:
        """Return and forget the rows that were not passed on, each with a line end added."""
        out: list[bytes] = []
        self._follow(b"", b"", out, final=True)
        self._end_blank(out)
        self._set_busy()
        out.append(super().flush())
        return b"".join(out)

    def _set_busy(self) -> None:
        self._busy = bool(
            self._away >= 0 or self._row or self._saved >= 0 or b"0" in self._charsets or self.full_screen
        )

    # The loop over one chunk

    def _follow(self, chunk: bytes, above: bytes, out: list[bytes], *, final: bool) -> None:
        chunk, self._carry, self._waits_for_restore = _CUT_OFF.sub(b"", self._carry + chunk), b"", False
        held = b"" if final else _cut(chunk)
        chunk = chunk[: len(chunk) - len(held)]
        while chunk:
            chunk = self._step(chunk, above, out, final=final)
            if self._carry:
                break
        self._carry += held
        self._set_busy()

    def _step(self, chunk: bytes, above: bytes, out: list[bytes], *, final: bool) -> bytes:
        """Take the text before the next motion, and the motion; return the rest. Incomplete input is carried over."""
        if self.full_screen:
            mode = MODE.search(chunk)
            if mode is None:
                return b""
            self._set_mode(mode.group(), out)
            return chunk[mode.end() :]
        token = _TOKEN.search(chunk)
        while token is not None and token["string"] is not None:
            token = _TOKEN.search(chunk, token.end())
        text = chunk if token is None else chunk[: token.start()]
        if token is not None and ESC in text and (cut := _CUT.match(text, text.rfind(ESC))):
            text = text[: cut.start()]  # a control within a sequence ends it
        if text and self._away >= 0:
            if self._has_text(text) and self._saved >= 0 and not self._saved_up and not self._rows:
                if restore := _RESTORE.search(chunk, 0, SEQUENCE_MAX):
                    return chunk[restore.start() :]
                if not final and len(chunk) < SEQUENCE_MAX:
                    self._carry, self._waits_for_restore = chunk, True
                    return b""
                self._saved = -1
            text = self._arrive(text, out)
        if text:
            self._write_text(text, out)
        if token is None:
            return b""
        rest = chunk[token.end() :]
        return self._move(token.group(), rest, above, out, final=final)


def _cut(chunk: bytes) -> bytes:
    """Return the end of a chunk that is part of a sequence, or may be part of the end of a line."""
    start = max(0, len(chunk) - SEQUENCE_MAX)
    escape = chunk.rfind(ESC, start)
    if escape > start and chunk.endswith(ESC):  # perhaps the end of a string
        before = chunk.rfind(ESC, start, escape)
        if before >= 0 and _CUT.match(chunk, before):
            escape = before
    if escape >= 0 and (cut := _CUT.match(chunk, escape)):
        return cut.group()
    return chunk[len(chunk.rstrip(b"\r")) :]
