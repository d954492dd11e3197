"""Conditions for which a client waits: each checks instances, and returns the reply once it holds, or never will.

A condition is checked after every change of a state, so a brief state is seen too. The check gets the instance that
has changed. Each condition keeps one instance that it still waits for, and checks the others only once that one is
done, so all checks together take time linear in the number of instances.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from orchestrator.model import errors
from orchestrator.model.control import Reply, Row
from orchestrator.model.errors import FAILED_STATUS
from orchestrator.model.lifecycle import AT_REST, State
from orchestrator.model.names import listed
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.registry import Registry

if TYPE_CHECKING:
    from orchestrator.model.control import RunRow

Look = Callable[[Instance | None], Reply[Row] | None]  # None: any instance may have changed
Describe = Callable[[Instance], "RunRow"]

RUNS = frozenset({State.UP, State.READY})


class Pending:
    """The instances of a condition, and the one that was found to be pending at the last look."""

    def __init__(self, instances: Iterable[Instance]) -> None:
        self.instances = list(instances)
        self._at = 0

    @property
    def last(self) -> Instance:
        """The instance that was pending at the last look."""
        return self.instances[self._at]

    def any(self, is_pending: Callable[[Instance], bool]) -> bool:
        """Return whether some instance is pending. Begin with the one that was at the last look."""
        count = len(self.instances)
        for step in range(count):
            at = (self._at + step) % count
            if is_pending(self.instances[at]):
                self._at = at
                return True
        return False


def started(registry: Registry, instances: Iterable[Instance], describe: Describe) -> Look:
    """Wait until all of them run, or have run since: a short command may have exited already."""
    before = {m: m.run.number - (m.state in RUNS or m.state is State.STARTING) for m in instances if not m.surplus}
    return _all_started(registry, before, describe)


def started_again(registry: Registry, instances: Iterable[Instance], describe: Describe) -> Look:
    """Wait until a new run of each of them has begun."""
    return _all_started(registry, {m: m.run.number for m in instances if not m.surplus}, describe)


def _all_started(registry: Registry, before: dict[Instance, int], describe: Describe) -> Look:
    done: set[Instance] = set()
    pending = Pending(before)

    def fault(instance: Instance) -> str:
        return "" if instance in done else _why_not_started(registry, instance, before[instance])

    def look(changed: Instance | None = None) -> Reply[Row] | None:
        for instance in before if changed is None else (changed,):
            if instance in before and instance.run.number > before[instance] and instance.state in RUNS:
                done.add(instance)
        if pending.any(lambda m: m not in done and not fault(m)):
            return None
        failures = list(filter(None, map(fault, before)))
        rows = tuple(describe(m) for m in before)
        return Reply(not failures, "; ".join(failures), FAILED_STATUS if failures else 0, rows)

    return look


def _why_not_started(registry: Registry, instance: Instance, count: int) -> str:
    """Return why it will not be started any more; empty if it still may be."""
    if instance.state is State.STUCK:
        return f"cannot start {instance.name}: what is left of it cannot be killed"
    if why := registry.unstartable_reason(instance):
        return f"{instance.name} is not started: {why}"
    if instance.surplus:
        return f"{instance.name} was removed by a scale-down"
    if instance.due or instance.state in RUNS or instance.state in (State.STARTING, State.BACKOFF):
        return ""
    if instance.run.number > count and not instance.asked:
        # it did not start, or exited too soon to be seen; whether it is restarted is known only when its tree is empty
        return f"{instance.name} {instance.end_as_clause}" if instance.state in AT_REST else ""
    return f"{instance.name} was not started: a stop was requested meanwhile"


def stopped(instances: Iterable[Instance], describe: Describe) -> Look:
    """Wait until all of them have been down since the request."""
    before = {m: m.run.number for m in instances}
    done: set[Instance] = set()
    pending = Pending(before)

    def fault(instance: Instance) -> str:
        if instance in done:
            return ""
        if instance.state is State.STUCK:
            return f"cannot kill what is left of {instance.name}"
        if instance.state in RUNS and not instance.asked and not instance.is_leaving:
            return f"{instance.name} was not stopped: a start was requested meanwhile"
        return ""

    def look(changed: Instance | None = None) -> Reply[Row] | None:
        for instance in before if changed is None else (changed,):
            if instance in before and (instance.state in AT_REST or instance.run.number > before[instance]):
                done.add(instance)
        if pending.any(lambda m: m not in done and not fault(m)):
            return None
        failures = list(filter(None, map(fault, before)))
        return Reply(not failures, "; ".join(failures), FAILED_STATUS if failures else 0, tuple(map(describe, before)))

    return look


def both(one: Look, other: Look) -> Look:
    """Wait until both conditions hold."""
    found: dict[Look, Reply[Row]] = {}

    def look(changed: Instance | None = None) -> Reply[Row] | None:
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


def ended(registry: Registry, instances: Iterable[Instance], describe: Describe) -> Look:
    """Wait until all of them are at rest and will not be restarted. The status is the first one's exit code. One that
    cannot start never will exit."""
    pending = Pending(instances)

    def look(changed: Instance | None = None) -> Reply[Row] | None:
        if pending.any(lambda m: m.state not in AT_REST or (m.due and not registry.unstartable_reason(m))):
            return None
        if never := [m for m in pending.instances if m.due]:
            return Reply(False, "; ".join(_why_never_ready(registry, m) for m in never), FAILED_STATUS)
        codes = [errors.as_code(m.status) for m in pending.instances if m.status is not None]
        return Reply(status=codes[0] if codes else 0, rows=tuple(map(describe, pending.instances)))

    return look


def ready(registry: Registry, names: Collection[str], describe: Describe) -> Look:
    """Wait until all of these are ready or have completed. One that has failed or was stopped never will be."""
    pending = Pending(())
    seen = -1  # the membership of the registry that `pending` is about

    def is_pending(instance: Instance) -> bool:
        if instance.surplus or instance.state is State.READY:
            return False
        return instance.state not in AT_REST or not registry.is_done(instance)

    def look(changed: Instance | None = None) -> Reply[Row] | None:
        nonlocal pending, seen
        if not registry.is_filled:
            return None  # the initial steps are not finished
        if seen != registry.membership:
            if gone := [name for name in names if not registry.named(name)]:
                return Reply(False, f"{listed(gone)} was removed by a scale-down", FAILED_STATUS)
            pending, seen, changed = Pending(registry.all_named(names)), registry.membership, None
        may_become_ready = changed is not None and not _may_rule_out_readiness(registry, changed)
        if may_become_ready and pending.any(is_pending) and not _is_never_ready(registry, pending.last):
            return None
        there = [m for m in pending.instances if not m.surplus]
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


def _may_rule_out_readiness(registry: Registry, changed: Instance) -> bool:
    """Return whether, because of this change, some instance may never be ready any more."""
    if changed.state not in AT_REST:
        return False
    return _is_never_ready(registry, changed) or registry.has_dependents(changed)


def never_ready(registry: Registry) -> list[str]:
    """Return why some instances never will be ready, in words: those that have failed for good or cannot start. One
    that was stopped on request is not among them."""
    return [_why_never_ready(registry, m) for m in registry.instances if _has_failed_for_good(registry, m)]


def _is_never_ready(registry: Registry, instance: Instance) -> bool:
    stopped = instance.state in AT_REST and instance.asked and not instance.due
    return stopped or _has_failed_for_good(registry, instance)


def _has_failed_for_good(registry: Registry, instance: Instance) -> bool:
    if instance.state not in AT_REST:
        return False
    return bool(registry.unstartable_reason(instance)) if instance.due else not registry.is_done(instance)


def _why_never_ready(registry: Registry, instance: Instance) -> str:
    if why := registry.unstartable_reason(instance):
        return f"{instance.name} is not started: {why}"
    return f"{instance.name} {instance.end_as_clause if instance.status is not None else 'is not started'}"
