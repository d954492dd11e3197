"""Notices that a component waits for input: it has been silent, and the kernel says that it wants some.

Whoever is blocked reading the terminal waits for input: at an unfinished line, after a question that is a whole line,
in silence, or in a full-screen program such as a pager. An event loop also reads a terminal while it works, and some
processes may not be looked at; for these the unfinished line must look like a prompt.

The silence is looked at at LOOKS after the last output (a process may read only a while after it has asked), at every
second of them if no line is unfinished; then no timer is left. A look costs 0.2 ms.
"""

from __future__ import annotations

import re
from typing import Protocol

from orchestrator.process.input_wait import Reader
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.terminal.escapes import plain
from orchestrator.terminal.row import replay

LOOKS = (0.5, 1.0, 2.0, 4.0)  # seconds of silence
TEXT_MAX = 4096  # bytes at the end of an unfinished line that are looked at
NO_TEXT = "(no prompt)"  # stands for a prompt that has no text

_PROGRESS = re.compile(r"(?:…|\.\.\.|\d ?%\)?|\d+ ?/ ?\d+\]?|[\[|][#=\->. \u2500-\u25ff]*[\]|])$")
_PROMPT = re.compile(r"[:?>)\]$#»›❯→λ]$")
_QUESTION = re.compile(
    r"[?:]$|[\[(]y(?:es)?/no?[\])]\W*$|\b(?:press|hit)\b.*\b(?:key|enter|return|space)\b|\bany key\b|--more--",
    re.IGNORECASE,
)


class Asked(Protocol):
    """The terminal that is watched."""

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""

    @property
    def row_before_cursor(self) -> str:
        """The text on the cursor's row, to the cursor; empty under a full-screen program."""

    @property
    def before(self) -> str:
        """The prompt that other lines have overtaken, or else the last line; empty under a full-screen program."""

    def expects(self, prompt: str) -> bool:
        """Do what a rule says of this prompt; False where there is none."""

    def find_reader(self) -> Reader | None:
        """Return who wants input, as far as the kernel reports it."""

    def prompted(self, prompt: str, *, on_line: bool = True) -> None:
        """It waits for input, and no rule knows this prompt, which stands on the unfinished line or does not."""


class PromptWatch:
    """Watches one incarnation. `waiting` is the prompt it waits at; empty while it does not."""

    def __init__(self, loop: Loop, asked: Asked) -> None:
        self.waiting = ""
        self._loop = loop
        self._asked = asked
        self._timer: Timer | None = None
        self._silent_since = 0.0
        self._printed = False  # since then
        self._looks = 0
        self._begin()  # it may wait without a word

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        self.waiting = ""
        if self._timer is None or not data.endswith(b"\n"):
            self._begin()
        else:  # the clock is read at the next look only
            self._printed = True

    def typed(self) -> None:
        """Take note that something was typed: what is asked next is another prompt, or the same one again."""
        self.waiting = ""
        self._begin()

    def close(self) -> None:
        """Stop watching."""
        self.waiting = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._silent_since = self._loop.now()
        self._looks, self._printed = 0, False
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._silent_since + LOOKS[self._looks], self._look)

    def _look(self) -> None:
        self._timer = None
        if self._printed:
            self._begin()
            return
        if self._loop.now() < self._silent_since + LOOKS[self._looks]:
            self._arm()  # there was output since
            return
        text = prompt_text(self._asked.unfinished)
        if text and self._asked.expects(text):
            return
        reader = self._asked.find_reader()
        if reader is not None and not text.strip():  # a line editor may have drawn rows below its prompt
            text = self._asked.row_before_cursor
            text = text if text.strip() else ""
            if text and self._asked.expects(text):
                return
        prompt = None if reader is None else text_of_prompt(text, self._asked.before, reader)
        if prompt is None:
            self._looks += 1 if text else 2  # without a text it is less likely
            if self._looks < len(LOOKS):
                self._arm()
        elif text or prompt == NO_TEXT or not self._asked.expects(prompt):
            self.waiting = prompt
            self._asked.prompted(prompt, on_line=bool(text))


def text_of_prompt(unfinished: str, before: str, reader: Reader) -> str | None:
    """Return the prompt at which `reader` waits, NO_TEXT if it has none; None if it does not wait at a prompt."""
    shown = unfinished.rstrip()
    is_progress = _PROGRESS.search(shown) is not None
    if shown and reader.blocked:
        return unfinished if reader.threads == 1 or not is_progress else None  # other threads may make progress
    if shown:
        return unfinished if _PROMPT.search(shown) and not is_progress else None
    if not reader.blocked:
        return None
    if _QUESTION.search(before.rstrip()):
        return before
    return NO_TEXT if reader.is_main else None


def prompt_text(unfinished: bytes) -> str:
    """Return what stands on an unfinished line, without colours."""
    return plain(replay(unfinished[-TEXT_MAX:])).decode("utf-8", "replace").rstrip("\0")


def shortened(prompt: str, width: int = 60) -> str:
    """Return a prompt for a message: its end, where it is long."""
    text = prompt.strip()
    return text if len(text) <= width else "…" + text[1 - width :]


def at(prompt: str) -> str:
    """Return ` at "PROMPT"` for a message; nothing if the prompt has no text."""
    return "" if prompt == NO_TEXT else f' at "{shortened(prompt)}"'


def waits(name: str, prompt: str) -> str:
    """Say that a component waits for input, and how it is answered."""
    return f"{name} is waiting for input{at(prompt)}; {how_to_answer(name)}"


def how_to_answer(name: str) -> str:
    """Say what to type."""
    return f"answer it with: orchestrate attach {name}"
