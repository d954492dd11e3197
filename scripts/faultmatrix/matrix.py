"""All faults, in the order of the table: what is done, when, where, and the exit status that orchestrate has then."""

import enum
import signal
from dataclasses import dataclass

from faultmatrix import deaths, scenes
from faultmatrix.deaths import Act
from faultmatrix.scenes import Scene


class Place(enum.Enum):
    """What the runner's standard streams are."""

    PIPE = "a pipe"
    TERMINAL = "a pseudo-terminal"
    TMUX = "a window of tmux, under an interactive shell"


@dataclass(frozen=True)
class Fault:
    """One fault. `prepare` is done before, `act` is it; `status` is minus the signal that orchestrate dies of;
    `spares`: nobody of it is left who could end the components, so the next start has to."""

    name: str
    act: Act
    status: int
    scene: Scene = scenes.UP
    place: Place = Place.PIPE
    prepare: Act = deaths.nothing
    spares: bool = False


QUIT = 128 + signal.SIGQUIT  # it would dump core otherwise
STATUSES = {
    signal.SIGINT: -signal.SIGINT,
    signal.SIGTERM: -signal.SIGTERM,
    signal.SIGHUP: -signal.SIGHUP,
    signal.SIGQUIT: QUIT,
    signal.SIGKILL: -signal.SIGKILL,
}


def _signals(when: str = "", **more) -> list[Fault]:
    return [Fault(number.name + when, deaths.send(number), status, **more) for number, status in STATUSES.items()]


def _stopping() -> list[Fault]:
    """The exit status stays that of the first signal."""
    return [
        Fault(
            f"{number.name} while stopping",
            deaths.send_while_stopping(number),
            -signal.SIGKILL if number == signal.SIGKILL else -signal.SIGTERM,
            scenes.STOPPING,
        )
        for number in STATUSES
    ]


def _in_tmux(name: str, act: Act, status: int, prepare: Act = deaths.nothing) -> Fault:
    return Fault(name, act, status, place=Place.TMUX, prepare=prepare)


_TERM, _KILL, _HUP, _INT = -signal.SIGTERM, -signal.SIGKILL, -signal.SIGHUP, -signal.SIGINT
DEATHS = [
    *_signals(),
    Fault("1,000 signals in a second", deaths.storm, _TERM),
    Fault("SIGKILL of one direct child", deaths.kill_a_helper, 1),
    Fault("SIGKILL of all direct children", deaths.kill_helpers, 1),
    Fault("SIGKILL of it and all direct children", deaths.kill_all_at_once, _KILL, spares=True),
    Fault("Ctrl-C", deaths.press(b"\x03"), _INT, place=Place.TERMINAL),
    Fault("Ctrl-\\", deaths.press(b"\x1c"), QUIT, place=Place.TERMINAL),
    Fault("terminal closed", deaths.hang_up, _HUP, place=Place.TERMINAL),
    _in_tmux("Ctrl-C in tmux", deaths.press(b"\x03"), _INT),
    _in_tmux("Ctrl-\\ in tmux", deaths.press(b"\x1c"), QUIT),
    _in_tmux("Ctrl-Z, fg, SIGTERM", deaths.send(signal.SIGTERM), _TERM, deaths.stop_and_go),
    _in_tmux("Ctrl-Z, SIGTERM, fg", deaths.term_then_go, _TERM, deaths.stop),
    _in_tmux("tmux kill-session", deaths.tell_tmux("kill-session"), _HUP),
    _in_tmux("tmux kill-server", deaths.tell_tmux("kill-server"), _HUP),
    Fault("SIGTERM as PID 1", deaths.send_inside(signal.SIGTERM), 128 + signal.SIGTERM, scenes.AS_FIRST),
]
STAGES = [
    *_signals(" while starting", scene=scenes.STARTING),
    *_signals(" in an initial step", scene=scenes.STEP),
    *_signals(" in a backoff", scene=scenes.BACKOFF),
    *_stopping(),
    *_signals(", terminal stalled", scene=scenes.STALLED, place=Place.TERMINAL, prepare=deaths.stall),
]
CROWDS = [
    Fault(f"{name}, {crowd}", act, status, scene)
    for name, act, status in (
        ("SIGTERM", deaths.send(signal.SIGTERM), _TERM),
        ("SIGKILL", deaths.send(signal.SIGKILL), _KILL),
        ("SIGKILL of all direct children", deaths.kill_helpers, 1),
    )
    for crowd, scene in (
        ("fork bomb of 500", scenes.BOMB),
        ("200 components", scenes.MANY),
        ("200 under ulimit -Sn 1024", scenes.MANY_LIMITED),
    )
]
FAULTS = [*DEATHS, *STAGES, *CROWDS]
