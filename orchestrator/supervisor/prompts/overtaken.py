"""Notices a prompt that other lines have overtaken: a debugger waits in one thread while others go on printing.

There is no silence to be measured, so the kernel is asked at most every PACE seconds, and only after output: whether a
thread waits for the terminal that has not run since the look before. Who prints and reads keys in turn has run, so
neither a progress bar nor a program that is raw while it prints is taken for one. What says that it is a prompt is a
text that looks like one and that another has continued, and that a terminal under a line editor was an ordinary one
before; where no such text is found, that the thread waits for nothing else while others print. After such a text the
thread may also have run, if it has written nothing: prompt_toolkit, outside the main thread, looks twice a second for
the terminal's size. A line editor may print the lines of others above its prompt, which it then draws again (IPython):
that is known by the same prompt at the end of two looks.
"""

from __future__ import annotations

import re
from typing import Protocol

from orchestrator.process.input_wait import Sleeper
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.prompts.detectors import NO_TEXT, prompt_text

PACE = 0.5  # seconds between two looks
TEXT_MAX = 512  # bytes of an unfinished line beyond which it is no prompt
PROMPT_MAX = 80  # characters at the beginning of a line in which a prompt is looked for
_ENDS_PROMPT = (b":", b"?", b">", b")", b"]", b"$", b"#")
_PROMPT_END = re.compile(r"[\])}>:?$#] ?")
_DEBUGGER = re.compile(r"(?:\((?:i?[Pp]db(?:\+\+)?|gdb|lldb|rdb:\d+)\)|ipdb>|>>>|In \[\d+\]:) ?")


class Crowded(Protocol):
    """The terminal that is watched."""

    @property
    def recent(self) -> bytes:
        """The end of what it has printed."""

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""

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
        self._standing = ""  # the prompt that stood on the unfinished line at the last look
        self._sleeper: Sleeper | None = None
        self._mid_line = False
        self._printed = False  # since the last look
        self._was_plain: bool | None = None  # nothing was printed yet
        self._told = False

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        if self._was_plain is None:
            self._was_plain = not self._crowded.is_edited()
        if self._tail and not self._tail.endswith(b"\r") and not data.startswith((b"\r", b"\n")):
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

    @property
    def candidate(self) -> str:
        """A text that may be a prompt, and that other output has continued; empty if there is none."""
        return self._candidate

    def close(self) -> None:
        """Stop watching."""
        self.waiting = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_in(PACE, self._look)

    def _overtake(self) -> None:
        if self._sleeper is not None and self._candidate:
            return
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
        stood, self._standing = self._standing, _standing(self._crowded.unfinished) if edited else ""
        if edited or self._candidate or self.waiting:
            self._sleeper = self._crowded.find_sleeper(before)
        if self._sleeper is None or (before is not None and not self._sleeper.is_same(before)):
            self._forget()
        elif self._told:
            pass
        elif before is None:  # look once more: whether it runs
            self._candidate = self._candidate or (_found(self._crowded.recent) if edited and self._was_plain else "")
            self._arm()
        elif self._is_prompt(before, self._sleeper, edited=edited, printed=printed):
            self._tell()
        elif self._is_drawn_again(stood, self._sleeper) and self._was_plain and printed:
            self._candidate = stood
            self._tell()
        elif printed:  # it ran: once more, but without new output not again and again, that would be polling
            self._arm()

    def _is_prompt(self, before: Sleeper, now: Sleeper, *, edited: bool, printed: bool) -> bool:
        """Whether a thread that waits, as it did at the look before, waits at a prompt."""
        went_raw = edited and bool(self._was_plain)
        if now.has_run_since(before):
            return bool(self._candidate) and went_raw and printed and not now.has_written_since(before)
        if self._candidate and (went_raw or not edited):
            return printed or not self._mid_line  # within a line it may have printed that itself
        return went_raw and printed and now.alone

    def _is_drawn_again(self, stood: str, now: Sleeper) -> bool:
        """Whether the same prompt stands at two looks, of one that waits, or that is known to have timers."""
        return bool(stood) and stood == self._standing and (not now.timed or _DEBUGGER.match(stood) is not None)

    def _forget(self) -> None:
        self.waiting = self._candidate = ""
        self._sleeper = None
        self._told = False

    def _tell(self) -> None:
        if not self._candidate or not self._crowded.expects(self._candidate):
            self._crowded.prompted(self._candidate or NO_TEXT)


def _standing(unfinished: bytes) -> str:
    """Return the text of an unfinished line that looks like a prompt; empty if it does not."""
    text = prompt_text(unfinished) if 0 < len(unfinished) <= TEXT_MAX else ""
    return text if text.rstrip().encode().endswith(_ENDS_PROMPT) else ""


def _found(recent: bytes) -> str:
    """Return the last prompt in these lines: what stands before the text with which the line before or after it
    begins, or is a debugger's; empty where there is none."""
    lines = [_visible(line) for line in recent.splitlines()]
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        beside = {other[:3] for other in lines[max(0, place - 1) : place] + lines[place + 1 : place + 2]}
        for end in _PROMPT_END.finditer(line, 0, PROMPT_MAX):
            if len(start := line[end.end() : end.end() + 3]) == 3 and start in beside:
                return line[: end.end()]
    return next((found[0] for line in reversed(lines) if (found := _DEBUGGER.match(line))), "")


def _visible(line: bytes) -> str:
    return prompt_text(line) if b"\x1b" in line else line.decode("utf-8", "replace")
