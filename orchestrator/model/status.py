"""The state of an instance as users see it: one word in `ps`, `status`, `why`, `events`, JSON and the manual.

`model.lifecycle` decides; this only names the result. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Collection


class Status(enum.Enum):
    """The state of an instance, of an initial step, or of the whole system."""

    WAITING = "waiting"  # not started yet; waits for its dependencies
    STARTING = "starting"  # runs, and its readiness probes have not passed
    RUNNING = "running"  # runs; it has no readiness probe
    READY = "ready"
    STOPPING = "stopping"
    RESTARTING = "restarting"  # in backoff
    STOPPED = "stopped"  # on request
    COMPLETED = "completed"  # exited successfully
    FAILED = "failed"  # crashed, or given up
    STUCK = "stuck"  # cannot be killed


WORKING = frozenset({Status.RUNNING, Status.READY})
# The first of these states that some instance has is the state of the system.
_WORST_FIRST = (Status.STUCK, Status.FAILED, Status.RESTARTING, Status.STARTING, Status.WAITING, Status.STOPPING)


def of_system(instances: Collection[Status]) -> Status:
    """Return the state of a system that consists of these instances, and is neither starting nor stopping."""
    for worst in _WORST_FIRST:
        if worst in instances:
            return Status.STARTING if worst is Status.WAITING else worst
    for status in (Status.READY, Status.RUNNING, Status.STOPPED, Status.COMPLETED):
        if status in instances:
            return status
    return Status.STOPPED
