"""What somebody waits for: looks at members, and gives the reply once it has come to be, or never will.

A look is taken after every change of a state, so a state that is left at once is seen too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from orchestrator.model import errors
from orchestrator.model.control import Reply
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import State
from orchestrator.supervisor.change_requests import ChangeRequests
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import AT_REST, Registry

Look = Callable[[], Reply | None]
Describe = Callable[[Instance], dict[str, Any]]

RUNS = frozenset({State.UP, State.READY})


def started(registry: Registry, members: Iterable[Instance], describe: Describe) -> Look:
    """All of them run, or ran since: a short command may have ended already."""
    before = {m: m.run_count - (m.state in RUNS or m.state is State.STARTING) for m in members if not m.surplus}
    return _all_started(registry, before, describe)


def started_again(registry: Registry, members: Iterable[Instance], describe: Describe) -> Look:
    """A new incarnation of each of them runs."""
    return _all_started(registry, {m: m.run_count for m in members if not m.surplus}, describe)


def _all_started(registry: Registry, before: dict[Instance, int], describe: Describe) -> Look:
    done: set[Instance] = set()

    def look() -> Reply | None:
        for member, count in before.items():
            if member.run_count > count and member.state in RUNS:
                done.add(member)
        failures = [
            fault for m, count in before.items() if m not in done and (fault := _why_not_started(registry, m, count))
        ]
        if len(done) + len(failures) < len(before):
            return None
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
    waiting = list(members)
    before = {m: m.run_count for m in waiting}

    def look() -> Reply | None:
        failures: list[str] = []
        for member in list(waiting):
            if member.state in AT_REST or member.run_count > before[member]:
                waiting.remove(member)
            elif member.is_stuck:
                failures.append(f"cannot kill what is left of {member.name}")
            elif member.state in RUNS and not member.asked and not change_requests.is_leaving(member):
                failures.append(f"{member.name} was not stopped: a start was requested meanwhile")
        if len(failures) < len(waiting):
            return None
        return Reply(not failures, "; ".join(failures), FAILED_STATUS if failures else 0, tuple(map(describe, before)))

    return look


def both(one: Look, other: Look) -> Look:
    """The one and the other."""
    found: dict[Look, Reply] = {}

    def look() -> Reply | None:
        for goal in (one, other):
            if goal not in found and (reply := goal()) is not None:
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
    waiting = list(members)

    def look() -> Reply | None:
        if any(m.state not in AT_REST or m.due for m in waiting):
            return None
        codes = [errors.as_code(m.status) for m in waiting if m.status is not None]
        return Reply(status=codes[0] if codes else 0, rows=tuple(map(describe, waiting)))

    return look


def ready(registry: Registry, names: Collection[str], describe: Describe) -> Look:
    """All of these are ready, or have done what they were to do. One that has failed, or was stopped, never will be."""

    def look() -> Reply | None:
        if not registry.is_filled:
            return None  # the initial steps are not over
        there = [m for m in registry.all_named(names) if not m.surplus]
        if gone := [name for name in names if not registry.named(name)]:
            return Reply(False, f"{', '.join(gone)} was removed by a scale-down", FAILED_STATUS)
        never = [m for m in there if _is_never_ready(registry, m)]
        if never:
            return Reply(
                False,
                "; ".join(_why_never_ready(registry, m) for m in never),
                FAILED_STATUS,
                tuple(map(describe, there)),
            )
        if all(m.state is State.READY or (m.state in AT_REST and registry.is_done(m)) for m in there):
            return Reply(rows=tuple(map(describe, there)))
        return None

    return look


def _is_never_ready(registry: Registry, member: Instance) -> bool:
    if member.state not in AT_REST:
        return False
    return bool(registry.unstartable_reason(member)) if member.due else member.asked or not registry.is_done(member)


def _why_never_ready(registry: Registry, member: Instance) -> str:
    if why := registry.unstartable_reason(member):
        return f"{member.name} is not started: {why}"
    return f"{member.name} {member.end_as_clause if member.status is not None else 'is not started'}"
