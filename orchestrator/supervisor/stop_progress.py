"""Reports a stop that takes long: which instances it waits for, when they are killed, and how to hurry it.

The first report comes after 2 s, further ones every 5 s, until no instance is stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.model.names import listed
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.instance import Instance

FIRST = 2.0  # seconds
EVERY = 5.0


class StopProgress:
    """`stopping` returns the instances that have been asked to exit; `report` gets these at each report."""

    def __init__(
        self, loop: Loop, stopping: Callable[[], list[Instance]], report: Callable[[list[Instance]], None]
    ) -> None:
        self._loop = loop
        self._stopping = stopping
        self._report = report
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Take note that an instance has been asked to exit."""
        if self._timer is None:
            self._timer = self._loop.call_in(FIRST, self._due)

    def _due(self) -> None:
        self._timer = None
        if stopping := self._stopping():
            self._report(stopping)
            self._timer = self._loop.call_in(EVERY, self._due)


def in_words(stopping: Iterable[Instance], now: float, hurry: str = "") -> str:
    """Return one line for all; those that are killed at the same time are listed together. `now` is monotonic seconds,
    and `hurry` says how to kill them at once; by default, with a command."""
    by_time: dict[int, list[str]] = {}
    for instance in stopping:
        by_time.setdefault(max(0, round(instance.kill_at - now)), []).append(instance.name)
    parts = []
    for seconds, names in sorted(by_time.items()):
        those = "it" if len(names) == 1 else "them"
        how = hurry or f"`orchestrate kill {names[0] if len(names) == 1 else 'NAME'}` to kill now"
        when = f"killing {those} in {seconds} s ({how})" if seconds else f"killing {those}"
        parts.append(f"waiting for {listed(names)} to stop; {when}")
    return "\n".join(parts)
