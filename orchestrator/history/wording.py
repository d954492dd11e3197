"""How a record's times, durations, users, commands and requests are written in sentences. Pure: clock and users are
passed in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.history.record import Origin, RecordedEvent, RecordKind

_DEAD = re.compile(r"failed its (?P<failure>liveness probe) (?P<rest>(?:once|\d+ times): .*)", re.DOTALL)
# Version 0.2.0 wrote this.
_DEAD_BEFORE = re.compile(r"does not live: (?P<probe>.*?) failed (?P<times>once|\d+ times): (?P<answer>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Words:
    """How times and users are written."""

    clock: Callable[[float], str]
    user: Callable[[int], str]

    def at(self, event: RecordedEvent) -> str:
        """Return the time of an event."""
        return self.clock(event.time)

    def request(self, event: RecordedEvent) -> str:
        """Return who requested what as a clause, with the signal or the command line."""
        if event.kind is RecordKind.SIGNAL:
            return f"the supervisor received {event.reason}" + (self._sender(event.origin) if event.origin else "")
        if event.reason:
            return event.reason
        origin = event.origin or Origin()
        words = command_in_words(origin.command) or " ".join(["orchestrate", event.verb, *event.names])
        who = f" by {self.user(origin.uid)}" if origin.uid >= 0 else ""
        if words.removeprefix("orchestrate ").removeprefix("airflow ").split()[:1] == ["ui"]:
            return f"{event.verb} was requested in the view{who}" + _place(origin)
        return f"'{words}' was run{who}" + _place(origin)

    def _sender(self, origin: Origin) -> str:
        command = command_in_words(origin.command)
        what = f"'{command}' of {self.user(origin.uid)}" if command else self.user(origin.uid)
        return f" from {what}{_place(origin)}"


def _place(origin: Origin) -> str:
    where = [f"pid {origin.pid}"] if origin.pid else []
    where += [origin.tty] if origin.tty else []
    where += [f"tmux pane {origin.pane}"] if origin.pane else []
    return f" ({', '.join(where)})" if where else ""


def command_in_words(command: tuple[str, ...]) -> str:
    """Return a command line as it was typed: without the interpreter, and without directories."""
    words = list(command)
    if words and os.path.basename(words[0]).startswith("python"):
        words = words[1:]
        while words and words[0].startswith("-") and words[0] != "-m":
            words = words[1:]
        if words[:2] == ["-m", "orchestrator"]:
            words[:2] = ["orchestrate"]
    if words:
        words[0] = os.path.basename(words[0])
    return " ".join(words)


def duration(seconds: float) -> str:
    """Return `4.2 s`, `3 min 20 s`, `2 h 5 min` or `3 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def as_verb(state: str) -> str:
    """Return a state as a verb in the past."""
    return {"down": "stopped", "backoff": "exited", "restarting": "exited", "stuck": "got stuck"}.get(state, state)


def probe_clause(reason: str) -> str:
    """Return why a probe stopped an instance as a clause; `reason` is the text in the record."""
    if found := _DEAD.fullmatch(reason):
        return f"its {found['failure']} failed {found['rest']}"
    if found := _DEAD_BEFORE.fullmatch(reason):
        return f"its liveness probe failed {found['times']}: {found['probe']}: {found['answer']}"
    return f"it {reason}"
