"""Whether a member is ready: all its probes have held once in this incarnation.

Log and prompt probes are decided here, from the lines that pass by and the one that stands unfinished. When all of them
hold, the others follow one after another in their order: a delay, or a question that is asked again until its answer
holds. One that does not hold is no death, unless its probe says after how many. Nothing is asked any more once the
member is ready.

Whether a member that is ready still lives: its `alive` probes, each asked again and again on its own.

One probe that is asked again and again: over the network, or by a command.

The first question goes out at once, the next one `interval` seconds after an answer. `retries` answers in a row that
do not hold, later than `start_period` seconds after the start, mean that the component has failed; with 0 none do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from orchestrator.model.messages import Answer
from orchestrator.model.spec import (
    AskedProbe,
    DelayProbe,
    ExecProbe,
    FileProbe,
    HttpProbe,
    LogProbe,
    NotifyProbe,
    Probe,
    PromptProbe,
    TcpProbe,
    UnixProbe,
)
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.announcements import times
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.row import replay


@dataclass(frozen=True, slots=True)
class ReadinessState:
    """What a member that is not ready waits for, and what the last answer of that probe was; empty for none."""

    waits_for: str
    last_answer: str = ""

    def __str__(self) -> str:
        return f"{self.waits_for}: {self.last_answer}" if self.last_answer else self.waits_for


class Readiness:
    """The open probes of one incarnation, `number`. `done` is called when the last one has held, `failed` with the
    reason when one has failed for good or a line matches one of `fatal`, `spoken` when the last log or prompt probe has
    held."""

    def __init__(
        self,
        name: str,
        number: int,
        probes: tuple[Probe, ...],
        fatal: tuple[LogProbe, ...],
        means: ProbeTransport,
        done: Callable[[], None],
        failed: Callable[[str], None],
        spoken: Callable[[], None],
    ) -> None:
        self._name = name
        self._number = number
        self._patterns: list[tuple[LogProbe | PromptProbe, re.Pattern[bytes]]] = [
            (probe, re.compile(probe.pattern.encode("utf-8", "surrogateescape")))
            for probe in probes
            if isinstance(probe, LogProbe | PromptProbe)
        ]
        self._fatal = [(probe, re.compile(probe.pattern.encode("utf-8", "surrogateescape"))) for probe in fatal]
        self._awaits_report = any(isinstance(probe, NotifyProbe) for probe in probes)
        passive = LogProbe | PromptProbe | NotifyProbe
        self._others = [(index, p) for index, p in enumerate(probes) if not isinstance(p, passive)]
        self._asking: RepeatedProbe | None = None
        self._timer: Timer | None = None
        self._means = means
        self._begun = means.loop.now()
        self._done = done
        self._failed = failed
        self._spoken = spoken
        self._ended = False

    def begin(self) -> None:
        """Begin, or begin again, with what is open."""
        self.end()
        self._ended = False
        self._go_on()

    def end(self) -> None:
        """Ask no more."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.end()
            self._asking = None

    @property
    def wants_lines(self) -> bool:
        """Whether a log or prompt probe is still open."""
        return bool(self._patterns)

    @property
    def sees_lines(self) -> bool:
        """Whether there is a line to look for: one that makes it ready, or one that means it never will be."""
        return bool(self._patterns or self._fatal)

    @property
    def wants_tails(self) -> bool:
        """Whether a prompt probe is still open."""
        return any(isinstance(probe, PromptProbe) for probe, _ in self._patterns)

    @property
    def standing(self) -> ReadinessState:
        """What the first open probe is waiting for, and what it was last answered."""
        for probe, _ in self._patterns:
            what, about = ("line", probe.about) if isinstance(probe, LogProbe) else ("prompt", "")
            matches = f"that matches '{probe.pattern}'"
            return ReadinessState(f"no {what} yet {about or matches}")
        if self._awaits_report:
            return ReadinessState("no READY=1 on NOTIFY_SOCKET yet")
        if self._asking is not None:
            return ReadinessState(in_words(self._asking.probe), self._asking.last_answer)
        for _, other in self._others:
            return ReadinessState(f"{other.seconds:g} s to go by" if isinstance(other, DelayProbe) else in_words(other))
        return ReadinessState("")

    def see(self, whole: bytes) -> None:
        """Look for the open log patterns, and those of failures, in whole lines."""
        lines = no_escapes(whole).splitlines()
        if not self._fatal:
            self._look_for_lines(lines)
            return
        for line in lines:  # one by one: what comes after the line that makes it ready is no failure
            if self._ended:
                return
            if probe := next((probe for probe, pattern in self._fatal if pattern.search(line)), None):
                self.end()
                self._failed(f"will not get ready: {probe.about or f'a line matches {probe.pattern!r}'}")
                return
            self._look_for_lines([line])

    def _look_for_lines(self, lines: list[bytes]) -> None:
        if any(isinstance(probe, LogProbe) for probe, _ in self._patterns):
            self._look(LogProbe, lines)

    def see_tail(self, pending: bytes) -> None:
        """Look for the open prompt patterns in a line that stands unfinished."""
        if self.wants_tails:
            self._look(PromptProbe, [no_escapes(replay(pending.rstrip(b"\r")))])

    def _look(self, kind: type[LogProbe | PromptProbe], lines: list[bytes]) -> None:
        before = len(self._patterns)
        self._patterns = [
            (probe, pattern)
            for probe, pattern in self._patterns
            if not (isinstance(probe, kind) and any(map(pattern.search, lines)))
        ]
        if before and not self._patterns:
            self._spoken()
            self._go_on()

    def reported(self) -> None:
        """It has sent READY=1."""
        if self._awaits_report:
            self._awaits_report = False
            self._go_on()

    def hear(self, answer: Answer) -> None:
        """Take an answer; one to a question of an earlier incarnation or probe does not count."""
        if self._asking is not None and self._asking.key == answer.key:
            self._asking.hear(answer)

    def _heard(self, holds: bool) -> None:
        assert self._asking is not None
        if holds:
            self._next()
        elif self._asking.has_failed:
            probe, failures = self._asking.probe, self._asking.failures
            self._failed(f"did not get ready: {in_words(probe)} failed {times(failures)}: {self._asking.answer}")
        else:
            self._asking.ask_again()

    def _next(self) -> None:
        self._others.pop(0)
        self._asking = None
        self._go_on()

    def _go_on(self) -> None:
        """Ask the first probe that is open; where none is, the member is ready."""
        if self._ended or self._patterns or self._awaits_report:
            return
        if not self._others:
            self._done()
            return
        index, probe = self._others[0]
        if isinstance(probe, DelayProbe):
            self._timer = self._means.loop.call_in(probe.seconds, self._next)
            return
        key = self._name, (self._number << 16) + index
        self._asking = RepeatedProbe(probe, key, self._begun, self._means, self._heard)
        self._asking.ask()


