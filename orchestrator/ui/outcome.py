"""How a view ends, for whoever has opened it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Leave(enum.Enum):
    """What is to be done after the view was left."""

    QUIT = "quit"  # the system keeps running
    STREAM = "stream"  # show the merged stream again, in the terminal that the system belongs to
    STOP = "stop"
    BACKGROUND = "background"  # leave the terminal, and keep running
    ENDED = "ended"  # there is no system any more


@dataclass(frozen=True, slots=True)
class ViewOutcome:
    """`signal` is the number of the signal that ended the view, 0 for none."""

    leave: Leave
    signal: int = 0
