"""The way of a start in two lines: how many components were started, and when all of them were ready.

Three silent components would otherwise show an empty screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.model.lifecycle import State
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.registry import is_put_away


class Arrival:
    """Reports each of the two once. `now` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._now = now
        self._tell = tell
        self._began_at = now()
        self._came_up: set[str] = set()
        self._told = False

    def see(self, member: Member, members: Sequence[Member]) -> None:
        """Look at a member that has changed: the last one may have been started now."""
        if self._told:
            return
        if member.state in (State.UP, State.READY) and member in members:
            self._came_up.add(member.key)
        if self._came_up and all(_had_its_turn(each) for each in members):
            self._told = True
            self._tell(_started([each for each in members if each.key in self._came_up]))

    def all_ready(self, members: Sequence[Member]) -> None:
        """Report that everything is ready, if that was probed: what has no probe is not known to be ready."""
        if any(member.spec.ready for member in members):
            self._tell(f"all ready after {self._now() - self._began_at:.1f} s")


def _had_its_turn(member: Member) -> bool:
    return bool(member.incarnations and member.state is not State.STARTING) or is_put_away(member)


def _started(members: list[Member]) -> str:
    count = len({member.spec.component or member.spec.name for member in members})
    what = "1 component" if count == 1 else f"{count} components"
    return f"{what} started" + (f" ({len(members)} instances)" if len(members) > count else "")