APART = 1 << 15  # the numbers of these probes begin here, beside those of readiness


class Liveness:
    """Watches one incarnation, `number`, that `begun` at that monotonic time; `dead` is called once, with the reason,
    when one of the probes has failed for good."""

    def __init__(
        self,
        name: str,
        number: int,
        probes: tuple[AskedProbe, ...],
        begun: float,
        means: ProbeTransport,
        dead: Callable[[str], None],
    ) -> None:
        self._dead = dead
        self._askings = [
            RepeatedProbe(probe, (name, (number << 16) + APART + index), begun, means, partial(self._heard, index))
            for index, probe in enumerate(probes)
        ]

    def begin(self) -> None:
        """Ask all of them now."""
        for asking in self._askings:
            asking.ask()

    def end(self) -> None:
        """Ask no more."""
        for asking in self._askings:
            asking.end()
        self._askings = []

    def hear(self, answer: Answer) -> None:
        """Take an answer; one to another incarnation's question does not count."""
        for asking in self._askings:
            if asking.key == answer.key:
                asking.hear(answer)
                return

    @property
    def last_answers(self) -> dict[str, str]:
        """For each probe in words what was answered last."""
        return {in_words(asking.probe): asking.last_answer for asking in self._askings}

    def _heard(self, index: int, _holds: bool) -> None:
        asking = self._askings[index]
        if asking.has_failed:
            self._dead(f"does not live: {in_words(asking.probe)} failed {times(asking.failures)}: {asking.answer}")
        else:
            asking.ask_again()


SLOW = 1.0  # seconds after which an answer that is still to come is the news

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ProbeTransport:
    """What probes are asked with. `ask` sends one question, whose answer comes back by its key."""

    loop: Loop
    ask: Callable[[Key, AskedProbe], None]


class RepeatedProbe:
    """Asks `probe`; `heard` is told of every answer whether it holds. `begun` is when the component started."""

    def __init__(
        self, probe: AskedProbe, key: Key, begun: float, means: ProbeTransport, heard: Callable[[bool], None]
    ) -> None:
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
