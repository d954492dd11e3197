"""Answers to the queries that a program sends its terminal, while no user's terminal is attached to answer.

They are those of a plain terminal: a VT220 with colors, without the extensions that need a real screen (graphics,
clipboard, synchronized output). Queries without a true answer are not answered; a program that expects this sends a
device attributes query right after, and takes its answer as the end. The screen is not kept, only the last bytes, from
which the cursor's position is computed on request.

Sources: ctlseqs of xterm, DEC STD 070, the documentation of kitty's keyboard protocol. A query may be cut anywhere.

This file also detects queries that a user's terminal answers.

Attaching hands the terminal to the component, and the terminal's answers become the component's input (vim sends many
queries). An answer still on its way at a detach would be typed into the user's shell. So the queries that pass must be
known. They are recognized broadly, by their beginning (ctlseqs of xterm; kitty's graphics): a false positive costs a
moment, but a missed query types into the shell. A chunk may end anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from orchestrator.terminal.cursor import Cursor, CursorRow
from orchestrator.terminal.modes import Modes

KEPT = 1 << 14  # bytes of output from which the position is computed: more than one screen
CHUNKS_MAX = 12
CARRY_MAX = 300
_QUERY = re.compile(
    rb"\x1b(?:"
    rb"\[(?P<asked>\??)0*(?P<status>[1-9][0-9]{0,3})n"  # DSR
    rb"|(?P<attributes>\[[>=]?0*c|Z)"  # DA1, DA2, DA3, DECID
    rb"|(?P<kitty>\[\?u)"
    rb"|\[(?P<dec>\??)(?P<mode>[0-9]{1,5})\$p"  # DECRQM
    rb"|(?P<version>\[>0*q)"  # XTVERSION
    rb"|\[(?P<window>1[89])t"  # XTWINOPS
    rb"|\](?P<color>1[0-2])(?P<more>(?:;\?)+)(?P<end>\x07|\x1b\\)"  # OSC 10 to 12
    rb"|P\$q(?P<setting>[^\x07\x1b]{0,16})\x1b\\"  # DECRQSS
    rb"|P\+q(?P<terminfo>[^\x07\x1b]{0,256})\x1b\\"  # XTGETTCAP
    rb")"
)
_BEGUN = re.compile(
    rb"\x1b(?:\[[>=?]?[0-9]{0,5}\$?|\](?:1[0-2]?)?[;?]{0,12}\x1b?|P(?:[$+](?:q[^\x07\x1b]{0,256}\x1b?)?)?)?\Z"
)
_ATTRIBUTES = {b"": b"\x1b[?62;22c", b">": b"\x1b[>1;0;0c", b"=": b"\x1bP!|00000000\x1b\\"}  # 22 is color
_STATUS = {  # of what is not there: no printer, user keys are locked, the keyboard is North American, no locator
    (b"", 5): b"\x1b[0n",
    (b"?", 15): b"\x1b[?13n",
    (b"?", 25): b"\x1b[?21n",
    (b"?", 26): b"\x1b[?27;1;0;0n",
    (b"?", 53): b"\x1b[?50n",
    (b"?", 55): b"\x1b[?50n",
}
_COLORS = {10: b"ffff/ffff/ffff", 11: b"0000/0000/0000", 12: b"ffff/ffff/ffff"}  # plain: white on black
# Modes that the answer to DECRQM may report, because they are kept for the next attached terminal.
_MODES = frozenset({1, 5, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004})
_ANSI_MODES = frozenset({2, 4, 12, 20})

Size = Callable[[], tuple[int, int]]


class QueryAnswers:
    """Reads all output of one run. `size` returns rows and columns of its terminal."""

    __slots__ = ("_begun", "_begun_unseen", "_cut_in", "_kept", "_modes", "_size")

    def __init__(self, modes: Modes, size: Size) -> None:
        self._modes = modes
        self._size = size
        self._kept: list[bytes] = []
        self._cut_in: tuple[bytes, bool, bool] | None = None  # margins, origin and wrapping where `_kept` begins
        self._begun = b""
        self._begun_unseen = False

    def take(self, chunk: bytes, *, escapes: bool, seen: bool) -> bytes:
        """Return the answers to the queries that end in this chunk, in their order.

        `escapes` says that it has sequences other than SGR. `seen` says that a user's terminal gets the chunk, which
        answers by itself.
        """
        answers = self._answers(chunk, seen=seen) if escapes or self._begun else b""
        self._kept.append(chunk)
        if len(self._kept) == CHUNKS_MAX:
            self._trim()
        return answers

    def _answers(self, chunk: bytes, *, seen: bool) -> bytes:
        begun, unseen = self._begun, self._begun_unseen
        text = begun + chunk
        rest = _BEGUN.search(text, max(0, len(text) - CARRY_MAX))
        self._begun, self._begun_unseen = (rest.group(), not seen) if rest else (b"", False)
        answers: list[bytes] = []
        for match in _QUERY.finditer(text):
            if not seen or (match.start() < len(begun) and unseen):
                answers.append(self._answer(match, chunk, match.start() - len(begun)))
        return b"".join(answers)

    def _answer(self, match: re.Match[bytes], chunk: bytes, start: int) -> bytes:
        """Answer a query that begins at `start` in `chunk`; a negative `start` is before the chunk."""
        if match["status"]:
            if int(match["status"]) == 6:
                return b"\x1b[%b%d;%dR" % (match["asked"], *self._position(chunk, start))
            return _STATUS.get((match["asked"], int(match["status"])), b"")
        if match["attributes"]:
            return _ATTRIBUTES[match["attributes"].strip(b"[0cZ")]
        if match["kitty"]:
            return b"\x1b[?%du" % self._modes.kitty_flags
        if match["mode"]:
            return self._mode(match["dec"], int(match["mode"]))
        if match["version"]:
            return b"\x1bP>|orchestrate\x1b\\"
        if match["window"]:
            return b"\x1b[%d;%d;%dt" % (int(match["window"]) - 10, *self._size())
        if match["color"]:
            first = int(match["color"])
            numbers = range(first, min(first + match["more"].count(b"?"), 13))
            return b"".join(b"\x1b]%d;rgb:%b%b" % (n, _COLORS[n], match["end"]) for n in numbers)
        if match["setting"] is not None:
            return self._setting(match["setting"])
        return b"\x1bP0+r%b\x1b\\" % match["terminfo"]  # not known

    def _mode(self, dec: bytes, number: int) -> bytes:
        known = number in (_MODES if dec else _ANSI_MODES)
        is_on = self._modes.is_on(number) if dec else self._modes.is_ansi_on(number)
        return b"\x1b[%b%d;%d$y" % (dec, number, (1 if is_on else 2) if known else 0)

    def _setting(self, name: bytes) -> bytes:
        if name == b"r":
            top, _, bottom = self._modes.margins.partition(b";")
            return b"\x1bP1$r%d;%dr\x1b\\" % (int(top or 1), int(bottom or self._size()[0]))
        if name == b" q":
            return b"\x1bP1$r%b q\x1b\\" % (self._modes.shape or b"0")
        return b"\x1bP0$r\x1b\\"  # not known

    def _position(self, chunk: bytes, start: int) -> tuple[int, int]:
        cursor = Cursor(*self._size())
        self._replay(cursor, chunk, start)
        return cursor.position

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor: a prompt, wherever it is drawn."""
        screen = CursorRow(*self._size())
        self._replay(screen, b"", 0)
        return screen.row_before_cursor

    def _replay(self, cursor: Cursor, chunk: bytes, start: int) -> None:
        """Move `cursor` through the kept output, and through `chunk` up to `start`."""
        if self._cut_in is not None:  # output was dropped: the cursor was at the bottom, or an absolute motion follows
            margins, origin, wraps = self._cut_in
            cursor.row = min(int(margins.partition(b";")[2] or cursor.rows), cursor.rows) - 1
            cursor.set_modes(margins, origin=origin, wraps=wraps)
        kept = b"".join(self._kept)
        cursor.feed((kept + chunk)[: len(kept) + start])

    def _trim(self) -> None:
        """Keep the last chunks that have KEPT bytes together, and join small ones."""
        first, size = len(self._kept), 0
        while first and size < KEPT:
            first -= 1
            size += len(self._kept[first])
        kept = self._kept[first:]
        if len(kept) > CHUNKS_MAX // 2:
            kept = [b"".join(kept)[-2 * KEPT :]]
        if first or size > 2 * KEPT:
            self._cut_in = (self._modes.margins, self._modes.is_on(6), self._modes.is_on(7))
        self._kept = kept


