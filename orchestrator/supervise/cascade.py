"""Members that go down and come back together: dependents first down, and last up again.

Who is restarted takes along whoever depends on it and wants that (`restart = true` in `depends_on`), and so on from
there. The roster starts them again, each when what it depends on allows it anew.
"""

from __future__ import annotations

from orchestrator.model import order
from orchestrator.model.lifecycle import Event, State
from orchestrator.supervise.component import Member
from orchestrator.supervise.roster import Roster


class Cascade:
    """Restarts of more than one member. It only asks for stops; `advance` is called whenever one has ended."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._to_stop: set[str] = set()

    def restart(self, member: Member) -> None:
        """Restart a member, as somebody asked for it."""
        self._begin([member, *self._followers(member)])

    def follow(self, member: Member) -> list[Member]:
        """A member comes back by itself: restart whoever follows it; returns those."""
        followers = self._followers(member)
        self._begin(followers)
        return followers

    def forget(self, member: Member) -> None:
        """Somebody wants this one down, or up, without the others."""
        self._to_stop.discard(member.name)
        self._roster.returning.discard(member)

    def advance(self) -> None:
        """Ask those to stop that no other one of them still relies on."""
        there = {m.name: m for m in self._roster.members if m.name in self._to_stop and _is_there(m)}
        self._to_stop &= there.keys()
        for name in order.may_stop(there, self._roster.dependents):
            self._to_stop.discard(name)
            there[name].handle(Event.STOP)

    def _begin(self, members: list[Member]) -> None:
        self._roster.returning.update(members)
        self._to_stop.update(member.name for member in members)
        self.advance()

    def _followers(self, member: Member) -> list[Member]:
        """Those that run and are restarted with it, at any distance."""
        found = [member]
        for other in found:
            found += [m for m in self._roster.members if m not in found and _is_there(m) and _follows(m, other)]
        return found[1:]


def _follows(member: Member, other: Member) -> bool:
    return any(d.restart and d.name == other.name for d in member.spec.depends_on)


def _is_there(member: Member) -> bool:
    return member.runs or member.state is State.BACKOFF
