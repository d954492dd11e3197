"""The event lines for an instance that exited: how, what it last printed, and what follows. Words only."""

from __future__ import annotations

from orchestrator.model import lifecycle
from orchestrator.model.names import listed
from orchestrator.model.run import NEVER_RAN
from orchestrator.supervisor.instance import Instance
from orchestrator.terminal.escapes import no_escapes
from orchestrator.terminal.row import replay, rewrites

LAST_LINES = 5
LAST_LINES_OF_ALL = 15  # of the one that ended the system
LENGTH_MAX = 1000  # characters of one of them


def exit_message(instance: Instance) -> str:
    """Return that a run exited, or is stopped because of its fault. It is reported before the tree is empty."""
    if instance.exit is None:
        return f"{instance.name} {instance.end_in_words}"
    if instance.exit.cause in NEVER_RAN:
        return f"{instance.name} did not start: {instance.exit.reason}"
    return f"{instance.name} {instance.exit.in_words}{instance.exit.after}"


def left_behind(instance: Instance) -> str:
    """Return the event line for processes that a leader left when it exited by itself; empty for none."""
    if instance.exit is None or not instance.exit.left:
        return ""
    count = instance.exit.left
    processes = "1 process" if count == 1 else f"{count} processes"
    line = f"{instance.name} left {processes} running; stopping {'it' if count == 1 else 'them'}"
    if instance.exit.daemons and instance.succeeded:
        line += f"\nhint: start {instance.name} in the foreground, without `&` or an option that makes it a daemon"
    return line


def exit_report(instance: Instance, recent: bytes, others: list[str]) -> str:
    """Return the report on an instance that ends the system, whose exit is reported already: its last output, how
    often it was started, and what is stopped because of it. Empty if there is nothing to add."""
    block = []
    if not instance.succeeded and (lines := last_lines(instance.name, recent, LAST_LINES_OF_ALL)):
        block.append(lines)
    count = instance.run.number
    if others:
        again = f" (it was started {count} times)" if count > 1 else ""
        block.append(f"stopping {listed(others)} because {instance.name} exited{again}")
        if instance.succeeded and not instance.spec.on_exit_is_set:
            name = instance.spec.component or instance.name
            block.append(f'hint: if {name} may end before the others, use `--can-end {name}`, or on_exit = "ignore"')
    elif count > 1:
        block.append(f"{instance.name} was started {count} times")
    return "\n".join(block)


def last_lines(name: str, recent: bytes, count: int = LAST_LINES) -> str:
    """The end of its output, for a reader who did not watch; empty if it printed nothing."""
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


def restart_message(instance: Instance) -> str:
    """Return the event line for a restart."""
    return f"starting {instance.name} again in {instance.pause:.1f} s"


def give_up_message(instance: Instance) -> str:
    """Return the event line for giving up restarts."""
    return f"giving up on {instance.name}: {why_given_up(instance)}"


def why_given_up(instance: Instance) -> str:
    """Return the reason as a clause."""
    plan = instance.spec.restart
    if lifecycle.is_repetitive(plan, instance.repeats):
        return f"it exited {times(plan.same_exits)} in the same way before it was ready"
    return f"it ended {times(plan.max)} within {plan.within:.0f} s"
