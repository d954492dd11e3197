"""What is said when a member ends: how, what it last printed, and what follows. Words only."""

from __future__ import annotations

from orchestrator.supervise.component import Member
from orchestrator.text.escapes import no_escapes
from orchestrator.text.row import replay, rewrites

LAST_LINES = 5
LENGTH_MAX = 1000  # characters of one of them


def death(member: Member) -> str:
    """A member ended that nobody had asked to; said at once, before its tree is vacated."""
    if member.reason and not member.pid:
        return f"{member.name} did not start: {member.reason}"
    after = "" if member.reason else f" after {member.lasted:.1f} s"
    return f"{member.name} {member.end_in_words}{after}"


def last_lines(name: str, recent: bytes) -> str:
    """The end of what it printed, for a reader who did not watch; empty where it printed nothing."""
    lines = [_in_words(line) for line in recent.split(b"\n")[-2 * LAST_LINES :]]
    kept = [line for line in lines if line][-LAST_LINES:]
    return "\n".join([f"the last lines of {name}:", *(f"    {line}" for line in kept)]) if kept else ""


def _in_words(line: bytes) -> str:
    line = line.rstrip(b"\r")
    text = no_escapes(replay(line) if rewrites(line) else line).decode("utf-8", "replace").rstrip()
    return text if len(text) <= LENGTH_MAX else f"…{text[-LENGTH_MAX:]}"


def comeback(member: Member) -> str:
    """It is started again."""
    return f"starting {member.name} again in {member.pause:.1f} s"


def surrender(member: Member) -> str:
    """It failed too often."""
    plan = member.spec.restart
    return f"giving up on {member.name}: it ended {plan.max} times within {plan.within:.0f} s"
