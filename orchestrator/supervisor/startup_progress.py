"""The way to the first time that all is ready at once: a word on it from time to time, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.runtime.loop import Loop, Timer

EVERY = 5.0  # seconds between two words


class Progress:
    """`waiting` returns in words, by name, what each one that is not ready waits for; empty ends the reports.
    `arrived` says whether all has been ready. `tell` shows a report, `fail` a failure."""

    def __init__(
        self,
        loop: Loop,
        waiting: Callable[[], Mapping[str, str]],
        tell: Callable[[str], None],
        fail: Callable[[str], None],
    ) -> None:
        self._fail = fail
        self.arrived = False
        self._loop = loop
        self._waiting = waiting
        self._tell = tell
        self._timer: Timer | None = None
        self._limit: Timer | None = None

    def begin(self) -> None:
        """Report from now on, until nobody is waited for."""
        if self._timer is None and not self.arrived:
            self._timer = self._loop.call_in(EVERY, self._report)

    def limit(self, seconds: float, late: Callable[[], None]) -> None:
        """Where it takes longer, say so and call `late`."""
        self._limit = self._loop.call_in(seconds, lambda: self._be_late(seconds, late))

    def arrive(self) -> None:
        """All is ready."""
        self.arrived = True
        self.end()

    def end(self) -> None:
        """Nobody is waited for any more: nothing may wake up an idle system."""
        for timer in (self._timer, self._limit):
            if timer is not None:
                timer.cancel()
        self._timer = None

    def _report(self) -> None:
        self._timer = None
        if waiting := self._waiting():
            self._tell(in_words(waiting))
            self.begin()

    def _be_late(self, seconds: float, late: Callable[[], None]) -> None:
        if waiting := self._waiting():
            self._tell(in_words(waiting))
        self._fail(f"not ready within {seconds:g} s")
        late()


def in_words(waiting: Mapping[str, str]) -> str:
    """One line for all, those that wait for the same thing together."""
    names: dict[str, list[str]] = {}
    for name, reason in waiting.items():
        names.setdefault(reason, []).append(name)
    return "waiting for " + "; ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())
