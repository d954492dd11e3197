"""Notices that a component waits for input: its line is unfinished, it has been silent, and the kernel says so.

The silence is measured only after output that ends within a line, and looked at LOOKS times, later each time (a
process may read only a while after it has asked); then no timer is left. Who is silent in the alternate screen is a
full-screen program, not a prompt.
"""

from __future__ import annotations

from typing import Protocol

from orchestrator.runtime.loop import Loop, Timer
from orchestrator.text.escapes import plain
from orchestrator.text.row import replay

SILENCE = 0.5  # seconds
LOOKS = 4  # after 0.5, 1, 2 and 4 seconds of silence
TEXT_MAX = 4096  # bytes at the end of an unfinished line that are looked at


class Asked(Protocol):
    """The terminal that is watched."""

    @property
    def unfinished(self) -> bytes:
        """The line that has no end yet; empty under a full-screen program."""

    def expects(self, prompt: str) -> bool:
        """Do what a rule says of this prompt; False where there is none."""

    def waits(self) -> bool:
        """Whether the kernel says that somebody waits for input."""

    def prompted(self, prompt: str) -> None:
        """It waits for input, and no rule knows this prompt."""


class PromptWatch:
    """Watches one incarnation. `waiting` is the prompt it waits at; empty while it does not."""

    def __init__(self, loop: Loop, asked: Asked) -> None:
        self.waiting = ""
        self._loop = loop
        self._asked = asked
        self._timer: Timer | None = None
        self._silent_since = 0.0
        self._looks = 0

    def took(self, data: bytes) -> None:
        """Take note of a chunk of output."""
        self.waiting = ""
        if not data.endswith(b"\n"):
            self._begin()

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
        self._looks = 0
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._silent_since + SILENCE * 2**self._looks, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.now() < self._silent_since + SILENCE * 2**self._looks:
            self._arm()  # there was output since
            return
        prompt = prompt_text(self._asked.unfinished)
        if not prompt or self._asked.expects(prompt):
            return
        if self._asked.waits():
            self.waiting = prompt
            self._asked.prompted(prompt)
            return
        self._looks += 1
        if self._looks < LOOKS:
            self._arm()


def prompt_text(unfinished: bytes) -> str:
    """Return what stands on an unfinished line, without colours."""
    return plain(replay(unfinished[-TEXT_MAX:])).decode("utf-8", "replace").rstrip("\0")


def shortened(prompt: str, width: int = 60) -> str:
    """Return a prompt for a message: its end, where it is long."""
    text = prompt.strip()
    return text if len(text) <= width else "…" + text[1 - width :]
