"""One probe that is asked again and again: over the network, or by a command.

The first question goes out at once, the next one `interval` seconds after an answer. `retries` answers in a row that
do not hold, later than `start_period` seconds after the start, mean that the component has failed; with 0 none do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model.messages import Answer
from orchestrator.model.spec import AskedProbe, ExecProbe, FileProbe, HttpProbe, TcpProbe, UnixProbe
from orchestrator.runtime.loop import Loop, Timer

SLOW = 1.0  # seconds after which an answer that is still to come is the news

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Means:
    """What probes are asked with. `ask` sends one question, whose answer comes back by its key."""

    loop: Loop
    ask: Callable[[Key, AskedProbe], None]


class Asking:
    """Asks `probe`; `heard` is told of every answer whether it holds. `begun` is when the component started."""

    def __init__(self, probe: AskedProbe, key: Key, begun: float, means: Means, heard: Callable[[bool], None]) -> None:
        self.probe = probe
        self.key = key
        self.failures = 0
        self.answer = ""
        self._begun = begun
        self._means = means
        self._heard = heard
        self._asked_at: float | None = None
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Ask now; harmless where the last answer is still to come, which then is lost."""
        self.end()
        self._asked_at = self._means.loop.now()
        self._means.ask(self.key, self.probe)

    def ask_again(self) -> None:
        """Ask after the interval."""
        self._timer = self._means.loop.call_in(self.probe.interval, self.ask)

    def end(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, answer: Answer) -> None:
        """Take the answer to the last question."""
        if self._asked_at is None:
            return
        self._asked_at = None
        self.answer = answer.text
        if answer.holds:
            self.failures = 0
        elif self._means.loop.now() - self._begun >= self.probe.start_period:
            self.failures += 1
        self._heard(answer.holds)

    @property
    def has_failed(self) -> bool:
        """Whether that were too many answers that did not hold."""
        return 0 < self.probe.retries <= self.failures

    @property
    def last_answer(self) -> str:
        """In words, what was answered last, or that nothing is."""
        silent = self._means.loop.now() - self._asked_at if self._asked_at is not None else 0.0
        return f"no answer for {silent:.0f} s" if silent >= SLOW else self.answer or "no answer yet"


def in_words(probe: AskedProbe) -> str:
    """What is asked."""
    match probe:
        case HttpProbe():
            return str(probe.url)
        case TcpProbe():
            return f"tcp {probe.host}:{probe.port}"
        case UnixProbe():
            return f"unix {probe.path}"
        case FileProbe():
            return f"file {probe.path}"
        case ExecProbe():
            if probe.about:
                return probe.about
            return f"`{probe.argv[-1] if probe.argv[:2] == ('/bin/sh', '-c') else ' '.join(map(str, probe.argv))}`"
