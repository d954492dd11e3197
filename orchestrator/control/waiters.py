"""Conditions for which a client waits: each looks at instances, and returns the reply once it holds, or never will.

A look is taken after every change of a state, so a state that is left at once is seen too. It gets the instance that
has changed. Each condition keeps one instance that it still waits for, and looks at the others only once that one is
done, so all looks together take time linear in the number of instances.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from orchestrator.model import errors
from orchestrator.model.control import Reply
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import State
from orchestrator.model.names import listed
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import AT_REST, Registry

Look = Callable[[Instance | None], Reply | None]  # None: any instance may have changed
Describe = Callable[[Instance], dict[str, Any]]

RUNS = frozenset({State.UP, State.READY})


class Pending:
    """The instances of a condition, and the one that was found to be pending at the last look."""

    def __init__(self, members: Iterable[Instance]) -> None:
        self.members = list(members)
        self._at = 0

    @property
    def last(self) -> Instance:
        """The instance that was pending at the last look."""
        return self.members[self._at]

    def any(self, is_pending: Callable[[Instance], bool]) -> bool:
        """Return whether some instance is pending. Begin with the one that was at the last look."""
        count = len(self.members)
        for step in range(count):
            at = (self._at + step) % count
            if is_pending(self.members[at]):
                self._at = at
                return True
        return False


def started(registry: Registry, members: Iterable[Instance], describe: Describe) -> Look:
    """All of them run, or ran since: a short command may have ended already."""
    before = {m: m.run_count - (m.state in RUNS or m.state is State.STARTING) for m in members if not m.surplus}
    return _all_started(registry, before, describe)


def started_again(registry: Registry, members: Iterable[Instance], describe: Describe) -> Look:
    """A new run of each of them has begun."""
    return _all_started(registry, {m: m.run_count for m in members if not m.surplus}, describe)


def _all_started(registry: Registry, before: dict[Instance, int], describe: Describe) -> Look:
    done: set[Instance] = set()
    pending = Pending(before)

    def fault(member: Instance) -> str:
        return "" if member in done else _why_not_started(registry, member, before[member])

    def look(changed: Instance | None = None) -> Reply | None:
        for member in before if changed is None else (changed,):
            if member in before and member.run_count > before[member] and member.state in RUNS:
                done.add(member)
        if pending.any(lambda m: m not in done and not fault(m)):
            return None
        failures = list(filter(None, map(fault, before)))
        rows = tuple(describe(m) for m in before)
        return Reply(not failures, "; ".join(failures), FAILED_STATUS if failures else 0, rows)

    return look


def _why_not_started(registry: Registry, member: Instance, count: int) -> str:
    """Why it will not be started any more; empty where it still may be."""
    if member.is_stuck:
        return f"cannot start {member.name}: what is left of it cannot be killed"
    if why := registry.unstartable_reason(member):
        return f"{member.name} is not started: {why}"
    if member.surplus:
        return f"{member.name} was removed by a scale-down"
    if member.due or member.state in RUNS or member.state in (State.STARTING, State.BACKOFF):
        return ""
    if member.run_count > count and not member.asked:
        # it did not come up, or not for long enough to be seen; whether it comes back is not known before it is gone
        return f"{member.name} {member.end_in_words}" if member.state in AT_REST else ""
    return f"{member.name} was not started: a stop was requested meanwhile"


def stopped(members: Iterable[Instance], describe: Describe, change_requests: ChangeRequests) -> Look:
    """All of them have been down since it was asked for."""
    before = {m: m.run_count for m in members}
    done: set[Instance] = set()
    pending = Pending(before)

    def fault(member: Instance) -> str:
        if member in done:
            return ""
        if member.is_stuck:
            return f"cannot kill what is left of {member.name}"
        if member.state in RUNS and not member.asked and not change_requests.is_leaving(member):
            return f"{member.name} was not stopped: a start was requested meanwhile"
        return ""

    def look(changed: Instance | None = None) -> Reply | None:
        for member in before if changed is None else (changed,):
            if member in before and (member.state in AT_REST or member.run_count > before[member]):
                done.add(member)
        if pending.any(lambda m: m not in done and not fault(m)):
            return None
        failures = list(filter(None, map(fault, before)))
        return Reply(not failures, "; ".join(failures), FAILED_STATUS if failures else 0, tuple(map(describe, before)))

    return look


def both(one: Look, other: Look) -> Look:
    """The one and the other."""
    found: dict[Look, Reply] = {}

    def look(changed: Instance | None = None) -> Reply | None:
        for goal in (one, other):
            if goal not in found and (reply := goal(changed)) is not None:
                found[goal] = reply
        if len(found) < 2:
            return None
        replies = found[one], found[other]
        error = "; ".join(reply.error for reply in replies if reply.error)
        status = max(reply.status for reply in replies)
        return Reply(not error, error, status, (*replies[0].rows, *replies[1].rows))

    return look


def ended(members: Iterable[Instance], describe: Describe) -> Look:
    """All of them have come to rest, and will not come back by themselves. The status is the first one's exit code."""
    pending = Pending(members)

    def look(changed: Instance | None = None) -> Reply | None:
        if pending.any(lambda m: m.state not in AT_REST or m.due):
            return None
        codes = [errors.as_code(m.status) for m in pending.members if m.status is not None]
        return Reply(status=codes[0] if codes else 0, rows=tuple(map(describe, pending.members)))

    return look


def ready(registry: Registry, names: Collection[str], describe: Describe) -> Look:
    """All of these are ready, or have done what they were to do. One that has failed, or was stopped, never will be."""
    pending = Pending(())
    seen = -1  # the membership of the registry that `pending` is about

    def is_pending(member: Instance) -> bool:
        if member.surplus or member.state is State.READY:
            return False
        return member.state not in AT_REST or not registry.is_done(member)

    def look(changed: Instance | None = None) -> Reply | None:
        nonlocal pending, seen
        if not registry.is_filled:
            return None  # the initial steps are not over
        if seen != registry.membership:
            if gone := [name for name in names if not registry.named(name)]:
                return Reply(False, f"{listed(gone)} was removed by a scale-down", FAILED_STATUS)
            pending, seen, changed = Pending(registry.all_named(names)), registry.membership, None
        hopeful = changed is not None and not _may_end_hope(registry, changed)
        if hopeful and pending.any(is_pending) and not _is_never_ready(registry, pending.last):
            return None
        there = [m for m in pending.members if not m.surplus]
        never = [m for m in there if _is_never_ready(registry, m)]
        if never:
            return Reply(
                False,
                "; ".join(_why_never_ready(registry, m) for m in never),
                FAILED_STATUS,
                tuple(map(describe, there)),
            )
        return None if pending.any(is_pending) else Reply(rows=tuple(map(describe, there)))

    return look


def _may_end_hope(registry: Registry, changed: Instance) -> bool:
    """Return whether, because of this change, some instance may never be ready any more."""
    if changed.state not in AT_REST:
        return False
    return _is_never_ready(registry, changed) or bool(registry.dependents.get(changed.key))


def _is_never_ready(registry: Registry, member: Instance) -> bool:
    if member.state not in AT_REST:
        return False
    return bool(registry.unstartable_reason(member)) if member.due else member.asked or not registry.is_done(member)


def _why_never_ready(registry: Registry, member: Instance) -> str:
    if why := registry.unstartable_reason(member):
        return f"{member.name} is not started: {why}"
    return f"{member.name} {member.end_as_clause if member.status is not None else 'is not started'}"
