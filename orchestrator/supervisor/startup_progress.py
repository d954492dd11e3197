"""The way to the first time that all is ready at once: a word on it from time to time, and how long it may take.

The way of a start in two lines: how many components were started, and when all of them were ready.

Three silent components would otherwise show an empty screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.model.lifecycle import State
from orchestrator.model.names import listed
from orchestrator.runtime.loop import Loop, Timer
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import is_stopped_on_request

EVERY = 5.0  # seconds between two words


class StartupProgress:
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
    return "waiting for " + "; ".join(f"{listed(those)}: {reason}" for reason, those in names.items())


class StartupSummary:
    """Reports each of the two once. `now` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._now = now
        self._tell = tell
        self._began_at = now()
        self._came_up: set[str] = set()
        self._missing_at = 0
        self._told = False

    def see(self, member: Instance, members: Sequence[Instance]) -> None:
        """Look at a member that has changed: the last one may have been started now."""
        if self._told:
            return
        if member.state in (State.UP, State.READY):
            self._came_up.add(member.key)
        start = min(self._missing_at, len(members))
        for at in (*range(start, len(members)), *range(start)):  # first the one that was missing at the last look
            if not _was_started(members[at]):
                self._missing_at = at
                return
        if self._came_up:
            self._told = True
            self._tell(_started([each for each in members if each.key in self._came_up]))

    def all_ready(self, members: Sequence[Instance]) -> None:
        """Report that everything is ready, if that was probed: what has no probe is not known to be ready."""
        if any(member.spec.ready for member in members):
            self._tell(f"all ready after {self._now() - self._began_at:.1f} s")


def _was_started(member: Instance) -> bool:
    return bool(member.run_count and member.state is not State.STARTING) or is_stopped_on_request(member)


def _started(members: list[Instance]) -> str:
    count = len({member.spec.component or member.spec.name for member in members})
    what = "1 component" if count == 1 else f"{count} components"
    return f"{what} started" + (f" ({len(members)} instances)" if len(members) > count else "")
