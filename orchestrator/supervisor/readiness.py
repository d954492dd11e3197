"""Readiness of an instance.

An instance is ready once all its `ready` probes have succeeded in this run. Log and prompt probes are decided here,
from whole lines and from the unfinished line. When all of them have succeeded, the others follow one after another in
their order: a delay, or a probe that is repeated until it succeeds. A failed probe is not fatal, unless it limits the
number of failures. No readiness probe runs any more once the instance is ready.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.model.messages import Answer
from orchestrator.model.spec import (
    DelayProbe,
    LogProbe,
    NotifyProbe,
    Probe,
    PromptProbe,
)
from orchestrator.runtime.loop import Timer
from orchestrator.supervisor.announcements import times
from orchestrator.supervisor.repeated_probe import ProbeTransport, RepeatedProbe, in_words
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.row import replay


@dataclass(frozen=True, slots=True)
class ReadinessState:
    """What an instance that is not ready waits for, and the last result of that probe; empty for none."""

    waits_for: str
    last_answer: str = ""

    def __str__(self) -> str:
        return f"{self.waits_for}: {self.last_answer}" if self.last_answer else self.waits_for


class Readiness:
    """The open probes of run `number`. `done` is called when the last one has succeeded, `failed` with the reason when
    one has failed for good or a line matches one of `fatal`, `spoken` when the last log or prompt probe has
    succeeded."""

    def __init__(
        self,
        name: str,
        number: int,
        probes: tuple[Probe, ...],
        fatal: tuple[LogProbe, ...],
        transport: ProbeTransport,
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
        self._transport = transport
        self._begun = transport.loop.now()
        self._done = done
        self._failed = failed
        self._spoken = spoken
        self._ended = False

    def begin(self) -> None:
        """Begin, or begin again, with the open probes."""
        self.end()
        self._ended = False
        self._go_on()

    def end(self) -> None:
        """Stop probing."""
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
        """Whether lines are searched: for one that makes it ready, or one that means it never will be."""
        return bool(self._patterns or self._fatal)

    @property
    def wants_tails(self) -> bool:
        """Whether a prompt probe is still open."""
        return any(isinstance(probe, PromptProbe) for probe, _ in self._patterns)

    @property
    def standing(self) -> ReadinessState:
        """What the first open probe waits for, and its last result."""
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
        for line in lines:  # one by one: a line after the one that makes it ready cannot fail it
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
        """Look for the open prompt patterns in an unfinished line that does not change any more."""
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
        """The component has sent READY=1."""
        if self._awaits_report:
            self._awaits_report = False
            self._go_on()

    def hear(self, answer: Answer) -> None:
        """Take an answer; ignore one for an earlier run or probe."""
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
            self._asking.ask_after_interval()

    def _next(self) -> None:
        self._others.pop(0)
        self._asking = None
        self._go_on()

    def _go_on(self) -> None:
        """Run the first open probe; if none is open, the instance is ready."""
        if self._ended or self._patterns or self._awaits_report:
            return
        if not self._others:
            self._done()
            return
        index, probe = self._others[0]
        if isinstance(probe, DelayProbe):
            self._timer = self._transport.loop.call_in(probe.seconds, self._next)
            return
        key = self._name, (self._number << 16) + index
        self._asking = RepeatedProbe(probe, key, self._begun, self._transport, self._heard)
        self._asking.ask()
