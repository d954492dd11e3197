"""The modes that a program has put its terminal in, learned from its output.

Somebody who attaches in the middle brings a terminal that is in none of them, and takes one away that has to be in
none of them again. Known are the DEC private modes that full-screen programs and line editors set (ctlseqs of xterm),
among them the alternate screen (47, 1047, 1049), the keypad, the cursor's shape, modifyOtherKeys, and the keyboard
protocol of kitty. A chunk may end anywhere: the beginning of a sequence is kept, at most CARRY_MAX bytes.
"""

from __future__ import annotations

import re

from orchestrator.text.sgr import NO_SGR

ALTERNATE = frozenset({47, 1047, 1049})
_USUALLY_ON = frozenset({7, 25})  # the margin wraps, the cursor is seen
_MOUSE = frozenset({9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016})
_KNOWN = ALTERNATE | _USUALLY_ON | _MOUSE | {1, 5, 66, 2004}

CARRY_MAX = 64
_CHANGE = re.compile(
    rb"\x1b(?:\[\?(?P<modes>[0-9;]{1,60})(?P<on>[hl])|(?P<keypad>[=>])|(?P<reset>c|\[!p)"
    rb"|\[(?P<shape>[0-9]{0,2}) q|\[>4;?(?P<other>[0-9]{0,2})m|\[(?P<kitty>[><=])(?P<flags>[0-9;]{0,8})u)"
)
_BEGUN = re.compile(rb"\x1b(?:\[(?:[?><=!]?[0-9;]{0,60} ?)?)?\Z")


class Modes:
    """Feed it the output; it says what the terminal is in, and how another one gets in and out of that."""

    __slots__ = ("_carry", "_keypad", "_kitty", "_other_keys", "_shape", "_switched")

    def __init__(self) -> None:
        self._carry = b""
        self._forget()

    def _forget(self) -> None:
        self._switched: set[int] = set()  # modes that are not as usual
        self._keypad = False
        self._shape = b""
        self._other_keys = b""
        self._kitty: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take a chunk of output. One with no escape sequences but colours costs one search."""
        if self._carry:
            chunk, self._carry = self._carry + chunk, b""
        if b"\x1b" not in chunk or not NO_SGR.search(chunk):
            return
        for match in _CHANGE.finditer(chunk):
            self._change(match)
        if begun := _BEGUN.search(chunk, max(0, len(chunk) - CARRY_MAX)):
            self._carry = begun.group()

    def _change(self, match: re.Match[bytes]) -> None:
        match match.lastgroup:
            case "on":
                for number in map(int, filter(None, match["modes"].split(b";"))):
                    if number in _KNOWN:
                        self._switch(number, match["on"] == b"h")
            case "keypad":
                self._keypad = match["keypad"] == b"="
            case "shape":
                self._shape = match["shape"].strip(b"0")
            case "other":
                self._other_keys = match["other"].strip(b"0")
            case "flags" if match["kitty"] == b">":
                self._kitty = [*self._kitty[-7:], match["flags"]]
            case "flags" if match["kitty"] == b"<":
                del self._kitty[-max(1, int(match["flags"].partition(b";")[0] or 1)) :]
            case "reset":
                self._forget()

    def _switch(self, number: int, on: bool) -> None:
        if on is (number in _USUALLY_ON):
            self._switched.discard(number)
        else:
            self._switched.add(number)

    @property
    def alternate(self) -> bool:
        """Whether the alternate screen is shown."""
        return not ALTERNATE.isdisjoint(self._switched)

    @property
    def full_screen(self) -> bool:
        """Whether a full-screen program has it: in the alternate screen, or as top(1): keypad on, cursor hidden."""
        return self.alternate or (self._keypad and 25 in self._switched)

    @property
    def enter(self) -> bytes:
        """What puts a terminal that is in no mode into the present ones."""
        first = sorted(self._switched & ALTERNATE)
        others = sorted(self._switched - ALTERNATE)
        return b"".join(
            (
                *(_private(number, on=True) for number in first),
                b"\x1b[H\x1b[2J" if first else b"",
                *(_private(number, on=number not in _USUALLY_ON) for number in others),
                b"\x1b=" if self._keypad else b"",
                b"\x1b[%b q" % self._shape if self._shape else b"",
                b"\x1b[>4;%bm" % self._other_keys if self._other_keys else b"",
                *(b"\x1b[>%bu" % flags for flags in self._kitty),
            )
        )

    @property
    def leave(self) -> bytes:
        """What brings a terminal back from the present modes, with no colour, link or line-drawing set left open."""
        others = sorted(self._switched - ALTERNATE)
        last = sorted(self._switched & ALTERNATE)
        return b"".join(
            (
                b"\x1b[<%du" % len(self._kitty) if self._kitty else b"",
                b"\x1b[>4m" if self._other_keys else b"",
                b"\x1b[0 q" if self._shape else b"",
                b"\x1b>" if self._keypad else b"",
                *(_private(number, on=number in _USUALLY_ON) for number in others),
                b"\x1b[r" if last else b"",  # moves the cursor, but the alternate screen's only
                *(_private(number, on=False) for number in last),
                b"\x1b(B\x0f\x1b[m",
            )
        )


def _private(number: int, *, on: bool) -> bytes:
    return b"\x1b[?%d%b" % (number, b"h" if on else b"l")
