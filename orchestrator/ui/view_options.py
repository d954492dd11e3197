"""How the view is opened, and how it ends: what the command that opens it passes and gets back."""

from __future__ import annotations

import enum
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """`control` is the socket. `owned` says that the system belongs to this terminal, `can_background` that it can
    continue without it. `attach` attaches to a component, or raises OrchestrateError; what it returns runs the session
    and returns a message about its end. `detach_keys` names its keys. `why` returns the command that explains an
    instance, which runs in `environment`."""

    control: Path
    colors: bool
    attach: Callable[[str], Callable[[], str]]
    why: Callable[[str], list[str]]
    environment: Mapping[str, str]
    detach_keys: str = ""
    owned: bool = False
    can_background: bool = False
    signals: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)


class Leave(enum.Enum):
    """What to do after the user has left the view."""

    QUIT = "quit"  # the system keeps running
    STREAM = "stream"  # show the merged stream again in the terminal of the system
    STOP = "stop"
    BACKGROUND = "background"  # the system keeps running without the terminal
    ENDED = "ended"  # the system has exited


@dataclass(frozen=True, slots=True)
class ViewOutcome:
    """`signal` is the number of the signal that ended the view, 0 for none."""

    leave: Leave
    signal: int = 0
