"""Reports of a system and its instances for other terminals: for `status`, `ps` and `why`.

Instances are reported as plain fields: for `ps`, `events` and `why`.
"""

from __future__ import annotations

import collections
import os
import time
import weakref
from typing import TYPE_CHECKING

from orchestrator.model.lifecycle import OCCUPIED, RUNNING, Desired, State
from orchestrator.model.names import listed
from orchestrator.model.status import WORKING, Status, of_system
from orchestrator.supervisor import announcements
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.prompts.detectors import at, how_to_answer, shortened
from orchestrator.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from orchestrator.model.control import EventRow, InstanceRow, ReasonRow, RunRow, ShownRow, StatusRow


class StatusReports:
    """Reports on one supervisor; `history` has the times that instances do not keep themselves."""

    def __init__(self, supervisor: Supervisor, history: StateTimes) -> None:
        self._supervisor = supervisor
        self._history = history
        self._since = time.time()

    def system_row(self) -> StatusRow:
        """The system in one row."""
        registry = self._supervisor.registry
        step = registry.steps.running
        words = [m.public_state for m in registry.instances]
        if self._supervisor.is_stopping:
            state = Status.STOPPING
        elif not registry.is_filled:
            state = Status.STARTING
        else:
            state = of_system(words)
        return {
            "state": state.value,
            "step": step.name if step else None,
            "title": self._supervisor.title,
            "pid": os.getpid(),
            "since": self._since,
            "ready": sum(word in WORKING for word in words),
            "components": len(words),
            "states": dict(collections.Counter(word.value for word in words)),
        }

    def instance_row(self, instance: Instance) -> InstanceRow:
        """One instance, what it waits for before it starts, and the prompt at which it waits for input."""
        waiting = shortened(self._supervisor.streams.terminals.waiting(instance.key))
        registry = self._supervisor.registry
        waits_for = registry.waits_for(instance) if instance.public_state is Status.WAITING else []
        return {**self._history.row(instance), "waits_for": waits_for, "waiting": waiting or None}

    def watched_row(self, instance: Instance) -> ShownRow:
        """The same for a view of all instances, with what does not change: its color, tags, and kind of terminal.

        The time until the restart would change at every call, so it is a time of day.
        """
        row = self.instance_row(instance)
        pause = row["restarts_in"]
        return {
            "instance": row["instance"],
            "component": row["component"],
            "state": row["state"],
            "pid": row["pid"],
            "guardian": row["guardian"],
            "started": row["started"],
            "ready_since": row["ready_since"],
            "restarts": row["restarts"],
            "port": row["port"],
            "last_exit": row["last_exit"],
            "ended": row["ended"],
            "waits_for": row["waits_for"],
            "waiting": row["waiting"],
            "restart_at": None if pause is None else round(time.time() + pause),
            "tags": sorted(instance.spec.tags),
            "tty": instance.spec.tty,
            "full_screen": self._supervisor.streams.terminals.is_full_screen(instance.key),
        }

    def why_row(self, instance: Instance) -> ReasonRow:
        """The same, with the reason for its state, and its last lines."""
        supervisor = self._supervisor
        waits_for, never = supervisor.registry.waits_for(instance), supervisor.registry.unstartable_reason(instance)
        probe = supervisor.waiting().get(instance.name) or supervisor.last_answer(instance)
        reason = reason_of(instance, waits_for, never, probe)
        row = self.instance_row(instance)
        if row["waiting"]:
            reason += f"; it is waiting for input{at(str(row['waiting']))}; {how_to_answer(instance.name)}"
        return {**row, "reason": reason, "lines": last_lines(supervisor.streams.recent(instance))}


