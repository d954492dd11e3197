"""What supervisor, guardians and prober say to each other, and what a guardian is given at its start.

Frozen dataclasses, pickled by multiprocessing. `Started` is followed on the same socket by a duplicate of the pty
master (`reduction.send_handle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.model.spec import Attributes, Hooks, ProberProbe, StopPlan

_ATTRIBUTES = Attributes()
_NO_HOOKS = Hooks()


@dataclass(frozen=True, slots=True)
class Launch:
    """All a guardian needs for one incarnation. `rows` and `columns` size its pty; `descriptors` is the soft
    RLIMIT_NOFILE that the component gets back. Without `tty` it gets pipes. `cgroup` is the directory of the control
    group that enforces its limits; empty without one."""

    instance: str
    argv: tuple[str, ...]
    cwd: str
    environment: Mapping[str, str]
    stop: StopPlan
    lock_path: str
    rows: int
    columns: int
    descriptors: int
    tty: bool = True
    attributes: Attributes = _ATTRIBUTES
    hooks: Hooks = _NO_HOOKS
    cgroup: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The leader runs; the pty master follows. With `errors_apart` two pipes follow instead: its standard output and
    its standard error. `session` is the pid of the process that leads the session of its terminal, 0 if it does."""

    pid: int
    errors_apart: bool = False
    session: int = 0


@dataclass(frozen=True, slots=True)
class StartFailed:
    """Nothing was started: `reason` in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class LeaderExited:
    """The leader exited; `status` is a negative signal number or an exit code (os.waitstatus_to_exitcode).

    If the leader was a shell that died of the stop signal, this is the status of the command it waited for, and the
    message comes when that has exited. `asked` says whether a stop was under way: only the guardian knows what came
    first. `left` is how many processes a leader has left that exited by itself, and `daemons` says whether any of them
    is in another session, as a program that puts itself into the background. `unexplained_kill` says that it, or the
    command whose status this is, was killed by a SIGKILL that was not ours; `oom_kills` counts what the OOM killer has
    killed in its control group, and is None without one.
    """

    status: int
    asked: bool
    left: int = 0
    daemons: bool = False
    unexplained_kill: bool = False
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Vacated:
    """The tree is empty (waitpid said ECHILD); the guardian ends."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """These processes survived the kill; the guardian stays with them."""

    pids: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Run the stop sequence."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Skip the grace."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Send one signal to the leader's process group."""

    number: int


@dataclass(frozen=True, slots=True)
class Run:
    """To a guardian: run `argv` in the tree, once; it has `timeout` seconds. An Answer with this key follows."""

    key: tuple[str, int]
    argv: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Conclude:
    """To a guardian with hooks: its run has ended, so run those that apply once the tree is empty. `environment` tells
    them of it."""

    failed: bool
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remark:
    """From a guardian: something that the user should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """To the prober: ask `probe` once. `since` is the wall-clock time (seconds) that its `fresh` times have to be
    later than; `root` the pid of the guardian above the tree whose socket has to answer, 0 for anybody's."""

    key: tuple[str, int]
    probe: ProberProbe
    since: float
    root: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """From the prober or a guardian: what came of the question with this key; `text` says in a few words what was
    seen."""

    key: tuple[str, int]
    holds: bool
    text: str


Up = Started | StartFailed | LeaderExited | Vacated | Stuck | Answer | Remark
Down = Stop | Kill | Signal | Run | Conclude
