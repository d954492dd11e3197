"""Splits characters into text, controls and escape sequences, as a VT500 does (ECMA-48). Pure.

A sequence may be cut anywhere between two calls. Invalid sequences are skipped, and a sequence is bounded: no output of
a program can raise an exception or grow our memory.
"""

from __future__ import annotations

import re
from typing import Protocol

COMMAND_MAX = 4096  # characters of one escape sequence; a longer one is skipped
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CSI = re.compile("\x1b\\[([\x00-\x17\x19\x1c-\x1f\x20-\x3f\x7f]*)([\x40-\x7e])?")
_CSI_PARTS = re.compile("([<=>?]?)([0-9:;]*)([ -/]*)")
_C0_WITHIN = re.compile("[\x00-\x1f\x7f]")
_ESCAPE = re.compile("\x1b([ -/]*)([0-~])?")
_STRING = re.compile("\x1b([]PX^_k])")
_STRING_END = re.compile("\x07|\x18|\x1a|\x1b(?:\\\\|(?!\\\\).|$)", re.DOTALL)


class Target(Protocol):
    """The receiver that carries out sequences."""

    def draw(self, text: str) -> None:
        """Write characters. No control is among them."""

    def control(self, character: str) -> None:
        """Carry out a C0 or C1 control."""

    def escape(self, intermediates: str, final: str) -> None:
        """Carry out an escape sequence that is neither CSI nor a string."""

    def csi(self, name: str, text: str) -> None:
        """Carry out a control sequence; `name` is its prefix, intermediates and final byte, `text` its parameters."""

    def osc(self, text: str) -> None:
        """Carry out an operating system command."""


class SequenceParser:
    """Reads text for `target`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._held = ""
        self._skips = False

    def reset(self) -> None:
        """Forget a sequence that has begun."""
        self._held, self._skips = "", False

    def feed(self, more: str) -> None:
        """Process more text."""
        text = self._held + more
        self._held = ""
        at, end = 0, len(text)
        if self._skips:
            at = self._skip(text)
        while at < end:
            found = _CONTROL.search(text, at)
            stop = found.start() if found else end
            if stop > at:
                self._target.draw(text[at:stop])
            if found is None:
                return
            if text[stop] != "\x1b":
                self._target.control(text[stop])
                at = stop + 1
                continue
            at = self._escape(text, stop)
            if at < 0:
                self._held = text[stop:]
                self._shorten()
                return

    def _escape(self, text: str, at: int) -> int:
        """Carry out the escape sequence at `at`; returns its end, or -1 if it is incomplete."""
        if found := _STRING.match(text, at):
            return self._string(text, found.end(), found[1])
        if found := _CSI.match(text, at):
            return self._csi(text, found)
        found = _ESCAPE.match(text, at)
        assert found is not None  # it begins with ESC
        if found[2]:
            self._target.escape(found[1], found[2])
            return found.end()
        return -1 if found.end() == len(text) else found.end()

    def _csi(self, text: str, found: re.Match[str]) -> int:
        body, final = found[1], found[2]
        if not final and found.end() == len(text):
            return -1
        if _C0_WITHIN.search(body):
            for control in _C0_WITHIN.findall(body):  # carried out at once, as by a VT100
                self._target.control(control)
            body = _C0_WITHIN.sub("", body)
        if not final:  # cut off by CAN, SUB, ESC or text
            return found.end() + (text[found.end()] in "\x18\x1a")
        parts = _CSI_PARTS.fullmatch(body)
        if parts is not None:
            self._target.csi(parts[1] + parts[3] + final, parts[2])
        return found.end()

    def _string(self, text: str, start: int, kind: str) -> int:
        """Carry out an OSC; skip other strings. They end with ST, or an OSC with BEL."""
        at = start
        while end := _STRING_END.search(text, at):
            if end[0] == "\x07" and kind not in "]k":
                at = end.end()
                continue
            if end[0] == "\x1b":
                return -1  # the first half of ST, perhaps
            if end[0][0] == "\x1b" and end[0] != "\x1b\\":
                return end.start()  # cut off by another sequence
            if kind == "]" and end[0] not in "\x18\x1a":
                self._target.osc(text[start : end.start()])
            return end.end()
        return -1

    def _shorten(self) -> None:
        """Drop a sequence that is too long: skip a string, abandon anything else."""
        if len(self._held) > COMMAND_MAX:
            self._skips = _STRING.match(self._held) is not None
            self._held = "\x1b" if self._skips and self._held.endswith("\x1b") else ""

    def _skip(self, text: str) -> int:
        """Return the end of a string that was too long."""
        found = _STRING_END.search(text)
        if found is None:
            return len(text)
        if found[0] == "\x1b":
            self._held = "\x1b"
            return len(text)
        self._skips = False
        return found.start() if found[0][0] == "\x1b" and found[0] != "\x1b\\" else found.end()
