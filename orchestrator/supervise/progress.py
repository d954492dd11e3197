"""The word on progress: while not everything is ready, from time to time for whom we wait, and what was answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.runtime.loop import Loop, Timer

EVERY = 5.0  # seconds between two words


class Progress:
    """`waiting` returns in words, by name, what each one that is not ready waits for; empty ends the reports."""

    def __init__(self, loop: Loop, waiting: Callable[[], Mapping[str, str]], tell: Callable[[str], None]) -> None:
        self._loop = loop
        self._waiting = waiting
        self._tell = tell
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Report from now on, until nobody is waited for."""
        if self._timer is None:
            self._timer = self._loop.call_in(EVERY, self._report)

    def end(self) -> None:
        """Nobody is waited for any more: nothing may wake up an idle system."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self) -> None:
        self._timer = None
        if waiting := self._waiting():
            self._tell(in_words(waiting))
            self.begin()


def in_words(waiting: Mapping[str, str]) -> str:
    """One line for all, those that wait for the same thing together."""
    names: dict[str, list[str]] = {}
    for name, reason in waiting.items():
        names.setdefault(reason, []).append(name)
    return "waiting for " + "; ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())