QUERY_CARRY_MAX = 32  # bytes of a sequence that is not identified yet
_INTRODUCED = (
    rb"\[[0-?]*(?:[cnxt]|\$[pwuy]|\*y|#[a-z])"  # CSI: attributes, reports, windows, modes, checksums
    rb"|\[>[0-9;]*q|\[\?[0-9;]*u"  # CSI: the version; kitty's keyboard
    rb"|\](?!(?:[0-2]|7|8|9|133);)[0-9A-Z]+;"  # OSC, but titles, directory, links and marks: colors, clipboard, files
    rb"|[P_Z]"  # DCS, APC, DECID
)
_QUERIES_QUERY = re.compile(rb"\x05|\x1b(?:" + _INTRODUCED + rb")|\xc2[\x90\x9a\x9b\x9d\x9f]")
_QUERIES_BEGUN = re.compile(rb"(?:\x1b(?:[\[\]][0-?$*#A-Z]*)?|\xc2)\Z")


_QUERIES_STATUS = re.compile(rb"\x1b\[0*5n")


class Queries:
    """Detects queries in output. `status` counts the queries for the terminal's status (DSR 5) so far."""

    __slots__ = ("_carry", "status")

    def __init__(self) -> None:
        self._carry = b""
        self.status = 0

    def feed(self, chunk: bytes) -> bool:
        """Whether there was a query in this chunk, or ended in it."""
        if self._carry:
            chunk, self._carry = self._carry + chunk, b""
        if begun := _QUERIES_BEGUN.search(chunk, max(0, len(chunk) - QUERY_CARRY_MAX)):
            self._carry = begun.group()
        if _QUERIES_QUERY.search(chunk) is None:
            return False
        self.status += len(_QUERIES_STATUS.findall(chunk))
        return True
