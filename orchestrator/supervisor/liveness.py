"""Whether a member that is ready still lives: its `alive` probes, each asked again and again on its own."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.model.messages import Answer
from orchestrator.model.spec import AskedProbe
from orchestrator.supervisor.announcements import times
from orchestrator.supervisor.repeated_probe import Asking, Means, in_words

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
        means: Means,
        dead: Callable[[str], None],
    ) -> None:
        self._dead = dead
        self._askings = [
            Asking(probe, (name, (number << 16) + APART + index), begun, means, lambda holds, i=index: self._heard(i))  # type: ignore[misc]
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

    def _heard(self, index: int) -> None:
        asking = self._askings[index]
        if asking.has_failed:
            self._dead(f"does not live: {in_words(asking.probe)} failed {times(asking.failures)}: {asking.answer}")
        else:
            asking.ask_again()
