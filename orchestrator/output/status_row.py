"""The row below the merged stream: each instance with its state, and the keys. Pure.

● web ● worker ○ api (waiting for db) · u view · r restart … · ? keys
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.model.status import Status
from orchestrator.terminal.width import width

DIM, NORMAL = "\x1b[2m", "\x1b[m"
SEPARATOR = " · "
# The mark of each state, and its SGR parameter; in the view too.
MARKS = {
    Status.WAITING: ("○", "2"),
    Status.STARTING: ("◐", "33"),
    Status.RUNNING: ("●", "32"),
    Status.READY: ("●", "32"),
    Status.STOPPING: ("◌", "33"),
    Status.RESTARTING: ("↻", "33"),
    Status.STOPPED: ("○", "2"),
    Status.COMPLETED: ("✓", "2"),
    Status.FAILED: ("✗", "31"),
    Status.STUCK: ("✗", "31"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One instance: `words` add what its mark does not show."""

    name: str
    status: Status
    words: str = ""


def status_row(items: Iterable[Item], keys: str, columns: int, *, colors: bool) -> bytes:
    """Return the row, at most this many columns wide: as many instances as fit, how many more there are, and the keys.

    `items` is consumed only as far as they fit.
    """
    items = list(items) if columns > 0 else []
    keys = _cut(keys, columns)
    left = columns - width(keys) - len(SEPARATOR)
    parts: list[str] = []
    for index, item in enumerate(items):
        text = f"{item.name} ({item.words})" if item.words else item.name
        more = len(items) - index - 1
        space = len(f" +{more}") if more else 0
        taken = 2 + width(text) + bool(parts)
        if taken + space > left:
            if parts or left > 8:
                parts.append(f"+{len(items) - index}")
            break
        left -= taken
        mark, sgr = MARKS[item.status]
        parts.append(f"\x1b[0;{sgr}m{mark}{NORMAL}{DIM} {text}" if colors else f"{mark} {text}")
    whole = SEPARATOR.join(part for part in (" ".join(parts), keys) if part)
    return (f"{DIM}{whole}{NORMAL}" if colors else whole).encode()


def _cut(text: str, columns: int) -> str:
    """Shorten the keys at a separator."""
    while width(text) > columns:
        text, separator, _ = text.rpartition(SEPARATOR)
        if not separator:
            return ""
    return text