class StateTimes:
    """When each instance became ready and when it came to rest (wall-clock seconds), and the state last reported."""

    def __init__(self) -> None:
        # Weak: an instance that a scale-down removed is forgotten.
        self._ready: weakref.WeakKeyDictionary[Instance, float] = weakref.WeakKeyDictionary()
        self._ended: weakref.WeakKeyDictionary[Instance, float] = weakref.WeakKeyDictionary()
        self._reported: weakref.WeakKeyDictionary[Instance, Status] = weakref.WeakKeyDictionary()

    def changed(self, instance: Instance, before: State) -> EventRow | None:
        """Note the time of a change. Return it as an event, None if users see the same state as before."""
        if instance.state is State.READY:
            self._ready[instance] = time.time()
        elif before in OCCUPIED and instance.state not in RUNNING:
            self._ended[instance] = time.time()
        seen, status = self._reported.get(instance, Status.WAITING), instance.public_state
        self._reported[instance] = status
        if seen is status:
            return None
        return {
            "time": time.time(),
            "instance": instance.name,
            "component": instance.spec.component or instance.name,
            "from": seen.value,
            "state": status.value,
            "pid": instance.pid or None,
            "status": instance.status,
            "last_exit": instance.exit.in_words if instance.exit is not None else None,
        }

    def row(self, instance: Instance) -> RunRow:
        """The row that `ps` shows. Times are seconds since the epoch, or None."""
        backoff = instance.public_state is Status.RESTARTING
        return {
            "instance": instance.name,
            "component": instance.spec.component or instance.name,
            "state": instance.public_state.value,
            "restarts_in": max(0.0, round(instance.retry_at - time.monotonic(), 1)) if backoff else None,
            "pid": instance.pid or None,
            "guardian": instance.guardian_pid or None,
            "started": instance.run.started_wall or None,
            "ready_since": self._ready.get(instance) if instance.state is State.READY else None,
            "restarts": instance.restarts,
            "port": instance.spec.environment.get("PORT"),
            "last_exit": _last_exit(instance),
            "ended": self._ended.get(instance),
        }


def _last_exit(instance: Instance) -> str | None:
    """Return how the present run exited, or else the one before."""
    known = (*instance.exits, *([instance.exit] if instance.exit is not None else []))
    return known[-1].in_words if known else None


def reason_of(instance: Instance, waits_for: list[str], never: str, probe: str) -> str:
    """Return in a sentence why an instance is in its state. `waits_for` are dependencies, `never` why it cannot start,
    `probe` the last answers of its probes."""
    name, state = instance.name, instance.public_state
    end = f"it {instance.exit.as_clause}{instance.exit.after}" if instance.exit is not None else ""
    last = f"; the last time {end}" if end else ""
    match state:
        case Status.WAITING if never:
            return f"{name} is waiting and cannot start: {never}"
        case Status.WAITING:
            return f"{name} is waiting for {listed(waits_for) or 'its turn'}{last}"
        case Status.STARTING:
            return f"{name} is starting" + (f": {probe}" if probe else "")
        case Status.RUNNING | Status.READY:
            again = f"; it was restarted {announcements.times(instance.restarts)}" if instance.restarts else ""
            answer = f"; the last answer of its probes: {probe}" if probe else ""
            return f"{name} is {state.value}{again}{answer}"
        case Status.STOPPING if not instance.asked:
            return f"{name} is stopping: {end or 'its guardian was lost'}; what is left of it is being stopped"
        case Status.STOPPING if instance.due:
            return f"{name} is stopping; it starts again once it is down"
        case Status.STOPPING:
            return f"{name} is stopping, as requested"
        case Status.RESTARTING:
            return f"{name} is restarting in {max(0.0, instance.retry_at - time.monotonic()):.1f} s: {end}"
        case Status.STOPPED if instance.desired is Desired.DOWN or instance.run.number:
            return f"{name} is stopped, as requested{last or '; it was never started'}"
        case Status.STOPPED:
            return f"{name} is stopped: it was not started; `orchestrate start {name}` starts it"
        case Status.STUCK:
            return f"{name} is stuck: what is left of it cannot be killed{last}"
        case Status.COMPLETED | Status.FAILED:
            return f"{name} {state.value}: {end}"


def last_lines(recent: bytes) -> list[str]:
    """Return the end of its output, without escapes and with its indentation."""
    return [line.removeprefix("    ") for line in announcements.last_lines("", recent).split("\n")[1:]]
