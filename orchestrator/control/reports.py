"""What a second terminal is told of a system and its members: for `status`, `ps` and `why`.

What a second terminal is shown of a member, as plain fields: for `ps`, `events` and `why`.
"""

from __future__ import annotations

import collections
import os
import time
import weakref
from typing import Any

from orchestrator.model.lifecycle import State
from orchestrator.model.names import listed
from orchestrator.model.status import WORKING, Status, of_system
from orchestrator.supervisor import announcements
from orchestrator.supervisor.instance import Instance
from orchestrator.supervisor.prompts.detectors import at, how_to_answer, shortened
from orchestrator.supervisor.supervisor import Supervisor


class StatusReports:
    """Looks at one supervisor; `history` has the times that members do not keep themselves."""

    def __init__(self, supervisor: Supervisor, history: StateTimes) -> None:
        self._supervisor = supervisor
        self._history = history
        self._since = time.time()

    def status(self) -> Row:
        """The system in one row."""
        registry = self._supervisor.registry
        step = registry.steps.running
        words = [m.public_state for m in registry.members]
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

    def row(self, member: Instance) -> Row:
        """One member, what it waits for before it starts, and the prompt at which it waits for input."""
        waiting = shortened(self._supervisor.streams.terminals.waiting(member.key))
        registry = self._supervisor.registry
        waits_for = registry.waits_for(member) if member.public_state is Status.WAITING else []
        return {**self._history.row(member), "waits_for": waits_for, "waiting": waiting or None}

    def watched(self, member: Instance) -> Row:
        """The same for a view of all instances, with what does not change: its color, tags, and kind of terminal.

        A time until the restart would change at every look, so it is a time of day.
        """
        row = self.row(member)
        pause = row.pop("restarts_in")
        return {
            **row,
            "restart_at": None if pause is None else round(time.time() + pause),
            "tags": sorted(member.spec.tags),
            "tty": member.spec.tty,
            "full_screen": self._supervisor.streams.terminals.is_full_screen(member.key),
        }

    def why(self, member: Instance) -> Row:
        """The same, with the reason why it is where it is, and its last lines."""
        supervisor = self._supervisor
        waits_for, never = supervisor.registry.waits_for(member), supervisor.registry.unstartable_reason(member)
        probe = supervisor.waiting().get(member.name) or supervisor.last_answer(member)
        reason = reason_of(member, waits_for, never, probe)
        row = self.row(member)
        if row["waiting"]:
            reason += f"; it is waiting for input{at(str(row['waiting']))}; {how_to_answer(member.name)}"
        return {**row, "reason": reason, "lines": last_lines(supervisor.streams.recent(member))}


Row = dict[str, Any]


class StateTimes:
    """When each instance became ready and when it came to rest (wall-clock seconds), and the state last reported."""

    def __init__(self) -> None:
        # Weak: an instance that a scale-down removed is forgotten.
        self._ready: weakref.WeakKeyDictionary[Instance, float] = weakref.WeakKeyDictionary()
        self._ended: weakref.WeakKeyDictionary[Instance, float] = weakref.WeakKeyDictionary()
        self._reported: weakref.WeakKeyDictionary[Instance, Status] = weakref.WeakKeyDictionary()

    def changed(self, member: Instance, before: State) -> Row | None:
        """Note the time of a change. Return it as an event, None if users see the same state as before."""
        if member.state is State.READY:
            self._ready[member] = time.time()
        elif before in (State.STOPPING, State.KILLING):
            self._ended[member] = time.time()
        seen, status = self._reported.get(member, Status.WAITING), member.public_state
        self._reported[member] = status
        if seen is status:
            return None
        return {
            "time": time.time(),
            "instance": member.name,
            "component": member.spec.component or member.name,
            "from": seen.value,
            "state": status.value,
            "pid": member.pid or None,
            "status": member.status,
            "last_exit": member.end_in_words if member.status is not None else None,
        }

    def row(self, member: Instance) -> Row:
        """What `ps` shows. Times are seconds since the epoch, None where there is none."""
        backoff = member.public_state is Status.RESTARTING
        return {
            "instance": member.name,
            "component": member.spec.component or member.name,
            "state": member.public_state.value,
            "restarts_in": max(0.0, round(member.retry_at - time.monotonic(), 1)) if backoff else None,
            "pid": member.pid or None,
            "guardian": member.guardian_pid or None,
            "started": member.since_wall or None,
            "ready_since": self._ready.get(member) if member.state is State.READY else None,
            "restarts": member.restarts,
            "port": member.spec.environment.get("PORT"),
            "last_exit": member.end_in_words if member.status is not None else member.last_exit or None,
            "ended": self._ended.get(member),
        }


def reason_of(member: Instance, waits_for: list[str], never: str, probe: str) -> str:
    """Return in a sentence why an instance is in its state. `waits_for` are dependencies, `never` why it cannot start,
    `probe` the last answers of its probes."""
    name, state = member.name, member.public_state
    after = "" if member.reason else f" after {member.lasted:.1f} s"
    end = f"it {member.end_as_clause}{after}" if member.status is not None else ""
    last = f"; the last time {end}" if end else ""
    match state:
        case Status.WAITING if never:
            return f"{name} is waiting and cannot start: {never}"
        case Status.WAITING:
            return f"{name} is waiting for {listed(waits_for) or 'its turn'}{last}"
        case Status.STARTING:
            return f"{name} is starting" + (f": {probe}" if probe else "")
        case Status.RUNNING | Status.READY:
            again = f"; it was restarted {announcements.times(member.restarts)}" if member.restarts else ""
            answer = f"; the last answer of its probes: {probe}" if probe else ""
            return f"{name} is {state.value}{again}{answer}"
        case Status.STOPPING if not member.asked:
            return f"{name} is stopping: {end or 'its guardian was lost'}; what is left of it is being stopped"
        case Status.STOPPING:
            return f"{name} is stopping, as requested"
        case Status.RESTARTING:
            return f"{name} is restarting in {max(0.0, member.retry_at - time.monotonic()):.1f} s: {end}"
        case Status.STOPPED if member.stop_requested or member.run_count:
            return f"{name} is stopped, as requested{last or '; it was never started'}"
        case Status.STOPPED:
            return f"{name} is stopped: it was not started; `orchestrate start {name}` starts it"
        case Status.STUCK:
            return f"{name} is stuck: what is left of it cannot be killed{last}"
        case Status.COMPLETED | Status.FAILED:
            return f"{name} {state.value}: {end}"


def last_lines(recent: bytes) -> list[str]:
    """Return the end of what it printed, without escapes and with its indentation."""
    return [line.removeprefix("    ") for line in announcements.last_lines("", recent).split("\n")[1:]]
