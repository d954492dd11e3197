"""What somebody in a second terminal wants of members, stopped, started, started again, and what follows from it.

The last word counts: a stop takes back a start that is still to come, a start makes a stop a restart. A stop goes
against the order of dependencies among those that it is asked for; a restart begins to start what it stops only when
that is down, dependencies first (`Member.due`, which the roster looks at). Who is restarted, or comes back by itself,
takes along whoever depends on it and wants that (`restart = true` in `depends_on`), and so on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from orchestrator.model.control import Verb
from orchestrator.model.lifecycle import Event, State
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import STARTABLE, Registry

ENDING = STARTABLE | {State.STOPPING, State.KILLING}


class ChangeRequests:
    """`start_possible` starts every member that is due and may start. `decided` is told what is decided about which
    members, and which ones they follow, before it is carried out."""

    def __init__(self, registry: Registry, start_possible: Callable[[], None]) -> None:
        self._registry = registry
        self._start_possible = start_possible
        self._leaving: set[Instance] = set()
        self._changes: list[Instance | None] = []
        self.decided: Callable[[Verb, Collection[Instance], Collection[Instance]], None] = lambda *_: None

    def start(self, members: Collection[Instance]) -> None:
        """Start these and what they need; those that run already go on."""
        members = [m for m in members if not m.surplus]
        self._leaving -= {m for m in members if not m.asked and not m.due}
        wanted = [m for m in self._registry.needed_by(members) if m.state in ENDING or m in self._leaving]
        self.decided(Verb.START, wanted, ())
        for member in wanted:
            member.due = True
        self._registry.forget_failures(wanted)
        self._start_possible()
        self.go_on()  # those that wait for one that stays

    def stop(self, members: Collection[Instance]) -> None:
        """Stop these; they stay down until they are asked for again."""
        self.decided(Verb.STOP, members, ())
        for member in members:
            member.due, member.stop_requested = False, True
        self._leaving |= {m for m in members if m.runs or m.state is State.BACKOFF}
        self.go_on()

    def restart(self, members: Collection[Instance]) -> None:
        """Stop these and their followers, and start them when they are down; those that do not run are started."""
        members = [m for m in members if not m.surplus]
        followers = self._followers(members)
        self._replace([*members, *followers])
        self.decided(Verb.RESTART, members, ())
        self.decided(Verb.RESTART, followers, members)
        self.start(members)
        self.go_on()

    def follow(self, member: Instance) -> list[Instance]:
        """A member comes back by itself: restart whoever follows it; returns those."""
        followers = self._followers([member])
        self._replace(followers)
        self.decided(Verb.RESTART, followers, [member])
        self.go_on()
        return followers

    def _replace(self, members: Collection[Instance]) -> None:
        for member in members:
            if member.runs:
                member.due = True
                self._leaving.add(member)

    def _followers(self, members: Collection[Instance]) -> list[Instance]:
        """Those that run and are to be restarted with any of these (`restart = true`), at any distance."""
        found = list(members)
        for other in found:
            there = (m for m in self._registry.members if m not in found and (m.runs or m.state is State.BACKOFF))
            found += [m for m in there if any(d.restart and d.name == other.key for d in m.spec.depends_on)]
        return found[len(members) :]

    def kill(self, members: Collection[Instance]) -> None:
        """Kill these without grace; they stay down until they are asked for again."""
        self.decided(Verb.KILL, members, ())
        for member in members:
            member.due, member.stop_requested = False, True
            self._leaving.discard(member)
            member.handle(Event.KILL)
        self.go_on()

    def is_leaving(self, member: Instance) -> bool:
        """Whether it will be asked to stop as soon as its turn comes."""
        return member in self._leaving

    def drop(self) -> None:
        """The whole system stops: nothing of this counts any more."""
        self._leaving.clear()
        for member in self._registry.members:
            member.due = False

    def go_on(self, changed: Instance | None = None) -> None:
        """Ask those to stop that nobody else who is to stop depends on; called after each change of a state, with the
        instance that has changed. What changes meanwhile waits for its turn: it may be as deep as there are instances.
        """
        if changed is not None and changed not in self._leaving:
            return
        if changed is not None and changed.runs and changed.state is not State.BACKOFF:
            return
        self._changes.append(changed)
        if len(self._changes) > 1:
            return
        try:
            for each in self._changes:  # which grows
                for member in self._freed_by(each):
                    if not member.asked or member.state is State.BACKOFF:
                        member.handle(Event.STOP)
        finally:
            self._changes.clear()

    def _freed_by(self, changed: Instance | None) -> list[Instance]:
        """Return those that may stop after this change; None means that any may have changed."""
        if changed is None:
            self._leaving = {m for m in self._leaving if m.runs or m.state is State.BACKOFF}
            return self._registry.may_stop(self._leaving)
        if changed.state is State.BACKOFF:
            return self._registry.may_stop_of([changed], self._leaving)
        self._leaving.discard(changed)
        return self._registry.may_stop_of(self._registry.needs_of(changed), self._leaving)
