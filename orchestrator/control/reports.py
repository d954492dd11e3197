"""What a second terminal is told of a system and its members: for `status`, `ps` and `why`."""

from __future__ import annotations

import collections
import os
import time

from orchestrator.control import rows
from orchestrator.control.rows import History, Row
from orchestrator.model.status import WORKING, Status, of_system
from orchestrator.supervisor.instance import Member
from orchestrator.supervisor.prompts.detectors import at, how_to_answer, shortened
from orchestrator.supervisor.supervisor import Supervisor


class Bulletin:
    """Looks at one supervisor; `history` has the times that members do not keep themselves."""

    def __init__(self, supervisor: Supervisor, history: History) -> None:
        self._supervisor = supervisor
        self._history = history
        self._since = time.time()

    def status(self) -> Row:
        """The system in one row."""
        roster = self._supervisor.roster
        step = roster.steps.running
        words = [m.public_state for m in roster.members]
        if self._supervisor.is_stopping:
            state = Status.STOPPING
        elif not roster.is_filled:
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

    def row(self, member: Member) -> Row:
        """One member, what it waits for before it starts, and the prompt at which it waits for input."""
        waiting = shortened(self._supervisor.streams.terminals.waiting(member.key))
        roster = self._supervisor.roster
        waits_for = roster.waits_for(member) if member.public_state is Status.WAITING else []
        return {**self._history.row(member), "waits_for": waits_for, "waiting": waiting or None}

    def watched(self, member: Member) -> Row:
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
        }

    def why(self, member: Member) -> Row:
        """The same, with the reason why it is where it is, and its last lines."""
        supervisor = self._supervisor
        waits_for, never = supervisor.roster.waits_for(member), supervisor.roster.why_never(member)
        probe = supervisor.waiting().get(member.name) or supervisor.last_answer(member)
        reason = rows.reason(member, waits_for, never, probe)
        row = self.row(member)
        if row["waiting"]:
            reason += f"; it is waiting for input{at(str(row['waiting']))}; {how_to_answer(member.name)}"
        return {**row, "reason": reason, "lines": rows.last_lines(supervisor.streams.recent(member))}
