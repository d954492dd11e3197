"""The faults: what is done to a runner, and when."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from faultmatrix.trial import Trial


@dataclass(frozen=True)
class Death:
    """One fault. `terminal`: the runner has one; `early`: it is done as soon as the first component runs."""

    name: str
    act: Callable[[Trial], None]
    terminal: bool = False
    early: bool = False


def _send(number: int) -> Callable[[Trial], None]:
    return lambda trial: trial.send(number)


def _storm(trial: Trial) -> None:
    """1,000 signals in a second, of those that ask for an end or for attention."""
    numbers = (signal.SIGTERM, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT)
    began = time.monotonic()
    for count in range(1000):
        trial.send(numbers[count % len(numbers)])
        time.sleep(max(0.0, began + count / 1000 - time.monotonic()))


def _kill_a_helper(trial: Trial) -> None:
    """Kill what stands between the runner and one component; where nothing does, the component's own first process."""
    os.kill(trial.children()[0], signal.SIGKILL)


def _kill_helpers(trial: Trial) -> None:
    for pid in trial.children():
        os.kill(pid, signal.SIGKILL)


def _type(key: bytes) -> Callable[[Trial], None]:
    return lambda trial: trial.type(key)


def _stall(trial: Trial) -> None:
    trial.type(b"\x13")
    trial.send(signal.SIGTERM)


DEATHS = (
    Death("SIGINT", _send(signal.SIGINT)),
    Death("SIGTERM", _send(signal.SIGTERM)),
    Death("SIGHUP", _send(signal.SIGHUP)),
    Death("SIGQUIT", _send(signal.SIGQUIT)),
    Death("SIGKILL", _send(signal.SIGKILL)),
    Death("SIGKILL while starting", _send(signal.SIGKILL), early=True),
    Death("SIGTERM while starting", _send(signal.SIGTERM), early=True),
    Death("1,000 signals in a second", _storm),
    Death("SIGKILL of one direct child", _kill_a_helper),
    Death("SIGKILL of all direct children", _kill_helpers),
    Death("Ctrl-C", _type(b"\x03"), terminal=True),
    Death("Ctrl-\\", _type(b"\x1c"), terminal=True),
    Death("terminal closed", lambda trial: trial.hang_up(), terminal=True),
    Death("SIGTERM, terminal stalled", _stall, terminal=True),
)
