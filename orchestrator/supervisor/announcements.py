"""What is said when a member ends: how, what it last printed, and what follows. Words only."""

from __future__ import annotations

from orchestrator.model import lifecycle
from orchestrator.model.names import listed
from orchestrator.supervisor.instance import Instance
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.row import replay, rewrites

LAST_LINES = 5
LAST_LINES_OF_ALL = 15  # of the one that ended the system
LENGTH_MAX = 1000  # characters of one of them


def exit_message(member: Instance) -> str:
    """A member ended that nobody had asked to; said at once, before its tree is vacated."""
    if member.reason and not member.pid:
        return f"{member.name} did not start: {member.reason}"
    after = "" if member.reason else f" after {member.lasted:.1f} s"
    return f"{member.name} {member.end_in_words}{after}"


def left_behind(member: Instance) -> str:
    """Its leader exited by itself and left processes; empty if it left none."""
    if member.left is None or not member.left.left:
        return ""
    count = member.left.left
    processes = "1 process" if count == 1 else f"{count} processes"
    line = f"{member.name} left {processes} running; stopping {'it' if count == 1 else 'them'}"
    if member.left.daemons and member.succeeded:
        line += f"\nhint: start {member.name} in the foreground, without `&` or an option that makes it a daemon"
    return line


def exit_report(member: Instance, recent: bytes, others: list[str]) -> str:
    """Return the block on a member that ends the system, whose exit is reported already: what it last printed, how
    often it was started, and what is stopped because of it. Empty if there is nothing to add."""
    block = []
    if not member.succeeded and (lines := last_lines(member.name, recent, LAST_LINES_OF_ALL)):
        block.append(lines)
    count = member.run_count
    if others:
        again = f" (it was started {count} times)" if count > 1 else ""
        block.append(f"stopping {listed(others)} because {member.name} exited{again}")
        if member.succeeded and not member.spec.on_exit_is_set:
            name = member.spec.component or member.name
            block.append(f'hint: if {name} may end before the others, use `--can-end {name}`, or on_exit = "ignore"')
    elif count > 1:
        block.append(f"{member.name} was started {count} times")
    return "\n".join(block)


def last_lines(name: str, recent: bytes, count: int = LAST_LINES) -> str:
    """The end of what it printed, for a reader who did not watch; empty where it printed nothing."""
    kept = _kept(recent, count)
    return "\n".join([f"the last lines of {name}:", *(f"    {line}" for line in kept)]) if kept else ""


def last_line(recent: bytes) -> str:
    """Return the last line that is not empty; empty if there is none."""
    return "".join(_kept(recent, 1))


def _kept(recent: bytes, count: int) -> list[str]:
    lines = [_in_words(line) for line in recent.split(b"\n")[-2 * count :]]
    return [line for line in lines if line][-count:]


def _in_words(line: bytes) -> str:
    line = line.rstrip(b"\r")
    text = no_escapes(replay(line) if rewrites(line) else line).decode("utf-8", "replace").rstrip()
    return text if len(text) <= LENGTH_MAX else f"…{text[-LENGTH_MAX:]}"


def times(count: int) -> str:
    """`once`, or `3 times`."""
    return "once" if count == 1 else f"{count} times"


def restart_message(member: Instance) -> str:
    """It is started again."""
    return f"starting {member.name} again in {member.pause:.1f} s"


def give_up_message(member: Instance) -> str:
    """It failed too often."""
    return f"giving up on {member.name}: {why_given_up(member)}"


def why_given_up(member: Instance) -> str:
    """Return the reason as a clause."""
    plan = member.spec.restart
    if lifecycle.is_repetitive(plan, member.repeats):
        return f"it exited {times(plan.same_exits)} in the same way before it was ready"
    return f"it ended {times(plan.max)} within {plan.within:.0f} s"
