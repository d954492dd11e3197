"""What is done to a runner."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from faultmatrix.scenes import GO
from faultmatrix.trial import Trial, stat_of
from faultmatrix.window import Window

Act = Callable[[Trial], None]


class UnreachedError(Exception):
    """The runner did not come to where the fault should have been done, in words."""


def nothing(_: Trial) -> None:
    """Do nothing."""


def send(number: int) -> Act:
    """Signal the runner."""
    return lambda trial: trial.send(number)


def send_inside(number: int) -> Act:
    """Signal the runner below unshare(1), which started it as PID 1."""
    return lambda trial: os.kill(trial.children()[0], number)


def send_while_stopping(number: int) -> Act:
    """SIGTERM; then, when a component says that it has had it for 0.6 s, another signal."""

    def act(trial: Trial) -> None:
        trial.send(signal.SIGTERM)
        trial.pump(lambda: b"later" in trial.output or trial.status is not None, 3)
        trial.send(number)

    return act


def storm(trial: Trial) -> None:
    """1,000 signals in a second, of those that ask for an end or for attention."""
    numbers = (signal.SIGTERM, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT)
    began = time.monotonic()
    for count in range(1000):
        trial.send(numbers[count % len(numbers)])
        time.sleep(max(0.0, began + count / 1000 - time.monotonic()))


def kill_a_helper(trial: Trial) -> None:
    """Kill what stands between the runner and one component; where nothing does, the component's own first process."""
    os.kill(trial.children()[0], signal.SIGKILL)


def kill_helpers(trial: Trial) -> None:
    """Kill all that stand between it and its components."""
    for pid in trial.children():
        os.kill(pid, signal.SIGKILL)


def kill_all_at_once(trial: Trial) -> None:
    """Kill it and all its direct children. They are stopped first: none acts on the end of another."""
    os.kill(trial.pid, signal.SIGSTOP)
    pids = [trial.pid, *trial.children()]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def press(keys: bytes) -> Act:
    """Press keys at its terminal."""
    return lambda trial: trial.type(keys)


def hang_up(trial: Trial) -> None:
    """Close its terminal."""
    trial.hang_up()


def stall(trial: Trial) -> None:
    """Ctrl-S, and then more output than any terminal holds."""
    trial.type(b"\x13")
    Path(f"/proc/{trial.pid}/cwd", GO).touch()
    trial.pump(lambda: False, 1)
    before = len(trial.output)
    trial.pump(lambda: False, 0.2)
    if len(trial.output) > before:
        raise UnreachedError("does not heed Ctrl-S")


def stop(trial: Window) -> None:
    """Ctrl-Z, until the shell has its prompt again."""
    trial.type(b"\x1a")
    if not trial.pump(lambda: b"Stopped" in trial.output, 3):
        raise UnreachedError("does not stop")


def stop_and_go(trial: Window) -> None:
    """Ctrl-Z, and `fg`, until it runs again."""
    stop(trial)
    trial.type(b"fg\r")
    if not trial.pump(lambda: (stat := stat_of(trial.pid)) and stat[1] not in "Tt", 3):
        raise UnreachedError("does not go on")


def term_then_go(trial: Window) -> None:
    """SIGTERM to the one that is stopped, and `fg`."""
    trial.send(signal.SIGTERM)
    trial.type(b"fg\r")


def tell_tmux(command: str) -> Act:
    """Give its tmux a command."""
    return lambda trial: trial.command(command)
