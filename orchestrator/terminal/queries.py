"""Queries: what a terminal answers as if it had been typed.

Who attaches gives his terminal to the component, and its answers are the component's input (vim asks much of it). An
answer still on its way when he leaves would be typed into his shell. So it has to be known whether a query went by: by
its beginning, taken broadly (ctlseqs of xterm; kitty's graphics), because one too many costs a moment, and one missed
types. A chunk may end anywhere.
"""

from __future__ import annotations

import re

CARRY_MAX = 32  # bytes of a sequence that is not told apart yet
_INTRODUCED = (
    rb"\[[0-?]*(?:[cnxt]|\$[pwuy]|\*y|#[a-z])"  # CSI: attributes, reports, windows, modes, checksums
    rb"|\[>[0-9;]*q|\[\?[0-9;]*u"  # CSI: the version; kitty's keyboard
    rb"|\](?!(?:[0-2]|7|8|9|133);)[0-9A-Z]+;"  # OSC, but titles, directory, links and marks: colours, clipboard, files
    rb"|[P_Z]"  # DCS, APC, DECID
)
_QUERY = re.compile(rb"\x05|\x1b(?:" + _INTRODUCED + rb")|\xc2[\x90\x9a\x9b\x9d\x9f]")
_BEGUN = re.compile(rb"(?:\x1b(?:[\[\]][0-?$*#A-Z]*)?|\xc2)\Z")


_STATUS = re.compile(rb"\x1b\[0*5n")


class Queries:
    """Feed it the output. `status` counts the queries for the terminal's status (DSR 5) so far."""

    __slots__ = ("_carry", "status")

    def __init__(self) -> None:
        self._carry = b""
        self.status = 0

    def feed(self, chunk: bytes) -> bool:
        """Whether there was a query in this chunk, or ended in it."""
        if self._carry:
            chunk, self._carry = self._carry + chunk, b""
        if begun := _BEGUN.search(chunk, max(0, len(chunk) - CARRY_MAX)):
            self._carry = begun.group()
        if _QUERY.search(chunk) is None:
            return False
        self.status += len(_STATUS.findall(chunk))
        return True
