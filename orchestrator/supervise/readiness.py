"""Whether a member is ready: all its probes have held once in this incarnation.

A log probe is decided here, from the lines that pass by. When all of them hold, the HTTP probes are asked by the prober
process, one after another in their order, again an interval after each answer: one that does not hold is no death.
Nothing is asked any more once the member is ready.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from orchestrator.model.messages import Answer, Question
from orchestrator.model.spec import HttpProbe, LogProbe, Probe
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.text.escapes import no_escapes

SLOW = 1.0  # seconds after which an answer that is still to come is the news


class Readiness:
    """The open probes of one incarnation. `done` is called when the last one has held."""

    def __init__(
        self,
        name: str,
        incarnation: int,
        probes: tuple[Probe, ...],
        since: float,
        loop: Loop,
        ask: Callable[[Question], None],
        done: Callable[[], None],
    ) -> None:
        self._name = name
        self._generation = incarnation
        self._probes: dict[int, Probe] = dict(enumerate(probes))
        self._patterns: Mapping[int, re.Pattern[bytes]] = {
            index: re.compile(p.pattern.encode()) for index, p in self._probes.items() if isinstance(p, LogProbe)
        }
        self._answers: dict[int, str] = {}
        self._timer: Timer | None = None
        self._asked_at = 0.0
        self._since = since
        self._loop = loop
        self._ask = ask
        self._done = done

    def begin(self) -> None:
        """Begin, or begin again, with what is open."""
        self._go_on()

    def end(self) -> None:
        """Forget the probes that are still open."""
        if self._timer is not None:
            self._timer.cancel()
        self._probes = {}

    @property
    def wants_lines(self) -> bool:
        """Whether a log probe is still open."""
        return any(index in self._probes for index in self._patterns)

    @property
    def waiting_for(self) -> str:
        """In words, what the first open probe is waiting for and what it was last answered."""
        for probe in self._probes.values():
            if isinstance(probe, LogProbe):
                about = probe.about or f"that matches '{probe.pattern}'"
                return f"no line yet {about}"
        for index, probe in self._probes.items():
            if isinstance(probe, HttpProbe):
                return f"{probe.url}: {self._last_answer(index)}"
        return ""

    def _last_answer(self, index: int) -> str:
        silent = self._loop.now() - self._asked_at if self._asked_at else 0.0
        return f"no answer for {silent:.0f} s" if silent >= SLOW else self._answers.get(index, "no answer yet")

    def see(self, whole: bytes) -> None:
        """Look for the open log patterns in whole lines."""
        wanted = {index: pattern for index, pattern in self._patterns.items() if index in self._probes}
        lines = no_escapes(whole).splitlines() if wanted else []
        found = [index for index, pattern in wanted.items() if any(map(pattern.search, lines))]
        for index in found:
            del self._probes[index]
        if found and len(found) == len(wanted):
            self._go_on()

    def hear(self, answer: Answer) -> None:
        """Take an answer of the prober; one to an earlier incarnation's question does not count."""
        generation, index = divmod(answer.key[1], 1 << 16)
        probe = self._probes.get(index)
        if generation != self._generation or not isinstance(probe, HttpProbe):
            return
        self._asked_at = 0.0
        self._answers[index] = answer.text
        if answer.holds:
            del self._probes[index]
            self._go_on()
        else:
            self._timer = self._loop.call_in(probe.interval, self._go_on)

    def _go_on(self) -> None:
        """Ask the first probe that is open; where none is, the member is ready."""
        if not self._probes:
            self._done()
        elif not self.wants_lines:
            index, probe = next(iter(self._probes.items()))
            if isinstance(probe, HttpProbe):
                self._asked_at = self._loop.now()
                self._ask(Question((self._name, (self._generation << 16) + index), probe, self._since))
