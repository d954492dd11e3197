"""Liveness: a ready instance is watched by its `alive` probes, each of which is repeated independently."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from orchestrator.model.messages import Answer
from orchestrator.model.spec import AskedProbe
from orchestrator.supervisor.announcements import times
from orchestrator.supervisor.repeated_probe import ProbeTransport, RepeatedProbe, in_words

APART = 1 << 15  # the numbers of these probes begin here, above those of readiness


class Liveness:
    """Watches run `number`, which started at the monotonic time `begun`; `dead` is called once, with the reason, when
    one of the probes has failed for good."""

    def __init__(
        self,
        name: str,
        number: int,
        probes: tuple[AskedProbe, ...],
        begun: float,
        transport: ProbeTransport,
        dead: Callable[[str], None],
    ) -> None:
        self._dead = dead
        self._askings = [
            RepeatedProbe(probe, (name, (number << 16) + APART + index), begun, transport, partial(self._heard, index))
            for index, probe in enumerate(probes)
        ]

    def begin(self) -> None:
        """Run all of them now."""
        for asking in self._askings:
            asking.ask()

    def end(self) -> None:
        """Stop probing."""
        for asking in self._askings:
            asking.end()
        self._askings = []

    def hear(self, answer: Answer) -> None:
        """Take an answer; ignore one for another run."""
        for asking in self._askings:
            if asking.key == answer.key:
                asking.hear(answer)
                return

    @property
    def last_answers(self) -> dict[str, str]:
        """The last result of each probe, by its subject in words."""
        return {in_words(asking.probe): asking.last_answer for asking in self._askings}

    def _heard(self, index: int, _holds: bool) -> None:
        asking = self._askings[index]
        if asking.has_failed:
            failed = f"failed its liveness probe {times(asking.failures)}"
            self._dead(f"{failed}: {in_words(asking.probe)}: {asking.answer}")
        else:
            asking.ask_after_interval()
