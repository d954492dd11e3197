"""Notices a prompt that other lines have overtaken: a debugger waits in one thread while others go on printing.

There is no silence to be measured, so the kernel is asked at most every PACE seconds, and only after output: whether a
thread waits for the terminal that has not run since the look before. Who prints and reads keys in turn has run, so
neither a progress bar nor a program that is raw while it prints is taken for one. What says that it is a prompt is a
text that looks like one and that another has continued; where that was not seen (both came in one read), that the
terminal was an ordinary one before, and the thread waits for nothing else while others print.
"""

from __future__ import annotations

import re
from typing import Protocol

from orchestrator.process.waiting import Sleeper
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervise.prompts import prompt_text

PACE = 0.5  # seconds between two looks
TEXT_MAX = 512  # bytes of an unfinished line beyond which it is no prompt
UNKNOWN = "among other lines"
_ENDS_PROMPT = (b":", b"?", b">", b")", b"]", b"$", b"#")
_DEBUGGERS = re.compile(rb"^(\((?:i?[Pp]db(?:\+\+)?|gdb|lldb|rdb:\d+)\)|ipdb>|>>>|In \[\d+\]:) ", re.MULTILINE)


class Crowded(Protocol):
    """The terminal that is watched."""

    @property
    def recent(self) -> bytes:
        """The end of what it has printed."""

    @property
    def is_full_screen(self) -> bool:
        """Whether a full-screen program has it."""

    def is_edited(self) -> bool:
        """Whether a line editor or a password prompt has it."""

    def find_sleeper(self, before: Sleeper | None) -> Sleeper | None:
        """Return who waits for input from it, if any; who did before is looked at first."""

    def expects(self, prompt: str) -> bool:
        """Do what a rule says of this prompt; False where there is none."""

    def prompted(self, prompt: str) -> None:
        """It waits for input, and no rule knows this prompt."""


class Overtaken:
    """Watches one incarnation. `waiting` is the prompt it waits at while others print; empty while it does not."""

    def __init__(self, loop: Loop, crowded: Crowded) -> None:
        self.waiting = ""
        self._loop = loop
        self._crowded = crowded
        self._timer: Timer | None = None
        self._tail = b""  # the unfinished line, as long as it can be a prompt
        self._candidate = ""
        self._sleeper: Sleeper | None = None
        self._mid_line = False
        self._printed = False  # since the last look
        self._was_plain = False
        self._told = False

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        if self._tail and self._sleeper is None and not data.startswith((b"\r", b"\n")):
            self._overtake()
        end = data.rfind(b"\n") + 1
        self._tail = data[end:] if end else self._tail + data
        if len(self._tail) > TEXT_MAX:
            self._tail = b""
        self._mid_line = not data.endswith(b"\n")
        self._printed = True
        if self._timer is None:
            self._arm()

    def typed(self) -> None:
        """Take note that something was typed: what waits now is news."""
        self._forget()

    def told(self, prompt: str) -> None:
        """Take note that what waits has been told; `prompt` is empty where nobody has to look."""
        self.waiting = prompt
        self._told = True

    def close(self) -> None:
        """Stop watching."""
        self.waiting = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_in(PACE, self._look)

    def _overtake(self) -> None:
        if b"\x1b" in self._tail or self._tail.rstrip(b" ").endswith(_ENDS_PROMPT):
            text = prompt_text(self._tail)
            if text.rstrip().encode().endswith(_ENDS_PROMPT):
                self._candidate = text

    def _look(self) -> None:
        self._timer = None
        printed, self._printed = self._printed, False
        if self._crowded.is_full_screen:
            self._forget()
            return
        edited = self._crowded.is_edited()
        self._was_plain = self._was_plain or not edited
        before, self._sleeper = self._sleeper, None
        if edited or self._candidate or self.waiting:
            self._sleeper = self._crowded.find_sleeper(before)
        if self._sleeper is None or (before is not None and not _is_same_thread(self._sleeper, before)):
            self._forget()
        elif self._sleeper != before:
            if printed:  # look once more: without new output not again and again, that would be polling
                self._arm()
        elif not self._told and self._is_prompt(self._sleeper, edited=edited, others_print=printed):
            self._tell()

    def _is_prompt(self, sleeper: Sleeper, *, edited: bool, others_print: bool) -> bool:
        """Whether one that has not run since the look before waits at a prompt."""
        if self._candidate:
            return others_print or not self._mid_line  # within a line it may have printed that itself
        return others_print and edited and self._was_plain and sleeper.alone

    def _forget(self) -> None:
        self.waiting = self._candidate = ""
        self._sleeper = None
        self._told = False

    def _tell(self) -> None:
        if self._candidate and self._crowded.expects(self._candidate):
            return
        self._crowded.prompted(self._candidate or _debugger(self._crowded.recent) or UNKNOWN)


def _is_same_thread(one: Sleeper, other: Sleeper) -> bool:
    return (one.pid, one.task) == (other.pid, other.task)


def _debugger(recent: bytes) -> str:
    """Return the last prompt of a well-known debugger that a line begins with."""
    found = _DEBUGGERS.findall(recent)
    return found[-1].decode() if found else ""
