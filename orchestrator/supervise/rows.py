"""What a second terminal is shown of a member, as plain fields: for `ps`, `events` and `why`."""

from __future__ import annotations

import time
import weakref
from typing import Any

from orchestrator.model.lifecycle import State
from orchestrator.supervise import news
from orchestrator.supervise.component import Member
from orchestrator.supervise.roster import AT_REST, is_put_away

Row = dict[str, Any]


class History:
    """When each member became ready, and when it came to rest: wall-clock times in seconds."""

    def __init__(self) -> None:
        # Weak: an instance that a scale-down removed is forgotten.
        self._ready: weakref.WeakKeyDictionary[Member, float] = weakref.WeakKeyDictionary()
        self._ended: weakref.WeakKeyDictionary[Member, float] = weakref.WeakKeyDictionary()

    def changed(self, member: Member, before: State) -> None:
        """Note the time of a change."""
        if member.state is State.READY:
            self._ready[member] = time.time()
        elif before in (State.STOPPING, State.KILLING):
            self._ended[member] = time.time()

    def row(self, member: Member) -> Row:
        """What `ps` shows. Times are seconds since the epoch, None where there is none."""
        return {
            "instance": member.name,
            "component": member.spec.component or member.name,
            "state": member.state.value,
            "pid": member.pid or None,
            "guardian": member.guardian_pid or None,
            "started": member.since_wall or None,
            "ready_since": self._ready.get(member) if member.state is State.READY else None,
            "restarts": member.restarts,
            "port": member.spec.environment.get("PORT"),
            "last_exit": member.end_in_words if member.status is not None else None,
            "ended": self._ended.get(member),
        }


def event(member: Member, before: State) -> Row:
    """One change of a state."""
    return {
        "time": time.time(),
        "instance": member.name,
        "component": member.spec.component or member.name,
        "from": before.value,
        "state": member.state.value,
        "pid": member.pid or None,
        "status": member.status,
        "last_exit": member.end_in_words if member.status is not None else None,
    }


def reason(member: Member, waits_for: list[str], probe: str) -> str:
    """In words, why a member is where it is. `waits_for` are dependencies, `probe` what its probes
    were last answered."""
    name, state = member.name, member.state
    after = "" if member.reason else f" after {member.lasted:.1f} s"
    end = f"the last time it {member.end_as_clause}{after}" if member.status is not None else ""
    if state in AT_REST and member.due:
        return f"{name} is not started yet: it waits for {', '.join(waits_for) or 'its turn'}"
    if is_put_away(member):
        return f"{name} is down because that was asked for" + (f"; {end}" if end else "")
    if state is State.BACKOFF:
        return f"{name} {member.end_as_clause}; it is started again within {member.pause:.1f} s"
    if state in AT_REST:
        return f"{name} is {state.value}: {end or 'it was never started'}"
    if state is State.STARTING:
        return f"{name} is being started"
    if state is State.UP:
        return f"{name} runs, and is not ready: {probe or 'its probes begin'}"
    if state is State.READY:
        again = f"; it was started again {news.times(member.restarts)}" if member.restarts else ""
        return f"{name} is ready{again}" + (f"; the last answer of its probes: {probe}" if probe else "")
    stuck = "; what is left of it cannot be killed" if member.is_stuck else ""
    wanted = "was asked to stop" if member.asked else f"{member.end_as_clause}, and what it left is ended"
    return f"{name} {wanted}{stuck}"


def last_lines(recent: bytes) -> list[str]:
    """The end of what it printed, without escapes."""
    return [line.strip() for line in news.last_lines("", recent).split("\n")[1:]]
