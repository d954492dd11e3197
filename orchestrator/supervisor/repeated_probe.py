"""A probe that is repeated: when the next try is due, how many failures in a row it has, and its last result.

It works over the network or runs a command. The first try is made immediately; each later one `interval` seconds after
a result. `retries` failures in a row, later than `start_period` seconds after the start, mean that the component has
failed; with 0 the number of failures is unlimited. `timeout`, the deadline of one try, belongs to who makes it:
`process.prober` over the network, `process.command_runner` for a command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model.messages import Answer
from orchestrator.model.spec import AskedProbe, ExecProbe, FileProbe, HttpProbe, TcpProbe, UnixProbe
from orchestrator.runtime.loop import Loop, Timer

SLOW = 1.0  # seconds without an answer after which that is reported

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ProbeTransport:
    """Sends probes: `ask` sends one, whose answer is matched by its key."""

    loop: Loop
    ask: Callable[[Key, AskedProbe], None]


class RepeatedProbe:
    """Repeats `probe`; `heard` is called with each result. `begun` is when the component started."""

    def __init__(
        self, probe: AskedProbe, key: Key, begun: float, transport: ProbeTransport, heard: Callable[[bool], None]
    ) -> None:
        self.probe = probe
        self.key = key
        self.failures = 0
        self.answer = ""
        self._begun = begun
        self._transport = transport
        self._heard = heard
        self._asked_at: float | None = None
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Run the probe now; if the last result is still to come, it will be ignored."""
        self.end()
        self._asked_at = self._transport.loop.now()
        self._transport.ask(self.key, self.probe)

    def ask_after_interval(self) -> None:
        """Run the probe after the interval."""
        self._timer = self._transport.loop.call_in(self.probe.interval, self.ask)

    def end(self) -> None:
        """Stop probing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, answer: Answer) -> None:
        """Take the result of the last probe."""
        if self._asked_at is None:
            return
        self._asked_at = None
        self.answer = answer.text
        if answer.holds:
            self.failures = 0
        elif self._transport.loop.now() - self._begun >= self.probe.start_period:
            self.failures += 1
        self._heard(answer.holds)

    @property
    def has_failed(self) -> bool:
        """Whether there were too many failures in a row."""
        return 0 < self.probe.retries <= self.failures

    @property
    def last_answer(self) -> str:
        """The last result in words, or that there was no answer."""
        silent = self._transport.loop.now() - self._asked_at if self._asked_at is not None else 0.0
        return f"no answer for {silent:.0f} s" if silent >= SLOW else self.answer or "no answer yet"


def in_words(probe: AskedProbe) -> str:
    """Return the subject of a probe in words."""
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
